"""Example calls of a primitive, from its domain or its samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad.ir.primitive import Primitive, Scalar

# What an elementwise primitive needs besides operands.
PARAMS: dict[str, tuple[dict[str, Any], ...]] = {
    "integer_power": ({"exponent": 2}, {"exponent": 7}),
    "convert": ({"dtype": "float64"}, {"dtype": "int64"}, {"dtype": "bool"}),
}
SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((), (), ()),
    ((3,), (3,), (3,)),
    ((0,), (0,), (0,)),
    ((2, 3), (3,), ()),
    ((3,), (2, 1), (2, 3)),
)


@dataclass(frozen=True)
class Case:
    """Operands and parameters of one call."""

    operands: tuple[Any, ...]
    params: dict[str, Any]

    def with_floats(self, dtype: str) -> Case:
        """The same call in another floating-point dtype."""
        converted = tuple(
            x.astype(dtype) if x.dtype.kind == "f" else x for x in self.operands
        )
        params = dict(self.params)
        if params.get("dtype") == "float64":
            params["dtype"] = dtype
        return Case(converted, params)


def cases(primitive: Primitive, seed: int) -> Iterator[Case]:
    """Calls with operands drawn from the domain, or the samples."""
    rng = np.random.default_rng(seed)
    if primitive.samples:
        for sample in primitive.samples:
            if sample.make is not None:
                operands = sample.make(rng)
            else:
                operands = tuple(rng.normal(size=s) for s in sample.shapes)
            yield Case(tuple(map(np.asarray, operands)), dict(sample.params))
        return
    arity = arity_of(primitive)
    for params in PARAMS.get(primitive.name, ({},)):
        for shapes in SHAPES:
            operands = tuple(
                operand(primitive, k, shapes[k], rng) for k in range(arity)
            )
            yield Case(operands, params)


def arity_of(primitive: Primitive) -> int:
    """How many operands an elementwise primitive takes."""
    if isinstance(primitive.lower, Scalar):
        return len(primitive.lower.names)
    return len(primitive.domain)


def kind_of(primitive: Primitive, k: int) -> Any:
    """What an elementwise primitive's operand is drawn from."""
    if primitive.operands == "bool" or (primitive.operands == "mask" and k == 0):
        return "bool"
    return "integer" if primitive.operands == "integer" else primitive.domain[k]


def operand(primitive: Primitive, k: int, shape: Any, rng: Any) -> np.ndarray:
    """A random operand of an elementwise primitive."""
    kind = kind_of(primitive, k)
    if kind == "bool":
        return np.asarray(rng.uniform(size=shape) < 0.5)
    if kind == "integer":
        return np.asarray(rng.integers(0, 5, size=shape))
    return np.asarray(rng.uniform(*kind, size=shape))


def strided(x: np.ndarray) -> np.ndarray:
    """The same values with gaps between them, where there are axes."""
    return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x
