"""Compare nests of arrays and numbers; random ones of their shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad import pytree


class Disagreement(AssertionError):
    """Two ways to compute the same thing differ. ``kind`` says which, for shrinking."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


def all_leaves(weights: Any) -> list[Any]:
    if isinstance(weights, (tuple, list)):
        return [leaf for part in weights for leaf in all_leaves(part)]
    return [weights]


def is_float(x: Any) -> bool:
    return np.asarray(x).dtype.kind == "f"


def is_single(arguments: Any) -> bool:
    return any(np.asarray(x).dtype == np.float32 for x in pytree.leaves(arguments))


def copied(nest: Any) -> Any:
    """A copy, in which arrays lie in memory as those they are copies of."""

    def one(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        if not isinstance(x.base, np.ndarray) or not x.size:
            return x.copy()
        base = x.base.copy(order="K")
        offset = x.ctypes.data - x.base.ctypes.data
        return np.ndarray(x.shape, x.dtype, base, offset, x.strides)

    return pytree.map_leaves(one, nest)


def doubled(nest: Any) -> Any:
    """A copy in double precision."""
    return pytree.map_leaves(
        lambda x: x.astype(float) if isinstance(x, np.ndarray) and is_float(x) else x,
        nest,
    )


def direction_like(nest: Any, rng: np.random.Generator) -> Any:
    """Random floats in place of floats, None in place of anything else."""

    def one(x: Any) -> Any:
        if not is_float(x):
            return None
        values = rng.uniform(0.3, 1.0, np.shape(x)) * rng.choice(
            [-1.0, 1.0], np.shape(x)
        )
        return np.asarray(values, np.asarray(x).dtype)[()]

    return pytree.map_leaves(one, nest)


def inner(a: Any, b: Any) -> tuple[float, float]:
    """The inner product of two nests, and that of their absolute values."""
    pairs = [
        (np.asarray(x, float), np.asarray(y, float))
        for x, y in zip(all_leaves(a), all_leaves(b), strict=True)
        if x is not None and y is not None and is_float(x)
    ]
    products = [x * y for x, y in pairs]
    total = sum(float(np.sum(p)) for p in products)
    return total, sum(float(np.sum(np.abs(p))) for p in products)


def same(
    kind: str,
    expected: Any,
    found: Any,
    *,
    exact: bool = False,
    single: bool = False,
    scaled: bool = False,
) -> None:
    """Compare two nests.

    Raises:
        Disagreement: if they differ.
    """
    first, second = all_leaves(expected), all_leaves(found)
    if len(first) != len(second):
        raise Disagreement(kind, f"{expected!r} and {found!r}")
    for x, y in zip(first, second, strict=True):
        if x is None or y is None:
            if x is not y:
                raise Disagreement(kind, f"{x!r} and {y!r}")
            continue
        a, b = np.asarray(x), np.asarray(y)
        # A number may be an integer in one path and a float in another.
        kinds = a.ndim == 0 or a.dtype == b.dtype
        limit = 0.0 if exact else 1e-3 if single else 1e-9
        scale = max(1.0, float(np.max(np.abs(a), initial=0.0))) if scaled else 1.0
        close = a.shape == b.shape and np.allclose(
            b, a, rtol=limit, atol=limit * scale, equal_nan=True
        )
        if not (kinds and close):
            raise Disagreement(kind, f"{a!r} and {b!r}")


__all__ = [
    "Disagreement",
    "all_leaves",
    "copied",
    "direction_like",
    "doubled",
    "inner",
    "is_float",
    "is_single",
    "same",
]
