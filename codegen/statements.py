"""Write the statements of a kernel as lines of Python.

What enters are verified statements; what leaves are indented lines, with a comment
wherever the user's line changes. The printer puts a function around them.

>>> from codegen.loop_ir import Var, number
>>> describe(Assign(Var("s", "float64"), number(0.0)))
's = 0.0'
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from codegen import layout
from codegen.arena import WORKSPACE, Slot, plus
from codegen.assumptions import Facts, assumption
from codegen.expressions import (
    ARENA_NAMES,
    CARVE,
    GROWN,
    any_of,
    assign,
    bundle,
    call,
    cell,
    combine,
    expression,
    method,
    name,
    negation,
    signed,
)
from codegen.library import library_call
from codegen.loop_ir import (
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
    Library,
    Location,
    Reshape,
    Stmt,
    Store,
    Swap,
    Var,
    View,
    While,
    integer,
)

GUARD = "guard"
# The next free word of the arena, while slices are taken from it, and lengths of slices
# that are taken more than once.
TAKEN, *WORDS = ARENA_NAMES
_AUGMENTED: dict[str, type[ast.operator]] = {
    "add": ast.Add,
    "subtract": ast.Sub,
    "multiply": ast.Mult,
}
_REASSOCIATED = {"add": "radd", "multiply": "rmul"}
_FLOATS = ("float64", "float32")


@dataclass(slots=True)
class Writer:
    """Lines being written: where they go, how deep, and the user's line they serve."""

    lines: list[str] = field(default_factory=list)
    indent: int = layout.INDENT
    loops: int = 0
    location: Location | None = None
    facts: Facts = field(default_factory=Facts)

    def emit(self, stmt: ast.stmt) -> None:
        """Write a simple statement."""
        self.lines += layout.lines(stmt, self.indent)

    def block(self, body: Sequence[Stmt]) -> None:
        """Write statements, a series of guards as one test."""
        position = 0
        while position < len(body):
            stmt = body[position]
            guards = _guards(body[position:])
            if guards:
                self.guards(guards)
                position += len(guards)
                continue
            self.locate(getattr(stmt, "location", None))
            if self.loops:
                for index in self.facts.unproven(stmt):
                    self.emit(assumption(index))
            self.statement(stmt)
            self.facts.forget((stmt,))
            position += 1

    def inside(self, stmt: For | While | If, body: Sequence[Stmt]) -> None:
        """Write an indented block of a statement."""
        loop = not isinstance(stmt, If)
        outer, self.facts = self.facts, self.facts.inside(stmt, body)
        self.indent += layout.INDENT
        self.loops += loop
        before = len(self.lines)
        self.block(body)
        if all(line.lstrip().startswith("#") for line in self.lines[before:]):
            self.emit(ast.Pass())
        self.loops -= loop
        self.indent -= layout.INDENT
        self.facts = outer

    def locate(self, location: Location | None) -> None:
        """Say which line of the user's the next statements come from, if it changed."""
        if location is None or location == self.location:
            return
        self.location = location
        file = PurePath(location.file.replace("\\", "/")).name
        self.comment(f"{file}:{location.line}: {location.text}")

    def comment(self, text: str) -> None:
        """Write a comment on one line."""
        line = " " * self.indent + "# " + " ".join(text.split())
        if len(line) > layout.WIDTH:
            line = line[: layout.WIDTH - 3].rstrip() + "..."
        self.lines.append(line)

    def guards(self, guards: Sequence[Check]) -> None:
        """Write guards as one test, so that entry costs one branch."""
        test = any_of(negation(guard.cond) for guard in guards)
        self.stop(test, name("GuardFailed"))

    def stop(self, test: ast.expr, error: ast.expr) -> None:
        """Write ``if test: raise error``."""
        self.lines += layout.header("if", test, self.indent)
        self.indent += layout.INDENT
        self.emit(ast.Raise(error))
        self.indent -= layout.INDENT

    def carve(self, slots: Sequence[Slot]) -> None:
        """Write the slices of the arena that are the workspace arrays."""
        taken: Expr = integer(0)
        shared = _repeated(slots)
        for words, var in shared.items():
            self.emit(assign(name(var.name), expression(words)))
        for slot in slots:
            self.emit(assign(name(slot.array.name), _carved(slot, taken)))
            if slot is slots[-1]:
                return
            words = shared.get(slot.words, slot.words)
            end = plus(taken, words)
            if isinstance(end, Const):
                taken = end
                continue
            if isinstance(taken, Var):
                self.emit(ast.AugAssign(ast.Name(TAKEN), ast.Add(), expression(words)))
            else:
                self.emit(assign(name(TAKEN), expression(end)))
            taken = Var(TAKEN, "int64")

    def statement(self, stmt: Stmt) -> None:
        """Write any statement."""
        match stmt:
            case Assign(target, value):
                self.emit(assign(name(target.name), expression(value)))
            case Accumulate():
                self.accumulate(stmt)
            case Store():
                self.store(stmt)
            case Check():
                self.check(stmt)
            case Comment(text):
                self.comment(text)
            case Call(function, inputs, outputs):
                given = (name(item.name) for item in inputs)
                self.call(call(function, *given), outputs)
            case Break():
                self.emit(ast.Break())
            case Continue():
                self.emit(ast.Continue())
            case For() | While() | If():
                self.compound(stmt)
            case _:
                self.arrays(stmt)

    def arrays(
        self, stmt: Fill | Allocate | View | Reshape | Library | Swap | Grow
    ) -> None:
        """Write a statement about whole arrays."""
        match stmt:
            case Swap(targets, sources):
                # ``ast.unparse`` would put the right side in parentheses.
                sides = (", ".join(a.name for a in side) for side in (targets, sources))
                self.lines.append(" " * self.indent + " = ".join(sides))
            case Grow(array, size):
                target = name(array.name)
                self.emit(assign(target, call(GROWN, target, expression(size))))
            case Fill(array, value, prefix):
                self.fill(array, value, prefix)
            case Allocate(array, zero):
                self.allocate(array, zero)
            case View(view):
                self.emit(assign(name(view.name), _window(stmt)))
            case Reshape(view, base):
                self.emit(assign(name(view.name), _reshaped(name(base.name), view)))
            case Library():
                self.emit(library_call(stmt))

    def call(self, value: ast.expr, outputs: Sequence[Var]) -> None:
        """Write ``a, b = function(...)``."""
        if outputs:
            targets = bundle(name(output.name) for output in outputs)
            self.emit(assign(targets, value))
        else:
            self.emit(ast.Expr(value))

    def check(self, stmt: Check) -> None:
        """Write ``if not cond: raise kind(message)``."""
        module = "np.linalg." if stmt.kind == "LinAlgError" else ""
        error = call(module + stmt.kind, ast.Constant(stmt.message))
        self.stop(negation(stmt.cond), error)

    def compound(self, stmt: For | While | If) -> None:
        """Write a loop or a branch."""
        match stmt:
            case For(var, lo, hi, step, body):
                bounds = [expression(hi)]
                if lo != integer(0) or step != 1:
                    bounds.insert(0, expression(lo))
                if step != 1:
                    bounds.append(expression(integer(step)))
                value = call("range", *bounds)
                self.lines += layout.header(f"for {var.name} in", value, self.indent)
                self.inside(stmt, body)
            case While(cond, body):
                self.lines += layout.header("while", expression(cond), self.indent)
                self.inside(stmt, body)
            case If():
                self.branch(stmt, "if")

    def branch(self, stmt: If, word: str) -> None:
        """Write ``if``, ``elif`` and ``else``."""
        then, otherwise, test = stmt.then, stmt.otherwise, expression(stmt.cond)
        if not then and otherwise:
            then, otherwise, test = otherwise, (), negation(stmt.cond)
        self.lines += layout.header(word, test, self.indent)
        self.inside(stmt, then)
        match otherwise:
            case ():
                return
            case (If(location=location) as inner,) if location in (None, self.location):
                self.branch(inner, "elif")
            case _:
                self.lines.append(" " * self.indent + "else:")
                self.inside(stmt, otherwise)

    def accumulate(self, stmt: Accumulate) -> None:
        """Write ``s += e``, or ``s = radd(s, e)`` where the order is free."""
        target, dtype = name(stmt.target.name), stmt.target.dtype
        free = stmt.reassociate and self.loops > 0 and dtype in _FLOATS
        if free and stmt.combine in _REASSOCIATED:
            function = _REASSOCIATED[stmt.combine]
            total = call(function, target, expression(stmt.value))
            self.emit(assign(target, total))
        else:
            self.update(target, stmt.combine, stmt.value, dtype)

    def store(self, stmt: Store) -> None:
        """Write ``a[i] = e`` or ``a[i] += e``."""
        target = cell(stmt.array, stmt.index, stmt.in_bounds)
        if stmt.combine is None:
            self.emit(assign(target, expression(stmt.value)))
        else:
            self.update(target, stmt.combine, stmt.value, stmt.array.dtype)

    def update(
        self, target: ast.expr, combination: str, operand: Expr, dtype: DType
    ) -> None:
        """Write ``target = operation(target, value)``, in place where Python can."""
        operation, operand = signed(combination, operand)
        value = expression(operand)
        in_place = operation in _AUGMENTED and dtype in ("float64", "float32", "int64")
        if in_place and isinstance(target, ast.Name | ast.Subscript):
            self.emit(ast.AugAssign(target, _AUGMENTED[operation](), value))
        else:
            total = combine(operation, target, value, dtype)
            self.emit(assign(target, total))

    def fill(self, array: Array, value: Expr, prefix: tuple[Expr, ...]) -> None:
        """Write ``a[i, :] = e``."""
        index = [expression(item) for item in prefix]
        # ``a[:]`` is all of an array, of any rank.
        index += [ast.Slice()] * (array.rank - len(prefix) if prefix else 1)
        target = ast.Subscript(name(array.name), bundle(index))
        self.emit(assign(target, expression(value)))

    def allocate(self, array: Array, zero: bool) -> None:
        """Write an allocation; a workspace array exists since entry."""
        if array.role == "workspace":
            if zero:
                self.fill(array, Const(0, array.dtype), ())
            return
        shape = bundle(expression(size) for size in array.shape)
        dtype = [] if array.dtype == "float64" else [_dtype(array.dtype)]
        value = call("np.zeros" if zero else "np.empty", shape, *dtype)
        self.emit(assign(name(array.name), value))


def _repeated(slots: Sequence[Slot]) -> dict[Expr, Var]:
    """Variables for the lengths that several slices have."""
    lengths = Counter(s.words for s in slots[:-1] if not isinstance(s.words, Const))
    often = (words for words, times in lengths.most_common() if times > 1)
    named = zip(often, WORDS, strict=False)
    return {words: Var(text, "int64") for words, text in named}


def _carved(slot: Slot, start: Expr) -> ast.expr:
    """``carve(workspace, start, (n, d), np.float64)``."""
    array = slot.array
    shape = bundle(expression(size) for size in array.shape)
    first, dtype = expression(start), _dtype(array.dtype)
    return call(CARVE, name(WORKSPACE), first, shape, dtype)


def _range(start: Expr, size: Expr) -> ast.Slice:
    end = plus(start, size)
    lower = None if start == integer(0) else expression(start)
    return ast.Slice(lower, expression(end))


def _window(stmt: View) -> ast.expr:
    """The subscript of a view; whole trailing axes are left out."""
    kept = stmt.base.shape[len(stmt.index) :]
    windows = list(zip(stmt.starts, stmt.view.shape, kept, strict=True))
    # Numba gives up the C layout of ``a[i:j, :]``, but not of ``a[i:j]``.
    while windows and _is_whole(*windows[-1]):
        windows.pop()
    index = [expression(item) for item in stmt.index]
    for window in windows:
        whole = _is_whole(*window)
        index.append(ast.Slice() if whole else _range(window[0], window[1]))
    return ast.Subscript(name(stmt.base.name), bundle(index or [ast.Slice()]))


def _is_whole(start: Expr, size: Expr, base: Expr) -> bool:
    return start == integer(0) and size == base


def _reshaped(node: ast.expr, view: Array) -> ast.expr:
    """``node.reshape(n, d)``."""
    return method(node, "reshape", *map(expression, view.shape))


def _dtype(dtype: DType) -> ast.expr:
    return name("np.bool_" if dtype == "bool" else f"np.{dtype}")


def _guards(body: Sequence[Stmt]) -> tuple[Check, ...]:
    """The guards at the start of a block."""
    result: list[Check] = []
    for stmt in body:
        if not isinstance(stmt, Check) or stmt.kind != GUARD:
            break
        result.append(stmt)
    return tuple(result)


def describe(stmt: Stmt) -> str:
    """A statement on one line, without its blocks, for an error message."""
    printer = Writer(indent=0)
    match stmt:
        case For() | While() | If():
            printer.compound(_emptied(stmt))
        case _:
            printer.statement(stmt)
    return " ".join(line.strip() for line in printer.lines if line.strip() != "pass")


def _emptied(stmt: For | While | If) -> For | While | If:
    if isinstance(stmt, If):
        return If(stmt.cond, ())
    return replace(stmt, body=())
