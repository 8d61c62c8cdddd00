"""One compiled kernel of several primitives with their derivatives.

Numba's time goes into arrays: 15 ms for each that comes in, 20 ms for each that is
filled. So elementwise primitives share operands, and with them a loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from tests.numeric import like
from tests.primitives.cases import PARAMS, Case, arity_of, kind_of, operand
from tracegrad import jit, jvp, vjp
from tracegrad.compiled import Compiled
from tracegrad.ir.primitive import Linear, Primitive

Arrays: TypeAlias = list[Any]
Results: TypeAlias = dict[str, Arrays]

LENGTH = 5


@dataclass(frozen=True)
class Member:
    """A call of a primitive in a joint kernel.

    inputs: positions of its operands among the joint inputs.
    floats: which of its operands are floating-point.
    weights: the position of each result's weight; None if it has no derivative.
    """

    primitive: Primitive
    params: dict[str, Any]
    inputs: tuple[int, ...]
    floats: tuple[int, ...]
    weights: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.primitive.name}{self.params or ''}"

    def __call__(self, *operands: Any) -> tuple[Any, ...]:
        """The results."""
        results = self.primitive(*operands, **self.params)
        return results if isinstance(results, tuple) else (results,)

    @property
    def differentiable(self) -> bool:
        """Whether it has derivatives to compile."""
        results = any(k is not None for k in self.weights)
        return self.primitive.rule is not None and results and bool(self.floats)

    @property
    def curved(self) -> bool:
        """Whether it has second derivatives: a linear map has none."""
        rule = self.primitive.rule
        flat = isinstance(rule, Linear) and (rule.joint or len(rule.transposes) < 2)
        return self.differentiable and not flat

    def operands(self, joint: Arrays) -> Arrays:
        """Its own among the joint inputs."""
        return [joint[k] for k in self.inputs]

    def directions(self, joint: Arrays) -> Arrays:
        """Its floating-point operands' among the directions of the joint inputs."""
        return [joint[self.inputs[k]] for k in self.floats]

    def cotangents(self, joint: Arrays) -> Arrays:
        """Its floating-point results' among the joint weights."""
        return [joint[k] for k in self.weights if k is not None]

    def derivatives(self, xs: Arrays, vs: Arrays, ws: Arrays) -> Results:
        """Values, tangents, cotangents and their tangents, of traced inputs."""
        own = self.operands(xs)
        if not self.differentiable:
            return {"value": list(self(*own))}

        def function(*floats: Any) -> Any:
            operands = list(own)
            for k, x in zip(self.floats, floats, strict=True):
                operands[k] = x
            return self(*operands)

        def pulled(*floats: Any) -> Any:
            weights = tuple(None if k is None else ws[k] for k in self.weights)
            return vjp(function, *floats)[1](weights)

        x, v = tuple(self.directions(xs)), tuple(self.directions(vs))
        value, tangent = jvp(function, x, v)
        found = {"value": list(value), "tangent": [t for t in tangent if t is not None]}
        if self.curved:
            bars, second = jvp(pulled, x, v)
            return {**found, "cotangent": list(bars), "second": list(second)}
        return {**found, "cotangent": list(pulled(*x))}


@dataclass
class Joint:
    """Members, and example inputs that they share."""

    members: list[Member] = field(default_factory=list)
    inputs: Arrays = field(default_factory=list)
    weights: Arrays = field(default_factory=list)

    def add(self, primitive: Primitive, params: Any, inputs: Sequence[int]) -> None:
        """A further member, with weights of its own or of a result of its shape."""
        operands = [self.inputs[k] for k in inputs]
        floats = tuple(k for k, x in enumerate(operands) if x.dtype.kind == "f")
        member = Member(primitive, params, tuple(inputs), floats, ())
        with np.errstate(all="ignore"):
            results = map(np.asarray, member(*operands))
        weights = tuple(map(self._weight, results))
        self.members.append(replace(member, weights=weights))

    def _weight(self, result: np.ndarray) -> int | None:
        if result.dtype.kind != "f":
            return None
        for k, other in enumerate(self.weights):
            if other.shape == result.shape:
                return k
        rng = np.random.default_rng(len(self.weights))
        self.weights.append(np.asarray(rng.normal(size=result.shape)))
        return len(self.weights) - 1

    def directions(self, seed: int) -> Arrays:
        """A random direction for each input; none where there is but one value."""
        drawn = like(np.random.default_rng(seed), self.inputs)
        return [
            np.asarray(v * float(np.any(x != 1.0)))
            for x, v in zip(self.inputs, drawn, strict=True)
        ]

    def compiled(self) -> Compiled:
        """A function of inputs, directions and weights: each member's results."""

        def joint(xs: Arrays, vs: Arrays, ws: Arrays) -> list[Results]:
            return [member.derivatives(xs, vs, ws) for member in self.members]

        return jit(joint)


def apart(primitive: Primitive, chosen: Iterable[Case]) -> Joint:
    """Calls of one primitive, each with operands of its own."""
    joint = Joint()
    for case in chosen:
        first = len(joint.inputs)
        joint.inputs.extend(case.operands)
        joint.add(primitive, case.params, range(first, len(joint.inputs)))
    return joint


def together(primitives: Iterable[Primitive], seed: int) -> Joint:
    """Elementwise primitives on operands that they share, where they may.

    Each is called with numbers, with arrays, and with one array among numbers.
    """
    joint = Joint()
    known: dict[Any, int] = {}
    rng = np.random.default_rng(seed)
    for primitive in primitives:
        arity = arity_of(primitive)
        for params in PARAMS.get(primitive.name, ({},)):
            for shapes in _shapes(arity):
                inputs = []
                for k, shape in enumerate(shapes):
                    # An operand is another one's equal if it is at the same place.
                    kind = (k, shape, kind_of(primitive, k))
                    if kind not in known:
                        known[kind] = len(joint.inputs)
                        joint.inputs.append(operand(primitive, k, shape, rng))
                    inputs.append(known[kind])
                joint.add(primitive, params, inputs)
    return joint


def _shapes(arity: int) -> list[tuple[tuple[int, ...], ...]]:
    """All numbers, all arrays, and each operand an array among numbers."""
    numbers, arrays = ((),) * arity, ((LENGTH,),) * arity
    mixed = [
        tuple((LENGTH,) if k == one else () for k in range(arity))
        for one in range(arity)
    ]
    return [numbers, arrays, *(mixed if arity > 1 else ())]
