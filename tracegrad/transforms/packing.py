"""Packing: one position for each iteration of loops whose lengths depend on each other.

The rows of a triangle lie one after the other. How many cells come before a row is a
sum of lengths; of lengths that are polynomials it is a polynomial, known for any
iteration without running those before it, so that both sweeps find their place.

    for i in range(n):
        for j in range(i):  kept[(i * i - i) // 2 + j] = ...

The sums are Newton's: of a polynomial in the binomials of i, each term has its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tracegrad.ir.graph import Equation, Operand, Value
from tracegrad.ir.shapes import Dim, size_decided_at_least
from tracegrad.primitives.control import for_
from tracegrad.transforms.affine import Prover, affine, combine
from tracegrad.transforms.regions import Structure, body_of

DEEPEST = 4
"""The most loops whose lengths depend on each other that are worth such formulas."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Where iterations of nested loops keep what they store.

    total: how many there are, by the sizes of the inputs.
    position: of one of them, by the names of the loops' indices.
    """

    total: Dim
    position: Dim


@dataclass(frozen=True, slots=True)
class _Polynomial:
    """A polynomial whose values are integers, over a common denominator."""

    numerator: Dim
    denominator: int = 1

    def __add__(self, other: _Polynomial) -> _Polynomial:
        common = math.lcm(self.denominator, other.denominator)
        return _Polynomial(
            self.numerator * (common // self.denominator)
            + other.numerator * (common // other.denominator),
            common,
        )

    def at(self, name: str, value: Dim) -> _Polynomial:
        """With a variable replaced."""
        return _Polynomial(self.numerator.substitute({name: value}), self.denominator)

    def minus(self, other: _Polynomial) -> _Polynomial:
        """The difference."""
        return self + _Polynomial(-other.numerator, other.denominator)

    def summed(self, name: str) -> _Polynomial:
        """The sum over the variable's values from 0 to the one before it."""
        x = Dim.symbol(name)
        degree = max((m.count(name) for m, _ in self.numerator.terms), default=0)
        values = [
            self.numerator.substitute({name: Dim.constant(k)})
            for k in range(degree + 1)
        ]
        total, falling, common = Dim.constant(0), x, math.factorial(degree + 1)
        for k in range(degree + 1):
            total += values[0] * falling * (common // math.factorial(k + 1))
            falling *= x - (k + 1)
            values = [b - a for a, b in pairwise(values)]
        return _Polynomial(total, self.denominator * common)

    @property
    def dim(self) -> Dim:
        """As a size."""
        shared = math.gcd(self.denominator, *(c for _, c in self.numerator.terms))
        return self.numerator // shared // (self.denominator // shared)


def packing(structure: Structure, loops: Sequence[Equation]) -> Packing | None:
    """Where loops, outermost first, keep what they store; None if no formula says."""
    names = [name for loop in loops if (name := body_of(loop).params[0].name)]
    if len(loops) > DEEPEST or len(set(names)) < len(loops):
        return None
    prover = Prover(structure)
    bounds = []
    for loop in loops:
        found = bounds_of(structure, loop)
        if found is None or abs(loop.params["step"]) != 1:
            return None
        if not _counts(prover, loop, *found):
            return None
        bounds.append(found)
    inside = _Polynomial(Dim.constant(1))
    position = Dim.constant(0)
    for (least, after), name in reversed(list(zip(bounds, names, strict=True))):
        before = inside.summed(name)
        start = before.at(name, least)
        position += before.minus(start).dim
        inside = before.at(name, after).minus(start)
    return Packing(inside.dim, position)


def bounds_of(structure: Structure, loop: Equation) -> tuple[Dim, Dim] | None:
    """The least index of a loop, and the one after the greatest, as sizes.

    They may have the names of indices of loops around.
    """
    if loop.primitive is not for_:
        return None
    around = structure.loops(structure.place[loop][0])
    lo, hi = (_as_size(x, [g.params[0] for g in around]) for x in loop.inputs[:2])
    if lo is None or hi is None:
        return None
    return (lo, hi) if loop.params["step"] > 0 else (hi + 1, lo + 1)


def _as_size(operand: Operand, indices: Sequence[Value]) -> Dim | None:
    total = Dim.constant(0)
    for symbol, coefficient in affine(operand).items():
        if isinstance(symbol, tuple):
            total += Dim(((symbol, coefficient),))
        elif isinstance(symbol, Value) and symbol in indices and symbol.name:
            total += coefficient * Dim.symbol(symbol.name)
        else:
            return None
    return total


def _counts(prover: Prover, loop: Equation, least: Dim, after: Dim) -> bool:
    """Whether the number of iterations is sure to be the difference of the bounds."""
    lo, hi = map(affine, loop.inputs[:2])
    ahead = combine(hi, lo, -1)
    if loop.params["step"] < 0:
        ahead = combine({}, ahead, -1)
    if prover.at_least(ahead, 0):
        return True
    return all(isinstance(s, tuple) for s in ahead) and size_decided_at_least(
        after, least
    )
