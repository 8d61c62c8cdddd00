"""Arguments to evaluate a program on: small sizes, and random points of a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad.errors import ArgumentError
from tracegrad.ir.shapes import Dim
from tracegrad.proof.program import Program, Subject
from tracegrad.traces.inputs import Leaf

Interval = tuple[float, float]
_SMALL = (2, 3, 4)
_ENOUGH = 12
_SPREAD = 0.3


@dataclass(frozen=True)
class Input:
    """One leaf of the arguments, or a hidden input, at some sizes.

    Attributes:
        name: of the leaf.
        value: an array or number of those sizes.
        low: lower ends of the domain, of the same shape; None for what is no float.
        high: upper ends.
        strict: whether the domain was given, so that nothing beyond it counts.
    """

    name: str
    value: Any
    low: Any = None
    high: Any = None
    strict: bool = False

    @property
    def floating(self) -> bool:
        """Whether it is a variable."""
        return self.low is not None

    def drawn(self, rng: np.random.Generator) -> Any:
        """A random value from its domain."""
        if not self.floating:
            return self.value
        drawn = rng.uniform(self.low, self.high)
        if isinstance(self.value, np.ndarray):
            return np.asarray(drawn, self.value.dtype)
        return type(self.value)(drawn)


def intervals(
    leaf: Leaf, value: Any, domain: Mapping[str, Interval]
) -> tuple[Any, Any]:
    """Where a leaf's elements are drawn from: as given, or near their values."""
    array = np.asarray(value, float)
    if leaf.name in domain:
        low, high = domain[leaf.name]
        return np.full(array.shape, float(low)), np.full(array.shape, float(high))
    reach = _SPREAD * np.where(array == 0.0, 1.0, np.abs(array))
    return array - reach, array + reach


def inputs_of(
    subject: Subject, domain: Mapping[str, Interval], sizes: Mapping[str, int] | None
) -> list[Input]:
    """The function's arguments, cut to sizes if there are any."""
    leaves = subject.primal.traced.leaves
    values = subject.primal.values
    unknown = set(domain) - {leaf.name for leaf in leaves}
    if unknown:
        raise ArgumentError(
            f"domain= names {', '.join(sorted(unknown))}, which is no argument.",
            todo=f"The arguments are {', '.join(leaf.name for leaf in leaves)}.",
        )
    return [
        _input(leaf, _cut(leaf, value, sizes), domain)
        for leaf, value in zip(leaves, values, strict=True)
    ]


def hidden_of(program: Program, sizes: Mapping[str, int] | None) -> list[Any]:
    """The contents of a program's hidden inputs, cut to sizes."""
    captures = program.traced.captures
    return [_cut(c.leaf, c.read(), sizes) for c in captures]


def _input(leaf: Leaf, value: Any, domain: Mapping[str, Interval]) -> Input:
    if leaf.dtype is None or not leaf.dtype.startswith("float"):
        return Input(leaf.name, value)
    low, high = intervals(leaf, value, domain)
    return Input(leaf.name, value, low, high, leaf.name in domain)


def _cut(leaf: Leaf, value: Any, sizes: Mapping[str, int] | None) -> Any:
    """The first elements of an array, or another integer."""
    if sizes is None or not leaf.traced:
        return value
    if not leaf.shape:
        return sizes.get(leaf.name, value)
    shape = [sizes[f"{leaf.name}.shape[{k}]"] for k in range(len(leaf.shape))]
    cut = np.asarray(value)[tuple(slice(n) for n in shape)]
    if cut.dtype.kind == "i":  # perhaps positions in what was cut
        cut = np.minimum(cut, max(0, min(sizes.values(), default=1) - 1))
    return cut


# --- sizes ---------------------------------------------------------------------------


def small_sizes(subject: Subject) -> Mapping[str, int] | None:
    """Sizes at which a proof is affordable; None for those of the arguments.

    Every axis and integer is made as small as both programs' assumptions allow.
    """
    given = subject.primal.traced.assumptions.hints
    floats = [
        leaf
        for leaf in subject.primal.traced.leaves
        if leaf.dtype is not None and leaf.dtype.startswith("float")
    ]
    count = sum(int(np.prod(leaf.shape)) for leaf in floats)
    whole = [n for name, n in given.items() if ".shape[" not in name]
    if count <= _ENOUGH and max(whole, default=0) <= _SMALL[-1]:
        return None
    for limit in _SMALL:
        sizes = _consistent({name: min(n, limit) for name, n in given.items()}, subject)
        if sizes is not None:
            return sizes
    return None


def _consistent(wanted: dict[str, int], subject: Subject) -> dict[str, int] | None:
    """Sizes that keep the assumptions, with those that others determine changed."""
    sizes = dict(wanted)
    programs = (subject.primal, subject.reverse)
    known: dict[str, Dim] = {}
    for program in programs:
        known |= program.traced.assumptions.known
        for name, n in program.traced.assumptions.hints.items():
            sizes.setdefault(name, n)
    for name, dim in known.items():
        if name in sizes and dim.symbols() <= sizes.keys():
            sizes[name] = dim.evaluate(sizes)
    for guard in subject.guards:
        names = guard.left.symbols() | guard.right.symbols()
        if not names <= sizes.keys() or not guard.holds(sizes):
            return None
    return sizes if all(n >= 0 for n in sizes.values()) else None


def weights_of(
    subject: Subject, sizes: Mapping[str, int] | None
) -> list[tuple[str, tuple[int, ...]]]:
    """A name and shape for each output that carries a derivative, unless it is one."""
    if subject.scalar:
        return []
    program = subject.primal
    known = program.traced.assumptions.hints if sizes is None else sizes
    found = []
    for k in subject.results:
        output = program.outputs[k]
        shape: Sequence[int] = np.shape(output.value)
        if output.type is not None:
            shape = [d.evaluate(known) for d in output.type.shape]
        found.append((f"w{k}", tuple(shape)))
    return found
