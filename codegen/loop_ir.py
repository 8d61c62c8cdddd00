"""The loop language: a small typed imperative IR, the whole contract of codegen.

What enters codegen is a ``Kernel``: scalar and array parameters, and a body of loops,
assignments and stores. Every expression knows its dtype, every array its element, rank,
layout, role and shape, every index whether it is proven in bounds and non-negative, and
every accumulation whether it may be reassociated. Whatever printers could disagree on
is decided here, so that each printer stays small and all of them agree bit for bit.

>>> x = Array("x", "float64", (dim("n"),), role="input")
>>> i, total = Var("i", "int64"), Var("total", "float64")
>>> loop = For(i, integer(0), dim("n"), 1, (Accumulate(total, "add", load(x, i)),))
>>> kernel = Kernel("total", (x,), (Assign(total, number(0.0)), loop), (total,))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from codegen.vocabulary import LIBRARY as LIBRARY
from codegen.vocabulary import OPERATIONS as OPERATIONS
from codegen.vocabulary import Operation as Operation

DType: TypeAlias = Literal[
    "float64",
    "float32",
    "int64",
    "int32",
    "bool",
    "int8",
    "int16",
    "uint8",
    "uint16",
    "uint32",
]
NARROW: tuple[DType, ...] = ("int8", "int16", "uint8", "uint16", "uint32")
"""Integers that are loaded and converted, never calculated with."""
Role: TypeAlias = Literal["input", "output", "workspace", "local", "view"]
Combine: TypeAlias = Literal["add", "multiply", "maximum", "minimum", "or", "and"]


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's program: printed as a comment, named by an error."""

    file: str
    line: int
    function: str
    text: str


# --- expressions -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Const:
    """A literal of a given dtype, printed exactly. inf and nan are allowed."""

    value: float | int | bool
    dtype: DType


@dataclass(frozen=True, slots=True)
class Var:
    """A scalar local, a scalar parameter, or a size that is bound at entry."""

    name: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Op:
    """A scalar operation named in ``OPERATIONS``; its arguments have its own dtypes.

    There is no implicit promotion: mixed arguments are converted with ``Convert``.
    """

    name: str
    args: tuple[Expr, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Convert:
    """C-like value conversion: float to int truncates, bool to number gives 0 or 1."""

    arg: Expr
    dtype: DType


@dataclass(frozen=True, slots=True)
class Select:
    """``then if cond else otherwise``; both arms are pure, one is evaluated."""

    cond: Expr
    then: Expr
    otherwise: Expr
    dtype: DType


@dataclass(frozen=True, slots=True)
class Load:
    """``array[index]``.

    ``nonnegative``: the index is proven >= 0; otherwise it wraps as in Python.
    ``in_bounds``: the index is proven within the array; otherwise it is checked.
    Compiled code relies on these proofs: a false one reads wrong memory. The plain
    Python run asserts what it can of them.
    """

    array: Array
    index: tuple[Expr, ...]
    dtype: DType
    nonnegative: bool = True
    in_bounds: bool = True


@dataclass(frozen=True, slots=True)
class Size:
    """``array.shape[axis]``, an int64."""

    array: Array
    axis: int
    dtype: DType = "int64"


Expr: TypeAlias = Const | Var | Op | Convert | Select | Load | Size


@dataclass(frozen=True, slots=True)
class Array:
    """A named array: a parameter of the kernel, an allocation, or a view.

    shape: one expression per axis, over entry dims (``Var``) and constants.
    contiguous: row-major without gaps; a kernel is specialised on it.
    alignment is a workspace's business: its arrays start at 64-byte boundaries.
    """

    name: str
    dtype: DType
    shape: tuple[Expr, ...]
    role: Role = "local"
    contiguous: bool = True

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)


# --- statements --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assign:
    """``target = value``: binds the name, or rebinds it with the same dtype."""

    target: Var
    value: Expr
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Accumulate:
    """``target = combine(target, value)`` on a scalar.

    reassociate: the sum may be evaluated in any order, so that it vectorises.
    """

    target: Var
    combine: Combine
    value: Expr
    reassociate: bool = True
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """``array[index] = value``, or ``array[index] += value`` with ``combine``."""

    array: Array
    index: tuple[Expr, ...]
    value: Expr
    combine: Combine | None = None
    nonnegative: bool = True
    in_bounds: bool = True
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """``array[prefix] = value`` over all remaining axes."""

    array: Array
    value: Expr
    prefix: tuple[Expr, ...] = ()
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Allocate:
    """Make an array here: ``local`` by the allocator, ``workspace`` from the arena.

    zero: filled with zeros, otherwise uninitialised.
    Sizes are not negative. A workspace array's are known at entry: over the parameters
    and their sizes; it exists from then on, so one in a loop is made once.
    """

    array: Array
    zero: bool = False
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class View:
    """``view = base[index..., start_0 : start_0 + size_0, ...]`` with steps of one.

    index: leading axes that the view fixes, and so lacks: a row, a matrix of a batch.
    starts: one per remaining base axis; sizes are the view's shape.
    The whole window lies in bounds; nothing is clamped.
    """

    view: Array
    base: Array
    starts: tuple[Expr, ...]
    index: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Reshape:
    """``view = base.reshape(view.shape)``: the same C-contiguous cells, other axes."""

    view: Array
    base: Array


@dataclass(frozen=True, slots=True)
class Swap:
    """``a, b = b, a``: the names ``targets`` now mean the arrays that ``sources`` did.

    Both list the same arrays, which have one dtype, rank and layout. None of them is an
    input or an output: a caller keeps those by place, not by name.
    """

    targets: tuple[Array, ...]
    sources: tuple[Array, ...]
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Grow:
    """Make room for ``size`` cells and more along an array's first axis.

    The cells stay, new ones are zero. The array is ``local``, and its name means the
    larger array from here on.
    """

    array: Array
    size: Expr
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class For:
    """``for var in range(lo, hi, step)``; ``step`` is a non-zero literal."""

    var: Var
    lo: Expr
    hi: Expr
    step: int
    body: tuple[Stmt, ...]
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class While:
    """``while cond: body``."""

    cond: Expr
    body: tuple[Stmt, ...]
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class If:
    """``if cond: then else: otherwise``."""

    cond: Expr
    then: tuple[Stmt, ...]
    otherwise: tuple[Stmt, ...] = ()
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """Leave the innermost loop."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on with the innermost loop's next iteration."""


@dataclass(frozen=True, slots=True)
class Operand:
    """An array given to a library routine, read as it is or transposed."""

    array: Array
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Library:
    """A call of a dense routine of ``LIBRARY``: ``outputs = routine(operands)``.

    Outputs are arrays (already allocated, C-contiguous) or scalars.
    ``dot`` takes (m,k)·(k,n), (m,k)·(k) or (k)·(k,n). A failed factorisation raises
    ``numpy.linalg.LinAlgError`` as NumPy does.
    """

    routine: str
    outputs: tuple[Array | Var, ...]
    operands: tuple[Operand, ...]
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Stop the kernel unless ``cond``; the status says why.

    kind "guard": an assumption of this specialisation is broken: the caller retraces.
    Any other kind is the name of a Python exception class that the kernel raises.
    """

    cond: Expr
    kind: str
    message: str
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A line of prose."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """``outputs = function(inputs)``: where a part was cut out to print Python."""

    function: str
    inputs: tuple[Array | Var, ...]
    outputs: tuple[Var, ...]


Stmt: TypeAlias = (
    Assign
    | Accumulate
    | Store
    | Fill
    | Allocate
    | View
    | Reshape
    | Swap
    | Grow
    | For
    | While
    | If
    | Break
    | Continue
    | Library
    | Check
    | Comment
    | Call
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function of the loop language.

    parameters: inputs first, then outputs, in the order of the call. Inputs are never
        written. A kernel that allocates ``workspace`` arrays gets one more parameter
        from the printer, the arena; ``codegen`` computes its size from the shapes.
    results: scalars returned by value; arrays are returned by writing to outputs.
    """

    name: str
    parameters: tuple[Array | Var, ...]
    body: tuple[Stmt, ...]
    results: tuple[Expr, ...]
    doc: str = ""


# --- short constructors ------------------------------------------------------------


def number(value: float, dtype: DType = "float64") -> Const:
    """A float literal."""
    return Const(float(value), dtype)


def integer(value: int) -> Const:
    """An int64 literal."""
    return Const(int(value), "int64")


def dim(name: str) -> Var:
    """A size bound at entry."""
    return Var(name, "int64")


def load(array: Array, *index: Expr) -> Load:
    """``array[index]``, the index proven valid."""
    return Load(array, index, array.dtype)


def blocks(stmt: Stmt) -> tuple[tuple[Stmt, ...], ...]:
    """The statement lists nested directly in a statement."""
    match stmt:
        case For() | While():
            return (stmt.body,)
        case If():
            return (stmt.then, stmt.otherwise)
        case _:
            return ()


def walk(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Every statement of a body, outer before inner, in order."""
    for stmt in body:
        yield stmt
        for block in blocks(stmt):
            yield from walk(block)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions nested directly in an expression."""
    match expr:
        case Op():
            return expr.args
        case Convert():
            return (expr.arg,)
        case Select():
            return (expr.cond, expr.then, expr.otherwise)
        case Load():
            return expr.index
        case _:
            return ()


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions that a statement itself evaluates, nested blocks aside."""
    match stmt:
        case Assign(value=value) | Accumulate(value=value):
            return (value,)
        case Store(index=index, value=value) | Fill(prefix=index, value=value):
            return (*index, value)
        case Allocate(array=array) | Reshape(view=array):
            return array.shape
        case View():
            return (*stmt.index, *stmt.starts, *stmt.view.shape)
        case Grow(size=size):
            return (size,)
        case For():
            return (stmt.lo, stmt.hi)
        case While(cond=cond) | If(cond=cond) | Check(cond=cond):
            return (cond,)
        case Call(inputs=inputs):
            return tuple(item for item in inputs if isinstance(item, Var))
        case _:
            return ()


def nested(expr: Expr) -> Iterator[Expr]:
    """An expression and everything inside it."""
    yield expr
    for child in children(expr):
        yield from nested(child)


def variables(exprs: Iterable[Expr]) -> Iterator[str]:
    """The names of the variables that expressions read, once for each reading."""
    return (
        part.name for expr in exprs for part in nested(expr) if isinstance(part, Var)
    )


def targets(stmt: Stmt) -> Iterator[str]:
    """The names of the variables that a statement itself writes."""
    match stmt:
        case Assign(target=target) | Accumulate(target=target) | For(var=target):
            yield target.name
        case Library(outputs=outputs):
            yield from (x.name for x in outputs if isinstance(x, Var))
        case Call(outputs=variables):
            yield from (x.name for x in variables)
