"""Tracers: values that record an equation for every operation done on them.

A tracer holds an operand of the graph under construction and stands in for a NumPy
array or a Python number: operators, array methods and ``np.*`` calls on it become
equations. Broadcasting, dtype promotion and the lifting of constants happen here, once
for all primitives, so that an equation's operands have equal shapes and dtypes.

A *weak* tracer stands for a Python number: like one, it takes the dtype of the array
it meets (NEP 50).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tracegrad.errors import (
    DTypeError,
    ShapeError,
    TracegradError,
    TracingError,
)
from tracegrad.ir.graph import Builder, Literal, Operand, Value
from tracegrad.ir.primitive import Primitive, Scalar
from tracegrad.ir.shapes import (
    Dim,
    Shape,
    hint_of,
    same_size,
    shape_of,
    show,
    size_at_least,
    size_equals,
)
from tracegrad.ir.types import (
    FLOATS,
    NARROW,
    ArrayType,
    DType,
    dtype_of,
    narrow_error,
    stored_dtype,
)
from tracegrad.numpy_api import indexing
from tracegrad.numpy_api import table as numpy_table
from tracegrad.numpy_api.alternatives import ValueNeeded
from tracegrad.numpy_api.booleans import logic_of
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import linalg, structural
from tracegrad.primitives.computed_sizes import computed_size
from tracegrad.primitives.identities import dim_of, size_value
from tracegrad.traces.words import STAND_IN

# --- operators: a weak result only from weak operands, as Python's numbers ---------


def _binary(
    function: Callable[[Any, Any], Any], swap: bool = False
) -> Callable[[Any, Any], Any]:
    def operator(self: Tracer, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        pair = (other, self) if swap else (self, other)
        result = function(*pair)
        if isinstance(result, Tracer):
            weak = all(map(_is_weak, pair))
            if weak or result is self:  # x**1 is a new array
                result = Tracer(result.builder, result.operand, weak)
        return result

    return operator


def _unary(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def operator(self: Tracer) -> Any:
        # Python's booleans are integers, NumPy's aren't.
        number = self.weak and self.type.dtype == "bool"
        result = function(cmp.convert(self, dtype="int64") if number else self)
        return Tracer(result.builder, result.operand, self.weak)

    return operator


def _matmul(a: Any, b: Any) -> Any:
    return numpy_table.FUNCTIONS[np.matmul](a, b)


def _is_operand(x: object) -> bool:
    return isinstance(x, (Tracer, bool, int, float, np.generic, np.ndarray))


def _is_weak(x: object) -> bool:
    if isinstance(x, Tracer):
        return x.weak
    return isinstance(x, (bool, int, float)) and not isinstance(x, np.generic)


class Tracer:
    """A value under construction; behaves like the array or number it stands for.

    Attributes:
        builder: records what is done to it.
        operand: the graph's value or literal.
        weak: whether it stands for a Python number.
        origin: where its array was made, or what it is a view of: see ``memory``.
    """

    __slots__ = ("builder", "operand", "origin", "weak")
    __array_priority__ = 1000.0

    def __init__(self, builder: Builder, operand: Operand, weak: bool = False) -> None:
        self.builder = builder
        self.operand = operand
        self.weak = weak
        self.origin: Any = None

    @staticmethod
    def of(builder: Builder, operand: Operand, weak: bool = False) -> Tracer:
        """A new one, whatever kind of tracer this is."""
        return Tracer(builder, operand, weak)

    # --- what an array has ---------------------------------------------------------

    @property
    def type(self) -> ArrayType:
        """Its IR type."""
        return cast("ArrayType", self.operand.type)

    @property
    def dims(self) -> Shape:
        """Its shape as symbolic sizes."""
        return self.type.shape

    @property
    def shape(self) -> tuple[Any, ...]:
        """Its shape as Python code sees it: ints, and tracers for symbolic sizes."""
        return tuple(size_tracer(self.builder, d) for d in self.dims)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its NumPy dtype."""
        return np.dtype(self.type.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.dims)

    @property
    def size(self) -> Any:
        """The number of elements."""
        total = Dim.constant(1)
        for d in self.dims:
            total = total * d
        return size_tracer(self.builder, total)

    @property
    def T(self) -> Any:
        """The transpose."""
        return numpy_table.FUNCTIONS[np.transpose](self)

    def __len__(self) -> int:
        if not self.dims:
            raise TypeError("len() of unsized object")
        return int(size_tracer(self.builder, self.dims[0]))

    def __getitem__(self, index: Any) -> Any:
        return indexing.getitem(self, index)

    def __iter__(self) -> Any:
        if not self.dims:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        method = numpy_table.METHODS.get(name)
        if method is None:
            raise AttributeError(f"a traced array has no attribute {name!r}")
        return lambda *args, **kwargs: method(self, *args, **kwargs)

    # --- where Python needs a value ------------------------------------------------

    def __bool__(self) -> bool:
        decided = _decide(self.operand)
        if decided is None:
            raise ValueNeeded(self.builder.location, "a branch")
        return decided

    def __index__(self) -> int:
        size = computed_size(self.operand)
        if size is None:
            raise ValueNeeded(
                self.builder.location, "an integer that Python needs here"
            )
        return self.builder.assumptions.concrete(size)

    __int__ = __index__

    def __float__(self) -> float:
        size = dim_of(self.operand)
        if size is not None:
            return float(self.builder.assumptions.concrete(size))
        raise ValueNeeded(self.builder.location, "a number that Python needs here")

    def __repr__(self) -> str:
        name = self.operand.name if isinstance(self.operand, Value) else self.operand
        return f"{STAND_IN}{name or 'value'}: {self.type}>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    # --- operators -----------------------------------------------------------------

    __add__ = _binary(ew.add)
    __radd__ = _binary(ew.add, swap=True)
    __sub__ = _binary(ew.subtract)
    __rsub__ = _binary(ew.subtract, swap=True)
    __mul__ = _binary(ew.multiply)
    __rmul__ = _binary(ew.multiply, swap=True)
    __truediv__ = _binary(ew.divide)
    __rtruediv__ = _binary(ew.divide, swap=True)
    __floordiv__ = _binary(ew.floor_divide)
    __rfloordiv__ = _binary(ew.floor_divide, swap=True)
    __mod__ = _binary(ew.remainder)
    __rmod__ = _binary(ew.remainder, swap=True)
    __pow__ = _binary(ew.raise_to)
    __rpow__ = _binary(ew.raise_to, swap=True)
    __and__ = _binary(cmp.bitwise_and)
    __rand__ = _binary(cmp.bitwise_and, swap=True)
    __or__ = _binary(cmp.bitwise_or)
    __ror__ = _binary(cmp.bitwise_or, swap=True)
    __xor__ = _binary(cmp.bitwise_xor)
    __rxor__ = _binary(cmp.bitwise_xor, swap=True)
    __lshift__ = _binary(cmp.left_shift)
    __rlshift__ = _binary(cmp.left_shift, swap=True)
    __rshift__ = _binary(cmp.right_shift)
    __rrshift__ = _binary(cmp.right_shift, swap=True)
    __matmul__ = _binary(_matmul)
    __rmatmul__ = _binary(_matmul, swap=True)
    __lt__ = _binary(cmp.less)
    __le__ = _binary(cmp.less_equal)
    __gt__ = _binary(cmp.greater)
    __ge__ = _binary(cmp.greater_equal)
    __eq__ = _binary(cmp.equal)
    __ne__ = _binary(cmp.not_equal)
    __neg__ = _unary(ew.negative)
    __abs__ = _unary(ew.absolute)
    __invert__ = _unary(cmp.invert)
    __pos__ = _unary(lambda x: x)
    # == records an equation, as it computes an array for NumPy's: no hash.
    __hash__: None  # type: ignore[assignment]

    # --- NumPy's protocols ---------------------------------------------------------

    def __array__(self, *args: object, **kwargs: object) -> Any:
        raise TracingError(
            "a traced array can't become a plain NumPy array.",
            self.builder.location,
            "Call NumPy functions that tracegrad knows, or use stop_gradient.",
        )

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if method != "__call__" or kwargs:
            return numpy_table.ufunc_method(ufunc, method, inputs, kwargs)
        return numpy_table.lookup(ufunc)(*inputs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        return numpy_table.lookup(function)(*args, **kwargs)


# --- recording ---------------------------------------------------------------------


def record(
    primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]
) -> Any:
    """Apply a primitive to tracers and constants: promote, broadcast, emit."""
    builder = next(x.builder for x in operands if isinstance(x, Tracer))
    if primitive.refuses:
        raise TracingError(
            f"{primitive.name} is not supported: {primitive.refuses}", builder.location
        )
    if all(dtype_name(x) == "bool" for x in operands):
        if primitive is linalg.dot:
            whole = [cmp.convert(x, dtype="int64") for x in operands]
            return cmp.not_equal(linalg.dot(*whole, **params), 0)
        if not all(map(_is_weak, operands)):  # Python's booleans are integers
            primitive = logic_of(primitive)
    try:
        types = promote(primitive, operands)
        values = [lift(builder, x, t) for x, t in zip(operands, types, strict=True)]
        if isinstance(primitive.lower, Scalar):
            values = broadcast(builder, primitive, values)
        outputs = builder.emit(primitive, values, _in_normal_form(params))
    except TracegradError as error:
        raise error.located(builder.location) from None
    tracers = tuple(Tracer(builder, output) for output in outputs)
    return tracers[0] if len(tracers) == 1 else tracers


def _in_normal_form(params: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes as Dims, so that equal parameters are equal by inspection."""
    return {
        key: shape_of(value) if key in ("shape", "sizes", "starts") else value
        for key, value in params.items()
    }


record.rank = 1.0  # type: ignore[attr-defined]
Tracer.__tracegrad_apply__ = staticmethod(record)  # type: ignore[attr-defined]


def dtype_name(x: Any) -> DType:
    """The dtype of a tracer, an array or a number."""
    if isinstance(x, Tracer):
        return x.type.dtype
    if isinstance(x, bool):
        return "bool"
    if isinstance(x, int):
        return "int64"
    if isinstance(x, float):
        return "float64"
    return stored_dtype(x.dtype)


def result_dtype(operands: Sequence[Any]) -> DType:
    """NumPy's promotion, with Python numbers weak."""
    strong = [dtype_name(x) for x in operands if not _is_weak(x)]
    weak = [dtype_name(x) for x in operands if _is_weak(x)]
    if not strong:
        order: list[DType] = ["bool", "int64", "float32", "float64"]
        return max(weak, key=order.index)
    found = np.result_type(*(np.dtype(s) for s in strong)).name
    if found in NARROW and "float64" not in weak:
        return cast("DType", found)
    joint = "float64" if found in NARROW else dtype_of(found)
    if "float64" in weak and joint not in FLOATS:
        return "float64"
    if "int64" in weak and joint == "bool":
        return "int64"
    return joint


_COMPARED = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
_WIDENED = frozenset((*_COMPARED, "divide"))  # exact of narrow integers, too


def promote(primitive: Primitive, operands: Sequence[Any]) -> list[DType]:
    """The dtype to which each operand is converted."""
    match primitive.operands:
        case "any":
            return [dtype_name(x) for x in operands]
        case "bool":
            return ["bool"] * len(operands)
        case "mask":
            joint = result_dtype(operands[1:])
            return ["bool", *[joint] * (len(operands) - 1)]
        case _:
            joint = result_dtype(operands)
    if joint in NARROW and primitive.name in _WIDENED:
        joint = "int64"
    if joint in NARROW and primitive.operands != "joint":
        raise narrow_error(joint)
    if primitive.operands == "float" and joint not in FLOATS:
        joint = "float64"
    if primitive.operands == "number" and joint == "bool":
        joint = "int64"
    if primitive.operands == "integer" and joint in FLOATS:
        raise DTypeError(f"{primitive.name} takes integers, not {joint}.")
    return [joint] * len(operands)


def lift(builder: Builder, x: Any, dtype: DType | None = None) -> Operand:
    """A constant or tracer as an operand of the graph, converted to a dtype."""
    if isinstance(x, Tracer):
        operand = x.operand
    elif isinstance(x, np.ndarray) and x.ndim:
        operand = builder.capture(x)
    else:
        operand = Literal(x.item() if hasattr(x, "item") else x, dtype_name(x))
    return operand if dtype is None else convert(builder, operand, dtype)


def convert(builder: Builder, operand: Operand, dtype: DType) -> Operand:
    """The operand with another dtype; a literal is converted on the spot."""
    if operand.type.dtype == dtype:
        return operand
    if isinstance(operand, Literal):
        number = np.dtype(dtype).type(operand.value).item()
        return Literal(number, dtype)
    return builder.emit1(cmp.convert, (operand,), {"dtype": dtype})


def broadcast(
    builder: Builder, primitive: Primitive, values: Sequence[Operand]
) -> list[Operand]:
    """All operands expanded to their common shape."""
    shape: Shape = ()
    for value in values:
        joined = broadcast_shapes(shape, value.type.shape)
        if joined is None:
            shapes = " and ".join(show(v.type.shape) for v in values)
            hints = " and ".join(
                str(tuple(builder.assumptions.hint(d) for d in v.type.shape))
                for v in values
            )
            raise ShapeError(
                f"operands of {primitive.name} could not be broadcast together: "
                f"shapes {shapes}, here {hints}."
            )
        shape = joined
    return [expand_to(builder, value, shape) for value in values]


def broadcast_shapes(a: Shape, b: Shape) -> Shape | None:
    """The common shape of two operands, or None if there is none."""
    if a == b:
        return a
    if len(a) < len(b):
        a, b = b, a
    joined = list(a)
    for k, d in enumerate(b, start=len(a) - len(b)):
        one = Dim.constant(1)
        if a[k] == d or d == one:
            continue
        if a[k] == one:
            joined[k] = d
        elif not same_size(a[k], d):
            # A length that only happens to be one broadcasts too, under a guard.
            if size_is_one(d):
                continue
            if not size_is_one(a[k]):
                return None
            joined[k] = d
    return tuple(joined)


def size_is_one(size: Dim) -> bool:
    """Whether a length is one in this call; guarded only if so."""
    return hint_of(size) == 1 and size_equals(size, 1)


def expand_to(builder: Builder, value: Operand, shape: Shape) -> Operand:
    """Broadcast to a shape by NumPy's rule: trailing axes align, ones stretch."""
    own = value.type.shape
    if own == shape:
        return value
    offset = len(shape) - len(own)
    one = Dim.constant(1)
    # A length that equals its target only under a guard doesn't stretch.
    dropped = tuple(
        k
        for k, (d, target) in enumerate(zip(own, shape[offset:], strict=True))
        if d != target and (d == one or not same_size(d, target))
    )
    if dropped:
        value = builder.emit1(structural.squeeze, (value,), {"axes": dropped})
    axes = tuple(offset + k for k in range(len(own)) if k not in dropped)
    return builder.emit1(structural.expand, (value,), {"shape": shape, "axes": axes})


def size_tracer(builder: Builder, size: Dim) -> Any:
    """A symbolic size as Python code sees it: an int, or a weak integer tracer."""
    if size.value is not None:
        return size.value
    return Tracer(builder, size_value(builder, size), weak=True)


def _decide(operand: Operand) -> bool | None:
    """The truth of a comparison of sizes, guarded; None if it depends on data."""
    if isinstance(operand, Literal):
        return bool(operand.value)
    equation = operand.definition
    if equation is None:
        return None
    name = equation.primitive.name
    if name == "not":
        inner = _decide(equation.inputs[0])
        return None if inner is None else not inner
    sizes = [d for d in map(dim_of, equation.inputs) if d is not None]
    if len(sizes) != 2 or len(equation.inputs) != 2:
        return None
    left, right = sizes
    compare: Mapping[str, Callable[[], bool]] = {
        "equal": lambda: size_equals(left, right),
        "not_equal": lambda: not size_equals(left, right),
        "greater_equal": lambda: size_at_least(left, right),
        "less": lambda: not size_at_least(left, right),
        "less_equal": lambda: size_at_least(right, left),
        "greater": lambda: not size_at_least(right, left),
    }
    return compare[name]() if name in compare else None
