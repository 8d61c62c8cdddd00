"""What primitives mean in an algebra, where NumPy's own function won't do on objects.

Every definition takes the interpreter first, a ``Run``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.ir.types import FLOATS, DType
from tracegrad.primitives import indexing
from tracegrad.primitives.comparisons import logical_and, logical_or
from tracegrad.primitives.elementwise import maximum, minimum
from tracegrad.primitives.refs import window
from tracegrad.traces import exact_linalg
from tracegrad.traces.algebra import Algebra, known_integer


class Run(Protocol):
    """What definitions need of the interpreter."""

    @property
    def algebra(self) -> Algebra:
        """The numbers computed with."""

    def decide(self, condition: Any) -> bool:
        """The truth of a condition, which must be known."""

    def integer(self, value: Any) -> int:
        """An integer, which must be known."""

    def scalar(self, primitive: Primitive, params: Mapping[str, Any]) -> Any:
        """A primitive as a function of elements."""

    def mapped(self, function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
        """A function of elements applied to arrays of one shape."""


# --- dtypes ------------------------------------------------------------------------


def conversion(run: Run, source: DType, target: DType) -> Callable[[Any], Any]:
    """A change of dtype, of one element."""
    algebra = run.algebra

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


# --- storage -----------------------------------------------------------------------


def _alloc(
    run: Run, *, shape: tuple[int, ...], dtype: DType, fill: float | None
) -> Any:
    value: Any = np.nan if fill is None else fill
    if dtype in FLOATS:
        value = run.algebra.literal(float(value))
    else:
        value = 0 if fill is None else int(value)
    array = np.empty(shape, object)
    array.fill(value)
    return array


def _reserve(
    run: Run,
    *lengths: Any,
    name: str,
    dtype: DType,
    cell: tuple[int, ...],
    fill: float | None,
    grows: bool,
) -> Any:
    leading = (max(0, run.integer(n)) for n in lengths)
    return _alloc(run, shape=(*leading, *cell), dtype=dtype, fill=fill)


def _grow(run: Run, ref: Any, position: Any) -> None:
    if run.integer(position) >= len(ref):
        shape = (2 * run.integer(position) + 1, *ref.shape[1:])
        ref.resize(shape, refcheck=False)


def _place(run: Run, index: Sequence[Any], sizes: Any, steps: Any) -> Any:
    return window(tuple(run.integer(i) for i in index), sizes, steps)


def _load(run: Run, base: Any, *index: Any, sizes: Any, steps: Any) -> Any:
    cells = base[_place(run, index, sizes, steps)] if index else base
    return cells.copy() if isinstance(cells, np.ndarray) else cells


def _store(run: Run, ref: Any, value: Any, *index: Any, sizes: Any, steps: Any) -> Any:
    ref[_place(run, index, sizes, steps)] = value


def _accumulate(
    run: Run, ref: Any, value: Any, *index: Any, sizes: Any, steps: Any
) -> Any:
    place = _place(run, index, sizes, steps)
    ref[place] = ref[place] + value


EFFECTS: dict[str, Callable[..., Any]] = {
    "alloc": _alloc,
    "copy": lambda run, x: np.array(x, object),
    "load": _load,
    "store": _store,
    "accumulate": _accumulate,
    "reserve": _reserve,
    "grow": _grow,
}

# NumPy moves objects as it moves numbers, and adds and multiplies them.
STRUCTURAL = {
    *("expand", "squeeze", "transpose", "reshape", "slice", "pad", "concatenate"),
    *("iota", "size", "reduce_sum", "reduce_prod", "cumsum", "cumprod"),
    *("recurrence", "dot"),
}


def _indices(run: Run, arrays: Sequence[Any]) -> list[Any]:
    return [np.asarray(run.mapped(run.integer, [a]), np.int64) for a in arrays]


def _gather(run: Run, x: Any, *indices: Any, **params: Any) -> Any:
    # NumPy would take a single object out of its array, so one axis is lent to it.
    whole = [np.atleast_1d(i) for i in _indices(run, indices)]
    taken = indexing.gather.numpy(x, *whole, **params)
    return taken if np.ndim(indices[0]) else np.squeeze(taken, params["position"])


def _scatter(run: Run, updates: Any, *indices: Any, **params: Any) -> Any:
    cells = np.asarray(updates, object)
    return indexing.scatter_add.numpy(cells, *_indices(run, indices), **params)


# --- reductions and orders ---------------------------------------------------------


def _fold(run: Run, primitive: Primitive, x: Any, axes: tuple[int, ...]) -> Any:
    """Elements along axes combined by a primitive of two."""
    combine = run.scalar(primitive, {})
    rest = [k for k in range(x.ndim) if k not in axes]
    moved = np.transpose(x, (*rest, *axes))
    return _along_last(moved, len(axes), lambda c: functools.reduce(combine, c))


def _any_or_all(run: Run, x: Any, axes: tuple[int, ...], primitive: Primitive) -> Any:
    """Truth values combined; of none, NumPy's answer."""
    if x.size:
        return _fold(run, primitive, x, axes)
    whole = np.logical_or if primitive.name == "logical_or" else np.logical_and
    return whole.reduce(x.astype(bool), axis=axes).astype(object)


def _extreme(run: Run, x: Any, axis: int, sign: int) -> Any:
    """Positions of the first largest (smallest) elements along an axis."""

    def position(cells: Any) -> int:
        best = 0
        for k in range(1, len(cells)):
            a, b = (cells[k], cells[best]) if sign > 0 else (cells[best], cells[k])
            if run.decide(a > b):
                best = k
        return best

    return _along_last(np.moveaxis(x, axis, -1), 1, position)


def _order(run: Run, x: Any, axis: int) -> Any:
    """Positions in ascending order along an axis, ties as they stand."""

    def less(a: Any, b: Any) -> int:
        return -1 if run.decide(a < b) else int(run.decide(b < a))

    def sort(cells: Any) -> list[int]:
        key = functools.cmp_to_key(lambda i, j: less(cells[i], cells[j]))
        return sorted(range(len(cells)), key=key)

    moved = np.moveaxis(x, axis, -1)
    out = np.empty(moved.shape, object)
    for index in np.ndindex(*moved.shape[:-1]):
        out[index] = sort(moved[index])
    return np.moveaxis(out, -1, axis)


def _along_last(x: Any, count: int, function: Callable[[Any], Any]) -> Any:
    """A function of the cells along the last axes, for each of the others."""
    shape = x.shape[: x.ndim - count]
    flat = x.reshape(*shape, -1)
    out = np.empty(shape, object)
    for index in np.ndindex(*shape):
        out[index] = function(flat[index])
    return out if shape else out[()]


def _exponentials(run: Run, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The exponentials, and their sums along axes, which are kept."""
    exp = run.algebra.function("exp", "exp(x)", ("x",))
    weights = run.mapped(exp, [x])
    return weights, np.sum(weights, axis=axes, keepdims=True)


def _logarithm(run: Run, x: Any) -> Any:
    return run.mapped(run.algebra.function("log", "log(x)", ("x",)), [x])


def _logsumexp(run: Run, x: Any, *, axes: tuple[int, ...]) -> Any:
    return _logarithm(run, np.squeeze(_exponentials(run, x, axes)[1], axis=axes)[()])


def _softmax(run: Run, x: Any, *, axes: tuple[int, ...]) -> Any:
    weights, total = _exponentials(run, x, axes)
    divide = run.algebra.function("divide", "x / y", ("x", "y"))
    return run.mapped(divide, np.broadcast_arrays(weights, total))


def _log_softmax(run: Run, x: Any, *, axes: tuple[int, ...]) -> Any:
    return x - _logarithm(run, _exponentials(run, x, axes)[1])


def _solve(run: Run, a: Any, b: Any) -> Any:
    pivot = run.algebra.pivot
    return exact_linalg.over_matrices(
        lambda x, y: exact_linalg.solve(x, y, pivot), a, b
    )


def _inv(run: Run, a: Any) -> Any:
    one, pivot = run.algebra.literal(1.0), run.algebra.pivot
    return exact_linalg.over_matrices(lambda x: exact_linalg.inverse(x, one, pivot), a)


def _det(run: Run, a: Any) -> Any:
    pivot = run.algebra.pivot
    return exact_linalg.over_matrices(lambda x: exact_linalg.determinant(x, pivot), a)


def _slogdet(run: Run, a: Any) -> Any:
    found = _det(run, a)
    sign = run.algebra.function("sign", "sign(x)", ("x",))
    size = run.algebra.function("absolute", "Abs(x)", ("x",))
    return run.mapped(sign, [found]), _logarithm(run, run.mapped(size, [found]))


def _cholesky(run: Run, a: Any) -> Any:
    sqrt = run.algebra.function("sqrt", "sqrt(x)", ("x",))
    return exact_linalg.over_matrices(lambda x: exact_linalg.cholesky(x, sqrt), a)


DEFINITIONS: dict[str, Callable[..., Any]] = {
    "gather": _gather,
    "scatter_add": _scatter,
    "reduce_max": lambda run, x, *, axes: _fold(run, maximum, x, axes),
    "reduce_min": lambda run, x, *, axes: _fold(run, minimum, x, axes),
    "argmax": lambda run, x, *, axis: _extreme(run, x, axis, 1),
    "argmin": lambda run, x, *, axis: _extreme(run, x, axis, -1),
    "argsort": lambda run, x, *, axis: _order(run, x, axis),
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "shares": _softmax,
    "log_softmax": _log_softmax,
    "reduce_any": lambda run, x, *, axes: _any_or_all(run, x, axes, logical_or),
    "reduce_all": lambda run, x, *, axes: _any_or_all(run, x, axes, logical_and),
    "solve": _solve,
    "inv": _inv,
    "det": _det,
    "slogdet": _slogdet,
    "cholesky": _cholesky,
}
