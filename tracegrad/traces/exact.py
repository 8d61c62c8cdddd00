"""Evaluate a graph exactly: on symbols, or on numbers of many digits.

One interpreter for every kind of *algebra*: arrays are object arrays of its elements,
Refs are such arrays written in place, integers and truth values that are known stay
Python's own, so that indices, trip counts and branches on them are decided as NumPy
would. Loops run out over the given sizes. What an algebra can't decide, a branch on a
symbol, is evaluated on both sides and merged, or raises ``Undecided``.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np

from tracegrad.errors import TracegradError
from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value
from tracegrad.ir.primitive import Composite, Primitive, Scalar
from tracegrad.ir.source import Location
from tracegrad.ir.types import FLOATS, DType, RefType
from tracegrad.primitives import control, indexing
from tracegrad.primitives.comparisons import logical_and, logical_or
from tracegrad.primitives.elementwise import maximum, minimum
from tracegrad.primitives.refs import window
from tracegrad.traces import exact_linalg
from tracegrad.traces.evaluate import concretise, sizes_of


class Undecided(TracegradError):
    """A loop, an index or an order depends on a value that the algebra doesn't know."""


class NoSymbolicForm(TracegradError):
    """A primitive has no meaning in this algebra."""


class OutOfTime(TracegradError):
    """An evaluation took longer than it was given."""


class Algebra(ABC):
    """The numbers that a graph is evaluated on.

    Args:
        deadline: when to give up, in the seconds of ``time.monotonic``.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline = deadline

    def tick(self) -> None:
        """Called before each equation.

        Raises:
            OutOfTime: after the deadline.
        """
        if self._deadline is not None and monotonic() > self._deadline:
            raise OutOfTime("out of time.")

    @abstractmethod
    def literal(self, value: float) -> Any:
        """A floating-point constant."""

    @abstractmethod
    def function(self, name: str, text: str, names: tuple[str, ...]) -> Any:
        """A scalar function, from its SymPy text over the operands' names."""

    @abstractmethod
    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        """One of two values."""

    @abstractmethod
    def decide(self, condition: Any) -> bool | None:
        """The truth of a condition, or None."""

    @abstractmethod
    def integer(self, value: Any) -> int | None:
        """The integer that a value is, or None."""

    @abstractmethod
    def pivot(self, column: Any) -> int:
        """The position of a number to divide by."""


def evaluate_exactly(
    graph: Graph, arguments: Sequence[Any], algebra: Algebra
) -> list[Any]:
    """A graph's results in an algebra.

    Args:
        graph: without custom calls.
        arguments: one per parameter: elements of the algebra or object arrays of them;
            integers and truth values as they are.
        algebra: what to compute with.

    Raises:
        Undecided: at the user's line.
        NoSymbolicForm: if a primitive has none.
    """
    known: dict[Value, Any] = dict(zip(graph.params, arguments, strict=True))
    return _Run(known, sizes_of(graph, arguments), algebra).block(graph)


def known_integer(x: Any) -> bool:
    """Whether it is an integer or truth value of Python's own."""
    return isinstance(x, int)


class _Run:
    """The values and sizes known so far."""

    def __init__(
        self, known: dict[Value, Any], sizes: Mapping[str, int], algebra: Algebra
    ) -> None:
        self._known = known
        self._sizes = dict(sizes)
        self._algebra = algebra
        self._where: Location | None = None

    # --- blocks and control flow -----------------------------------------------------

    def read(self, operand: Operand) -> Any:
        if not isinstance(operand, Literal):
            return self._known[operand]
        if operand.dtype in FLOATS:
            return self._algebra.literal(float(operand.value))
        return operand.value

    def block(self, graph: Graph) -> list[Any]:
        for equation in graph.equations:
            self._algebra.tick()
            self._where = equation.location or self._where
            results = self.equation(equation)
            for output, value in zip(equation.outputs, results, strict=True):
                self._known[output] = value
        return [self.read(result) for result in graph.results]

    def equation(self, equation: Equation) -> Sequence[Any]:
        primitive = equation.primitive
        inputs = [self.read(x) for x in equation.inputs]
        params = {k: concretise(v, self._sizes) for k, v in equation.params.items()}
        if primitive is control.for_:
            return self._for(equation.regions[0], inputs, **params)
        if primitive is control.while_:
            return self._while(equation, inputs)
        if primitive is control.cond:
            return self._cond(equation.regions, inputs[0])
        if primitive.name in _EFFECTS:
            result = _EFFECTS[primitive.name](self, *inputs, **params)
            return [result] if equation.outputs else []
        types = [o.type.dtype for o in equation.outputs]
        if primitive.name == "convert":
            source: DType = equation.inputs[0].type.dtype
            return [self.mapped(_conversion(self, source, types[0]), inputs)]
        if primitive is control.check:
            if self._algebra.decide(inputs[0]) is False:
                primitive.numpy(False, **params)
            return []
        results = self._pure(primitive, inputs, params)
        return [self._typed(r, t) for r, t in zip(results, types, strict=True)]

    def _for(
        self, body: Graph, inputs: list[Any], *, step: int, reversed: bool, stops: bool
    ) -> list[Any]:
        lo, hi, *carried = inputs
        bounds = self.integer(lo), self.integer(hi)
        trips = 0
        for index in control.indices(*bounds, step, reversed):
            self._sizes[str(body.params[0].name)] = index
            carried = self._region(body, [index, *carried])
            trips += 1
            if stops and self.decide(carried.pop(0)):
                break
        return [*carried, trips]

    def _while(self, equation: Equation, carried: list[Any]) -> list[Any]:
        condition, body = equation.regions
        trips = 0
        while self.decide(self._region(condition, [trips, *carried])[0]):
            self._sizes[str(body.params[0].name)] = trips
            carried = self._region(body, [trips, *carried])
            trips += 1
        return [*carried, trips]

    def _region(self, region: Graph, arguments: Sequence[Any]) -> list[Any]:
        self._known.update(zip(region.params, arguments, strict=True))
        return self.block(region)

    def _cond(self, regions: Sequence[Graph], condition: Any) -> list[Any]:
        decided = self._algebra.decide(condition)
        if decided is not None:
            return self.block(regions[0 if decided else 1])
        before = self._refs()
        kept = [r.copy() for r in before]
        yes = self.block(regions[0])
        written = [r.copy() for r in before]
        for ref, cells in zip(before, kept, strict=True):
            ref[...] = cells
        no = self.block(regions[1])
        for ref, cells in zip(before, written, strict=True):
            ref[...] = self._merged(condition, cells, ref)
        return [self._merged(condition, a, b) for a, b in zip(yes, no, strict=True)]

    def _refs(self) -> list[Any]:
        """Every array that can be written, once."""
        found = {
            id(array): array
            for value, array in self._known.items()
            if isinstance(value.type, RefType)
        }
        return list(found.values())

    def _merged(self, condition: Any, yes: Any, no: Any) -> Any:
        choose = functools.partial(self._algebra.choose, condition)
        return self.mapped(choose, [yes, no])

    # --- what must be known ----------------------------------------------------------

    def decide(self, condition: Any) -> bool:
        """The truth of a condition.

        Raises:
            Undecided: if the algebra doesn't know it.
        """
        truth = self._algebra.decide(condition)
        if truth is None:
            raise Undecided(f"{condition} is neither true nor false.", self._where)
        return truth

    def integer(self, value: Any) -> int:
        """An integer.

        Raises:
            Undecided: if the algebra doesn't know it.
        """
        number = self._algebra.integer(value)
        if number is None:
            raise Undecided(f"{value} is no known integer.", self._where)
        return number

    # --- pure primitives -------------------------------------------------------------

    def scalar(self, primitive: Primitive, params: Mapping[str, Any]) -> Any:
        """A primitive as a function of elements."""
        if primitive.sympy is None:
            function = None
        else:
            own = primitive.lower.names if isinstance(primitive.lower, Scalar) else "x"
            names = (*own, *params)
            general = self._algebra.function(primitive.name, primitive.sympy, names)
            function = functools.partial(general, **params)

        def apply(*elements: Any) -> Any:
            if all(map(known_integer, elements)):
                result = primitive.numpy(*elements, **params)
                return result.item() if hasattr(result, "item") else result
            if function is None:
                raise NoSymbolicForm(
                    f"{primitive.name} has no symbolic form.", self._where
                )
            return function(*elements)

        return apply

    def mapped(self, function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
        """A function of elements applied to arrays of one shape."""
        if not any(isinstance(x, np.ndarray) for x in inputs):
            return function(*inputs)
        if not any(x.size for x in inputs if isinstance(x, np.ndarray)):
            return np.broadcast_arrays(*inputs)[-1].astype(object)
        return np.frompyfunc(function, len(inputs), 1)(*inputs)

    def _pure(
        self, primitive: Primitive, inputs: list[Any], params: dict[str, Any]
    ) -> Sequence[Any]:
        if isinstance(primitive.lower, Scalar) and primitive.lower.names:
            return [self.mapped(self.scalar(primitive, params), inputs)]
        if primitive.sympy is not None:  # a composite one, such as a power
            return [self.mapped(self.scalar(primitive, params), inputs)]
        own = _OWN.get(primitive.name)
        if own is not None:
            result = own(self, *inputs, **params)
            return result if isinstance(result, tuple) else (result,)
        if primitive.name not in _STRUCTURAL:
            what = "composition" if isinstance(primitive.lower, Composite) else "form"
            raise NoSymbolicForm(
                f"{primitive.name} has no symbolic {what}.", self._where
            )
        return [primitive.numpy(*inputs, **params)]

    def _typed(self, value: Any, dtype: DType) -> Any:
        """Elements as the algebra's own, where NumPy made zeros and the like."""
        if isinstance(value, np.ndarray):
            value = value.astype(object) if value.dtype != object else value
            if not value.ndim:
                value = value[()]
        if dtype not in FLOATS:
            return value
        literal = self._algebra.literal
        return self.mapped(
            lambda x: literal(x) if isinstance(x, (int, float)) else x, [value]
        )

    # --- reductions and orders -------------------------------------------------------

    def fold(self, primitive: Primitive, x: Any, axes: tuple[int, ...]) -> Any:
        """Elements along axes combined by a primitive of two."""
        combine = self.scalar(primitive, {})
        rest = [k for k in range(x.ndim) if k not in axes]
        moved = np.transpose(x, (*rest, *axes))
        return along_last(moved, len(axes), lambda c: functools.reduce(combine, c))

    def any_or_all(self, x: Any, axes: tuple[int, ...], primitive: Primitive) -> Any:
        """Truth values combined; of none, NumPy's answer."""
        if x.size:
            return self.fold(primitive, x, axes)
        whole = np.logical_or if primitive.name == "logical_or" else np.logical_and
        return whole.reduce(x.astype(bool), axis=axes).astype(object)

    def extreme(self, x: Any, axis: int, sign: int) -> Any:
        """Positions of the first largest (smallest) elements along an axis."""

        def position(cells: Any) -> int:
            best = 0
            for k in range(1, len(cells)):
                a, b = (cells[k], cells[best]) if sign > 0 else (cells[best], cells[k])
                if self.decide(a > b):
                    best = k
            return best

        return along_last(np.moveaxis(x, axis, -1), 1, position)

    def order(self, x: Any, axis: int) -> Any:
        """Positions in ascending order along an axis, ties as they stand."""

        def less(a: Any, b: Any) -> int:
            return -1 if self.decide(a < b) else int(self.decide(b < a))

        def sort(cells: Any) -> list[int]:
            key = functools.cmp_to_key(lambda i, j: less(cells[i], cells[j]))
            return sorted(range(len(cells)), key=key)

        moved = np.moveaxis(x, axis, -1)
        out = np.empty(moved.shape, object)
        for index in np.ndindex(*moved.shape[:-1]):
            out[index] = sort(moved[index])
        return np.moveaxis(out, -1, axis)


def along_last(x: Any, count: int, function: Callable[[Any], Any]) -> Any:
    """A function of the cells along the last axes, for each of the others."""
    shape = x.shape[: x.ndim - count]
    flat = x.reshape(*shape, -1)
    out = np.empty(shape, object)
    for index in np.ndindex(*shape):
        out[index] = function(flat[index])
    return out if shape else out[()]


def _conversion(run: _Run, source: DType, target: DType) -> Callable[[Any], Any]:
    """A change of dtype, of one element."""
    algebra = run._algebra

    def convert(x: Any) -> Any:
        if target in FLOATS:
            if source in FLOATS:
                return x
            if source != "bool":
                return algebra.literal(x) if known_integer(x) else x
            return algebra.choose(x, algebra.literal(1), algebra.literal(0))
        if target == "bool":
            return _not_zero(x)
        if source == "bool":
            return int(x) if known_integer(x) else algebra.choose(x, 1, 0)
        return x if source not in FLOATS else truncated(x)

    def _not_zero(x: Any) -> Any:
        if known_integer(x):
            return bool(x)
        return algebra.function("not_equal", "Ne(x, 0)", ("x",))(x)

    def truncated(x: Any) -> Any:
        whole = algebra.function("trunc", "sign(x) * floor(Abs(x))", ("x",))(x)
        number = algebra.integer(whole)
        return whole if number is None else number

    return convert


# --- definitions ---------------------------------------------------------------------


def _alloc(
    run: _Run, *, shape: tuple[int, ...], dtype: DType, fill: float | None
) -> Any:
    value: Any = np.nan if fill is None else fill
    if dtype in FLOATS:
        value = run._algebra.literal(float(value))
    else:
        value = 0 if fill is None else int(value)
    array = np.empty(shape, object)
    array.fill(value)
    return array


def _reserve(
    run: _Run,
    *lengths: Any,
    name: str,
    dtype: DType,
    cell: tuple[int, ...],
    fill: float | None,
    grows: bool,
) -> Any:
    leading = (max(0, run.integer(n)) for n in lengths)
    return _alloc(run, shape=(*leading, *cell), dtype=dtype, fill=fill)


def _grow(run: _Run, ref: Any, position: Any) -> None:
    if run.integer(position) >= len(ref):
        shape = (2 * run.integer(position) + 1, *ref.shape[1:])
        ref.resize(shape, refcheck=False)


def _place(run: _Run, index: Sequence[Any], sizes: Any, steps: Any) -> Any:
    return window(tuple(run.integer(i) for i in index), sizes, steps)


def _load(run: _Run, base: Any, *index: Any, sizes: Any, steps: Any) -> Any:
    cells = base[_place(run, index, sizes, steps)] if index else base
    return cells.copy() if isinstance(cells, np.ndarray) else cells


def _store(run: _Run, ref: Any, value: Any, *index: Any, sizes: Any, steps: Any) -> Any:
    ref[_place(run, index, sizes, steps)] = value


def _accumulate(
    run: _Run, ref: Any, value: Any, *index: Any, sizes: Any, steps: Any
) -> Any:
    place = _place(run, index, sizes, steps)
    ref[place] = ref[place] + value


_EFFECTS: dict[str, Callable[..., Any]] = {
    "alloc": _alloc,
    "copy": lambda run, x: np.array(x, object),
    "load": _load,
    "store": _store,
    "accumulate": _accumulate,
    "reserve": _reserve,
    "grow": _grow,
}

# NumPy moves objects as it moves numbers, and adds and multiplies them.
_STRUCTURAL = {
    *("expand", "squeeze", "transpose", "reshape", "slice", "pad", "concatenate"),
    *("iota", "size", "reduce_sum", "reduce_prod", "cumsum", "cumprod"),
    *("recurrence", "dot"),
}


def _indices(run: _Run, arrays: Sequence[Any]) -> list[Any]:
    return [np.asarray(run.mapped(run.integer, [a]), np.int64) for a in arrays]


def _gather(run: _Run, x: Any, *indices: Any, **params: Any) -> Any:
    # NumPy would take a single object out of its array, so one axis is lent to it.
    whole = [np.atleast_1d(i) for i in _indices(run, indices)]
    taken = indexing.gather.numpy(x, *whole, **params)
    return taken if np.ndim(indices[0]) else np.squeeze(taken, params["position"])


def _scatter(run: _Run, updates: Any, *indices: Any, **params: Any) -> Any:
    cells = np.asarray(updates, object)
    return indexing.scatter_add.numpy(cells, *_indices(run, indices), **params)


def _exponentials(run: _Run, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The exponentials, and their sums along axes, which are kept."""
    exp = run._algebra.function("exp", "exp(x)", ("x",))
    weights = run.mapped(exp, [x])
    return weights, np.sum(weights, axis=axes, keepdims=True)


def _logarithm(run: _Run, x: Any) -> Any:
    return run.mapped(run._algebra.function("log", "log(x)", ("x",)), [x])


def _logsumexp(run: _Run, x: Any, *, axes: tuple[int, ...]) -> Any:
    return _logarithm(run, np.squeeze(_exponentials(run, x, axes)[1], axis=axes)[()])


def _softmax(run: _Run, x: Any, *, axes: tuple[int, ...]) -> Any:
    weights, total = _exponentials(run, x, axes)
    divide = run._algebra.function("divide", "x / y", ("x", "y"))
    return run.mapped(divide, np.broadcast_arrays(weights, total))


def _log_softmax(run: _Run, x: Any, *, axes: tuple[int, ...]) -> Any:
    return x - _logarithm(run, _exponentials(run, x, axes)[1])


def _solve(run: _Run, a: Any, b: Any) -> Any:
    pivot = run._algebra.pivot
    return exact_linalg.over_matrices(
        lambda x, y: exact_linalg.solve(x, y, pivot), a, b
    )


def _inv(run: _Run, a: Any) -> Any:
    one, pivot = run._algebra.literal(1.0), run._algebra.pivot
    return exact_linalg.over_matrices(lambda x: exact_linalg.inverse(x, one, pivot), a)


def _det(run: _Run, a: Any) -> Any:
    pivot = run._algebra.pivot
    return exact_linalg.over_matrices(lambda x: exact_linalg.determinant(x, pivot), a)


def _slogdet(run: _Run, a: Any) -> Any:
    found = _det(run, a)
    sign = run._algebra.function("sign", "sign(x)", ("x",))
    size = run._algebra.function("absolute", "Abs(x)", ("x",))
    return run.mapped(sign, [found]), _logarithm(run, run.mapped(size, [found]))


def _cholesky(run: _Run, a: Any) -> Any:
    sqrt = run._algebra.function("sqrt", "sqrt(x)", ("x",))
    return exact_linalg.over_matrices(lambda x: exact_linalg.cholesky(x, sqrt), a)


_OWN: dict[str, Callable[..., Any]] = {
    "gather": _gather,
    "scatter_add": _scatter,
    "reduce_max": lambda run, x, *, axes: run.fold(maximum, x, axes),
    "reduce_min": lambda run, x, *, axes: run.fold(minimum, x, axes),
    "argmax": lambda run, x, *, axis: run.extreme(x, axis, 1),
    "argmin": lambda run, x, *, axis: run.extreme(x, axis, -1),
    "argsort": lambda run, x, *, axis: run.order(x, axis),
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "shares": _softmax,
    "log_softmax": _log_softmax,
    "reduce_any": lambda run, x, *, axes: run.any_or_all(x, axes, logical_or),
    "reduce_all": lambda run, x, *, axes: run.any_or_all(x, axes, logical_and),
    "solve": _solve,
    "inv": _inv,
    "det": _det,
    "slogdet": _slogdet,
    "cholesky": _cholesky,
}
