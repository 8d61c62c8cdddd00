"""Check that a kernel obeys the rules of the loop language.

Python's scoping hides mistakes: a name left over from another loop still has a value,
an int in a float's place still computes. So everything is checked before printing:
dtypes agree without promotion, every name is defined on every path that reads it,
arrays are declared and used with their rank, inputs are never written.

>>> from codegen.loop_ir import Const, dim
>>> x = Array("x", "float64", (dim("n"),), role="input")
>>> bad = Kernel("f", (x,), (Store(x, (integer(0),), Const(1.0, "float64")),), ())
>>> verify(bad)
Traceback (most recent call last):
codegen.errors.IRError: x is an input and is never written
  in kernel f: x[0] = 1.0
"""

from __future__ import annotations

import builtins
import keyword
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from codegen.definitions import Definitions
from codegen.errors import IRError
from codegen.expressions import RESERVED
from codegen.loop_ir import (
    LIBRARY,
    Accumulate,
    Allocate,
    Array,
    Assign,
    Break,
    Call,
    Check,
    Comment,
    Const,
    Continue,
    DType,
    Expr,
    Fill,
    For,
    Grow,
    If,
    Kernel,
    Library,
    Load,
    Reshape,
    Stmt,
    Store,
    Swap,
    Var,
    View,
    While,
    integer,
    nested,
)
from codegen.statements import GUARD, describe
from codegen.typing_rules import (
    TypeRuleError,
    check_expression,
    check_index,
    check_library,
)

_NUMERIC = ("add", "multiply", "maximum", "minimum")
_TRUE = Const(True, "bool")


def verify(kernel: Kernel) -> None:
    """Raise IRError, with the statement at fault, unless the kernel is well formed."""
    _Verifier(kernel).kernel_()


def definitions(kernel: Kernel) -> Definitions:
    """The names that have a value before and after each statement of a kernel."""
    verifier = _Verifier(kernel)
    verifier.definitions = Definitions()
    verifier.kernel_()
    return verifier.definitions


@dataclass(slots=True)
class _Loop:
    """What is defined where a loop is left by ``break``; None before any."""

    exits: list[set[str]] = field(default_factory=list)


class _Verifier:
    """The names of one kernel, while its statements are checked in order.

    defined: the names that have a value on every path to here. ``None`` stands for a
        place that no path reaches.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.dtypes: dict[str, DType] = {}
        self.arrays: dict[str, Array] = {}
        self.written_by_nobody: set[str] = set()
        self.fixed: set[str] = set()
        self.entry: set[str] = set()
        self.loops: list[_Loop] = []
        self.stmt: Stmt | None = None
        self.definitions: Definitions | None = None

    # --- the kernel as a whole -----------------------------------------------------

    def kernel_(self) -> None:
        """Check parameters, body and results."""
        self.identifier(self.kernel.name)
        defined = self.parameters()
        self.entry = set(defined)
        end = self.block(self.kernel.body, defined)
        self.stmt = None
        for result in self.kernel.results:
            self.expression(result, end)

    def parameters(self) -> set[str]:
        """Declare the parameters and the sizes that they bind."""
        defined: set[str] = set()
        outputs = False
        for parameter in self.kernel.parameters:
            if parameter.name in defined:
                self.fail(f"{parameter.name} is declared twice")
            if isinstance(parameter, Var):
                self.declare(parameter.name, parameter.dtype)
                self.fixed.add(parameter.name)
            else:
                if parameter.role not in ("input", "output"):
                    self.fail(f"{parameter.name} has role {parameter.role}")
                outputs = outputs or parameter.role == "output"
                if outputs and parameter.role == "input":
                    self.fail(f"the input {parameter.name} comes after an output")
                self.declare_array(parameter, None)
            defined.add(parameter.name)
        arrays = [item for item in self.kernel.parameters if isinstance(item, Array)]
        sizes = [size for array in arrays for size in array.shape]
        for size in sizes:
            if isinstance(size, Var) and size.name not in defined:
                self.declare(size.name, size.dtype)
                self.fixed.add(size.name)
                defined.add(size.name)
        for size in sizes:
            self.index(size, defined)
        return defined

    # --- names ---------------------------------------------------------------------

    def identifier(self, name: str) -> None:
        """A name must be one in Python, and mean nothing else there."""
        if not name.isidentifier() or keyword.iskeyword(name):
            self.fail(f"{name!r} is not a name")
        if unicodedata.normalize("NFKC", name) != name:
            self.fail(f"{name!r} is another name to Python")
        if name in RESERVED:
            self.fail(f"{name} is reserved for printed code")

    def declare(self, name: str, dtype: DType) -> None:
        """Give a scalar its one dtype."""
        self.identifier(name)
        if name in self.arrays:
            self.fail(f"{name} is an array already")
        known = self.dtypes.setdefault(name, dtype)
        if known != dtype:
            self.fail(f"{name} is {known} elsewhere, {dtype} here")

    def declare_array(self, array: Array, base: Array | None) -> None:
        """Bind an array's name; a view of an input may not be written either."""
        self.identifier(array.name)
        if array.name in self.dtypes:
            self.fail(f"{array.name} is a scalar already")
        known = self.arrays.get(array.name, array)
        kind = (array.dtype, array.rank, array.contiguous)
        if (known.dtype, known.rank, known.contiguous) != kind:
            self.fail(f"{array.name} has another dtype, rank or layout elsewhere")
        if base is not None and base.name == array.name:
            self.fail(f"{array.name} is a view of itself")
        self.arrays[array.name] = array
        protected = base is not None and base.name in self.written_by_nobody
        if array.role == "input" or protected:
            self.written_by_nobody.add(array.name)

    def bind(self, target: Var, defined: set[str]) -> None:
        """Assign to a scalar."""
        self.declare(target.name, target.dtype)
        if target.name in self.fixed:
            self.fail(f"{target.name} is a parameter, a size or a loop's variable")
        defined.add(target.name)

    def array(self, array: Array, defined: set[str] | None) -> None:
        """An array must be declared on every path, exactly as it is used."""
        if defined is not None and array.name not in defined:
            self.fail(f"array {array.name} is not defined on every path")
        if self.arrays.get(array.name) != array:
            self.fail(f"array {array.name} is declared differently")

    def writable(self, array: Array, defined: set[str]) -> None:
        """An array that may be written here."""
        self.array(array, defined)
        if array.name in self.written_by_nobody:
            self.fail(f"{array.name} is an input and is never written")

    # --- expressions ---------------------------------------------------------------

    def expression(self, expr: Expr, defined: set[str] | None) -> None:
        """Names and types of an expression."""
        self.rule(check_expression, expr)
        for part in nested(expr):
            match part:
                case Var(name, dtype):
                    if defined is not None and name not in defined:
                        self.fail(f"{name} is not defined on every path")
                    if self.dtypes.get(name, dtype) != dtype:
                        self.fail(f"{name} is {self.dtypes[name]}, not {dtype}")
                case Load(array=array):
                    self.array(array, defined)
                case _ if hasattr(part, "array"):
                    self.array(part.array, defined)
                case _:
                    pass

    def expect(self, expr: Expr, dtype: DType, defined: set[str]) -> None:
        """An expression of a dtype."""
        self.expression(expr, defined)
        if expr.dtype != dtype:
            self.fail(f"{expr.dtype} where {dtype} is needed")

    def index(self, expr: Expr, defined: set[str]) -> None:
        """An index, a size, a bound."""
        self.expect(expr, "int64", defined)

    def indices(self, exprs: Iterable[Expr], defined: set[str]) -> None:
        """Several of them."""
        for expr in exprs:
            self.index(expr, defined)

    # --- statements ----------------------------------------------------------------

    def block(self, body: Sequence[Stmt], defined: set[str] | None) -> set[str] | None:
        """Check statements in order; what is defined after them."""
        for stmt in body:
            if defined is None:
                self.stmt = stmt
                self.fail("this statement is never reached")
            before = defined
            defined = self.statement(stmt, set(before))
            if self.definitions is not None:
                self.definitions.note(stmt, before, defined)
        return defined

    def statement(self, stmt: Stmt, defined: set[str]) -> set[str] | None:
        """Check one statement; what is defined after it."""
        self.stmt = stmt
        match stmt:
            case For() | While() | If():
                return self.compound(stmt, defined)
            case Break() | Continue():
                if not self.loops:
                    self.fail("outside any loop")
                if isinstance(stmt, Break):
                    self.loops[-1].exits.append(defined)
                return None
            case Check(cond, kind):
                self.expect(cond, "bool", defined)
                self.exception(kind)
            case Allocate() | View() | Reshape():
                self.declaration(stmt, defined)
            case Library() | Swap() | Grow():
                self.arrays_whole(stmt, defined)
            case Comment():
                pass
            case Call():
                self.fail("parts are made of verified kernels")
            case _:
                self.assignment(stmt, defined)
        return defined

    def assignment(
        self, stmt: Assign | Accumulate | Store | Fill, defined: set[str]
    ) -> None:
        """Check a statement that gives a value to a scalar or to cells."""
        match stmt:
            case Assign(target, value):
                self.expect(value, target.dtype, defined)
                self.bind(target, defined)
            case Accumulate(target, operation, value):
                self.expression(target, defined)
                self.expect(value, target.dtype, defined)
                self.combine(operation, target.dtype)
                self.bind(target, defined)
            case Store(array, index, value, operation):
                self.writable(array, defined)
                self.indices(index, defined)
                self.expect(value, array.dtype, defined)
                if len(index) != array.rank:
                    self.fail(f"{array.name} has rank {array.rank}")
                self.rule(check_index, array, index, stmt.nonnegative)
                if operation is not None:
                    self.combine(operation, array.dtype)
            case Fill(array, value, prefix):
                self.writable(array, defined)
                self.indices(prefix, defined)
                self.expect(value, array.dtype, defined)
                if len(prefix) > array.rank:
                    self.fail(f"{array.name} has rank {array.rank}")

    def combine(self, operation: str, dtype: DType) -> None:
        """``or`` and ``and`` combine bools, everything else numbers."""
        if (operation in _NUMERIC) == (dtype == "bool"):
            self.fail(f"{dtype} values have no accumulation {operation}")

    def declaration(self, stmt: Allocate | View | Reshape, defined: set[str]) -> None:
        """Check a statement that makes an array."""
        match stmt:
            case Allocate(array):
                self.indices(array.shape, defined)
                if array.role not in ("local", "workspace"):
                    self.fail("an allocation has role local or workspace")
                if array.role == "workspace":
                    self.workspace(array)
                self.declare_array(array, None)
            case View(view, base, starts, index):
                self.array(base, defined)
                self.indices((*index, *starts, *view.shape), defined)
                self.window(stmt)
                self.declare_array(view, base)
                array = view
            case Reshape(view, base):
                self.array(base, defined)
                self.indices(view.shape, defined)
                if view.dtype != base.dtype:
                    self.fail(f"a view of {base.dtype} is no {view.dtype}")
                if not (base.contiguous and view.contiguous):
                    self.fail("only C-contiguous arrays are reshaped, to such ones")
                self.declare_array(view, base)
                array = view
        if not array.contiguous and isinstance(stmt, Allocate):
            self.fail("an allocation is contiguous")
        defined.add(array.name)

    def workspace(self, array: Array) -> None:
        """The arena is laid out at entry: sizes are known there."""
        if array.name in self.arrays:
            self.fail(f"workspace array {array.name} is allocated twice")
        for size in array.shape:
            for part in nested(size):
                if isinstance(part, Load):
                    self.fail("a workspace array's shape reads an array")
                known = part.name in self.entry if isinstance(part, Var) else True
                if not known:
                    self.fail("a workspace array's shape is not known at entry")

    def window(self, stmt: View) -> None:
        """A view's dtype, rank and layout follow from its base's."""
        view, base = stmt.view, stmt.base
        if view.dtype != base.dtype:
            self.fail(f"a view of {base.dtype} is no {view.dtype}")
        if len(stmt.index) + len(stmt.starts) != base.rank:
            self.fail(f"{base.name} has rank {base.rank}")
        if len(stmt.starts) != view.rank or not view.rank:
            self.fail(f"{view.name} has rank {view.rank}")
        inner = zip(
            stmt.starts[1:],
            view.shape[1:],
            base.shape[len(stmt.index) + 1 :],
            strict=True,
        )
        whole = all(start == integer(0) and size == all_ for start, size, all_ in inner)
        if view.contiguous and not (base.contiguous and whole):
            self.fail(f"{view.name} is not contiguous")

    def arrays_whole(self, stmt: Library | Swap | Grow, defined: set[str]) -> None:
        """Check a statement about whole arrays that exist."""
        match stmt:
            case Library():
                self.library(stmt, defined)
            case Swap():
                self.swap(stmt, defined)
            case Grow(array, size):
                self.writable(array, defined)
                self.index(size, defined)
                if array.role != "local":
                    self.fail("only a local array grows")

    def swap(self, stmt: Swap, defined: set[str]) -> None:
        """Names of like arrays, each once on either side."""
        targets, sources = (
            [array.name for array in side] for side in (stmt.targets, stmt.sources)
        )
        if sorted(targets) != sorted(sources) or len(set(targets)) != len(targets):
            self.fail("a swap gives the same arrays other names")
        for array in stmt.targets:
            self.array(array, defined)
            if array.role in ("input", "output"):
                self.fail(f"{array.name} is a parameter and keeps its name")
        kinds = {(array.dtype, array.rank, array.contiguous) for array in stmt.targets}
        if len(kinds) > 1:
            self.fail("arrays of another dtype, rank or layout are swapped")

    def library(self, stmt: Library, defined: set[str]) -> None:
        """Check a call of a dense routine."""
        if stmt.routine not in LIBRARY:
            self.fail(f"there is no routine {stmt.routine}")
        counts = (len(stmt.operands), len(stmt.outputs))
        if counts != LIBRARY[stmt.routine]:
            self.fail(f"{stmt.routine} takes and gives {LIBRARY[stmt.routine]} values")
        for operand in stmt.operands:
            self.array(operand.array, defined)
        self.rule(check_library, stmt)
        for output in stmt.outputs:
            if isinstance(output, Var):
                self.bind(output, defined)
                continue
            self.writable(output, defined)
            if any(operand.array.name == output.name for operand in stmt.operands):
                self.fail(f"{output.name} is read and written")

    def exception(self, kind: str) -> None:
        """A check raises a guard or one of Python's exceptions."""
        known = getattr(builtins, kind, None)
        if kind in (GUARD, "LinAlgError"):
            return
        if not (isinstance(known, type) and issubclass(known, Exception)):
            self.fail(f"{kind} is no exception")

    def compound(self, stmt: For | While | If, defined: set[str]) -> set[str] | None:
        """Check a loop or a branch; what is defined after it on every path."""
        match stmt:
            case If(cond, then, otherwise):
                self.expect(cond, "bool", defined)
                ends = [self.block(then, defined), self.block(otherwise, defined)]
                reached = [end for end in ends if end is not None]
                return set.intersection(*reached) if reached else None
            case While(cond, body):
                self.expect(cond, "bool", defined)
                exits = self.loop(body, defined)
                if cond != _TRUE:
                    exits.append(defined)
                return set.intersection(*exits) if exits else None
            case For(var, lo, hi, step, body):
                self.indices((lo, hi), defined)
                if step == 0:
                    self.fail("a loop's step is not zero")
                if var.name in defined:
                    self.fail(f"{var.name} has a value that the loop would overwrite")
                if var.dtype != "int64":
                    self.fail(f"a loop's variable is int64, not {var.dtype}")
                self.declare(var.name, var.dtype)
                self.fixed.add(var.name)
                exits = self.loop(body, defined | {var.name})
                self.fixed.remove(var.name)
                return set.intersection(defined, *exits)

    def loop(self, body: Sequence[Stmt], defined: set[str]) -> list[set[str]]:
        """Check a loop's body; what is defined at each ``break``."""
        self.loops.append(_Loop())
        self.block(body, defined)
        return self.loops.pop().exits

    def rule(self, check: Callable[..., None], *args: object) -> None:
        """Apply a type rule."""
        try:
            check(*args)
        except TypeRuleError as error:
            self.fail(str(error))

    def fail(self, problem: str) -> NoReturn:
        """Raise, naming the statement and the user's line."""
        where = f"in kernel {self.kernel.name}"
        location = getattr(self.stmt, "location", None)
        if location is not None:
            where += f", for line {location.line} in {location.function}"
        if self.stmt is not None:
            where += f": {_text(self.stmt)}"
        raise IRError(f"{problem}\n  {where}")


def _text(stmt: Stmt) -> str:
    """A statement as printed; what is malformed enough may not print at all."""
    try:
        return describe(stmt)
    except Exception:
        return f"a malformed {type(stmt).__name__}"
