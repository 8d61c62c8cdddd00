"""Symbolic sizes: integer polynomials over the sizes of the inputs, in a normal form.

Two expressions for the same length are equal by inspection, so one trace, and one
kernel, serves every size. What a trace had to assume beyond that is a ``Guard``.

>>> n = Dim.symbol("x.shape[0]")
>>> (n - 1) + 2 == n + 1
True
>>> str(2 * n - 1), (2 * n - 1).evaluate({"x.shape[0]": 5})
('2*x.shape[0] - 1', 9)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tracegrad.errors import ControlFlowError


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """``numerator // denominator`` that does not divide out: an opaque atom."""

    numerator: Dim
    denominator: Dim

    def __str__(self) -> str:
        return f"(({self.numerator})//({self.denominator}))"


Atom: TypeAlias = str | FloorDiv
Monomial: TypeAlias = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Dim:
    """A polynomial with integer coefficients: ((monomial, coefficient), ...), sorted.

    Compares and hashes by its normal form and has no order: asking whether one size
    is larger than another is an assumption, and belongs to ``Assumptions``.
    """

    terms: tuple[tuple[Monomial, int], ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.terms))

    def __hash__(self) -> int:
        return self._hash

    @staticmethod
    def symbol(name: str) -> Dim:
        """The size called ``name``."""
        return Dim((((name,), 1),))

    @staticmethod
    def constant(value: int) -> Dim:
        """A number."""
        return Dim((((), int(value)),)) if value else Dim(())

    @staticmethod
    def of(value: Dim | int) -> Dim:
        """A Dim from a Dim or an int."""
        return value if isinstance(value, Dim) else Dim.constant(value)

    @staticmethod
    def _from(terms: Mapping[Monomial, int]) -> Dim:
        kept = ((m, c) for m, c in terms.items() if c)
        return Dim(tuple(sorted(kept, key=lambda t: (-len(t[0]), str(t[0])))))

    @property
    def value(self) -> int | None:
        """The number, if this is one."""
        if not self.terms:
            return 0
        monomial, coefficient = self.terms[0]
        return coefficient if not monomial else None

    def __add__(self, other: Dim | int) -> Dim:
        total = dict(self.terms)
        for monomial, coefficient in Dim.of(other).terms:
            total[monomial] = total.get(monomial, 0) + coefficient
        return Dim._from(total)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return Dim(tuple((m, -c) for m, c in self.terms))

    def __sub__(self, other: Dim | int) -> Dim:
        return self + (-Dim.of(other))

    def __rsub__(self, other: Dim | int) -> Dim:
        return Dim.of(other) - self

    def __mul__(self, other: Dim | int) -> Dim:
        total: dict[Monomial, int] = {}
        for a, x in self.terms:
            for b, y in Dim.of(other).terms:
                monomial = tuple(sorted(a + b, key=str))
                total[monomial] = total.get(monomial, 0) + x * y
        return Dim._from(total)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim | int) -> Dim:
        divisor = Dim.of(other)
        exact = self.divide(divisor)
        return exact if exact is not None else Dim((((FloorDiv(self, divisor),), 1),))

    def divide(self, other: Dim) -> Dim | None:
        """The exact quotient by a single term, if there is one."""
        if self.value is not None and other.value:
            quotient, rest = divmod(self.value, other.value)
            return Dim.constant(quotient) if rest == 0 else None
        if len(other.terms) != 1:
            return Dim.constant(1) if self == other else None
        (atoms, factor) = other.terms[0]
        total: dict[Monomial, int] = {}
        for monomial, coefficient in self.terms:
            left = list(monomial)
            for atom in atoms:
                if atom not in left:
                    return None
                left.remove(atom)
            if coefficient % factor:
                return None
            total[tuple(left)] = coefficient // factor
        return Dim._from(total)

    def symbols(self) -> set[str]:
        """The names that occur in it."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    found |= atom.numerator.symbols() | atom.denominator.symbols()
        return found

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The number for given sizes."""
        total = 0
        for monomial, coefficient in self.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    coefficient *= sizes[atom]
                else:
                    top = atom.numerator.evaluate(sizes)
                    coefficient *= top // atom.denominator.evaluate(sizes)
            total += coefficient
        return total

    def substitute(self, known: Mapping[str, Dim]) -> Dim:
        """With symbols replaced by other sizes."""
        total = Dim.constant(0)
        for monomial, coefficient in self.terms:
            product = Dim.constant(coefficient)
            for atom in monomial:
                if isinstance(atom, str):
                    product *= known.get(atom, Dim.symbol(atom))
                else:
                    top = atom.numerator.substitute(known)
                    product *= top // atom.denominator.substitute(known)
            total += product
        return total

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            factors = [str(atom) for atom in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+" if text else ""
            joined = "*".join(factors)
            text += f" {sign} {joined}" if text else f"{sign}{joined}"
        return text or "0"

    __repr__ = __str__


Shape: TypeAlias = tuple[Dim, ...]


def shape_of(sizes: Iterable[Dim | int]) -> Shape:
    """A shape from ints and Dims."""
    return tuple(Dim.of(size) for size in sizes)


def product(sizes: Iterable[Dim]) -> Dim:
    """The number of elements."""
    return math.prod(sizes, start=Dim.constant(1))


def show(shape: Shape) -> str:
    """A shape as NumPy prints it, with names for the symbolic sizes."""
    inner = ", ".join(str(d) for d in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


Relation: TypeAlias = Literal["==", "!=", ">=", "<"]


@dataclass(frozen=True, slots=True)
class Guard:
    """An assumption about sizes, tested at the kernel's entry: ``left rel right``."""

    left: Dim
    relation: Relation
    right: Dim

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether it is true of given sizes."""
        left, right = self.left.evaluate(sizes), self.right.evaluate(sizes)
        match self.relation:
            case "==":
                return left == right
            case "!=":
                return left != right
            case ">=":
                return left >= right
            case "<":
                return left < right

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"


@dataclass(slots=True)
class Assumptions:
    """What one trace knows and assumes about sizes.

    hints: the sizes (and integers) of the example arguments, by symbol.
    signed: symbols of integer arguments, which unlike sizes may be negative.
    known: symbols replaced by others, from the equalities of a first trace.
    guards: the assumptions made so far, in order.
    prover: whether a size that has a loop's index in it is >= 0 in every iteration.
        Such sizes have no hint, and no guard could be tested at a kernel's entry.
    """

    hints: dict[str, int] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)
    known: dict[str, Dim] = field(default_factory=dict)
    guards: dict[Guard, None] = field(default_factory=dict)
    prover: Callable[[Dim], bool] | None = None
    unmet: Guard | None = None
    """The last thing asked of sizes that the example call does not fulfil."""

    def hint(self, size: Dim) -> int:
        """The size in the example call; some large number if it varies in a loop."""
        if self.varies(size):
            return size.evaluate(dict.fromkeys(size.symbols(), 7919) | self.hints)
        return size.evaluate(self.hints)

    def varies(self, size: Dim) -> bool:
        """Whether a loop's index occurs in it, so that nothing can be assumed of it."""
        return self.prover is not None and not size.symbols() <= self.hints.keys()

    def proven(self, size: Dim) -> bool:
        """Whether a size that varies is >= 0 in every iteration."""
        return self.prover is not None and self.prover(size)

    def assume(self, left: Dim, relation: Relation, right: Dim) -> None:
        """Add a guard, unless it holds by inspection or was assumed before."""
        difference = left - right
        if difference.value is None and not any(
            g.relation == relation and g.left - g.right == difference
            for g in self.guards
        ):
            self.guards[Guard(left, relation, right)] = None

    def _same_throughout(self, left: Dim, right: Dim) -> bool:
        """Whether sizes that vary in a loop are always equal, or never."""
        difference = left - right
        if self.proven(difference - 1) or self.proven(-difference - 1):
            return False
        if self.proven(difference) and self.proven(-difference):
            return True
        raise _undecided(left, right, "equals")

    def same(self, left: Dim, right: Dim) -> bool:
        """Whether two sizes are equal; if only in the example call, by a guard."""
        if left == right:
            return True
        if self.varies(left - right):
            return self._same_throughout(left, right)
        if (left - right).value is not None:
            return False
        if self.hint(left - right) != 0:
            self.unmet = Guard(left, "==", right)
            return False
        shared = _shared_factor(left - right)
        if self.hint(shared) != 0:  # a*n == a*m: that n == m says more, and is solved
            left, right = left // shared, right // shared
        self.assume(left, "==", right)
        return True

    def at_least(self, left: Dim, right: Dim) -> bool:
        """Whether ``left >= right``, decided by the example call and guarded."""
        difference = left - right
        if difference.value is not None:
            return difference.value >= 0
        if self.nonnegative(difference):
            return True
        if self.varies(difference):
            if self.proven(difference):
                return True
            if self.proven(-difference - 1):
                return False
            raise _undecided(left, right, "is at least")
        truth = self.hint(difference) >= 0
        if not truth:
            self.unmet = Guard(left, ">=", right)
        self.assume(left, ">=" if truth else "<", right)
        return truth

    def nonnegative(self, size: Dim) -> bool:
        """Whether it is >= 0 by inspection: sizes are, integer arguments may not be."""
        return all(
            coefficient >= 0
            and all(isinstance(a, str) and a not in self.signed for a in monomial)
            for monomial, coefficient in size.terms
        )

    def equal(self, left: Dim, right: Dim) -> bool:
        """Whether two sizes are equal where the program asks: guarded either way."""
        difference = left - right
        if difference.value is not None:
            return difference.value == 0
        if self.varies(difference):
            return self._same_throughout(left, right)
        truth = self.hint(difference) == 0
        if not truth:
            self.unmet = Guard(left, "==", right)
        self.assume(left, "==" if truth else "!=", right)
        return truth

    def concrete(self, size: Dim) -> int:
        """The number itself where Python needs one, with a guard that it stays."""
        if size.value is not None:
            return size.value
        if self.varies(size):
            raise ControlFlowError(
                f"Python needs the number {size} here, which changes from one "
                "iteration of a loop to the next.",
                todo="Keep it a traced integer.",
            )
        number = self.hint(size)
        self.assume(size, "==", Dim.constant(number))
        return number

    def solve(self) -> dict[str, Dim]:
        """Symbols that the equalities determine, each in terms of earlier ones."""
        order = {name: k for k, name in enumerate(self.hints)}
        known: dict[str, Dim] = {}
        for guard in self.guards:
            if guard.relation != "==" and not self._spelled_out(guard):
                continue
            rest = (guard.left - guard.right).substitute(known)
            for name, value in _isolate(rest, order):
                known = {k: v.substitute({name: value}) for k, v in known.items()}
                known[name] = value
                break
        return known

    def _spelled_out(self, guard: Guard) -> bool:
        """Whether a program names the last element of an inner axis by its number.

        Such an axis, as of x, y, z, has one length: a kernel that knows it knows how
        far rows are apart, without which nothing vectorises along them.
        """
        difference = guard.left - guard.right
        symbols = difference.symbols()
        return (
            guard.relation == ">="
            and len(symbols) == 1
            and all(name.endswith("]") and "shape[0]" not in name for name in symbols)
            and self.hint(difference) == 0
        )


def _shared_factor(size: Dim) -> Dim:
    """The sizes that every term has as a factor."""
    shared, *others = (Counter(monomial) for monomial, _ in size.terms)
    for other in others:
        shared &= other
    return Dim(((tuple(sorted(shared.elements(), key=str)), 1),))


def _undecided(left: Dim, right: Dim, relation: str) -> ControlFlowError:
    return ControlFlowError(
        f"whether a size of {left} {relation} {right} may change from one iteration of "
        "a loop to the next.",
        todo="Let arrays in a loop have shapes that fit in every iteration, or write "
        "the operation as a loop over elements.",
    )


def _isolate(zero: Dim, order: Mapping[str, int]) -> Iterator[tuple[str, Dim]]:
    """From ``zero == 0``: lone symbols and what they equal, latest symbols first."""
    candidates = []
    for monomial, coefficient in zero.terms:
        if abs(coefficient) == 1 and len(monomial) == 1:
            (atom,) = monomial
            rest = zero - Dim(((monomial, coefficient),))
            if isinstance(atom, str) and atom not in rest.symbols():
                candidates.append((atom, -coefficient * rest))
    yield from sorted(candidates, key=lambda c: -order.get(c[0], -1))


# --- the trace in progress ---------------------------------------------------------

_current: ContextVar[Assumptions | None] = ContextVar("assumptions", default=None)


@contextmanager
def assuming(assumptions: Assumptions) -> Iterator[Assumptions]:
    """Let the functions below decide about symbolic sizes with these assumptions."""
    token = _current.set(assumptions)
    try:
        yield assumptions
    finally:
        _current.reset(token)


def _decider() -> Assumptions:
    current = _current.get()
    return Assumptions() if current is None else current


def guards_in_force() -> Iterable[Guard]:
    """What the trace in progress assumes: facts for whoever proves something."""
    return tuple(_decider().guards)


def same_size(left: Dim | int, right: Dim | int) -> bool:
    """Whether two lengths must be taken as equal (guarded if not by inspection)."""
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    return _decider().same(Dim.of(left), Dim.of(right))


def size_at_least(left: Dim | int, right: Dim | int) -> bool:
    """Whether ``left >= right``, for this call and all that keep the guard."""
    if isinstance(left, int) and isinstance(right, int):
        return left >= right
    return _decider().at_least(Dim.of(left), Dim.of(right))


def size_decided_at_least(left: Dim, right: Dim) -> bool:
    """The same where there may be no call that decides: then it is not."""
    decider, difference = _decider(), left - right
    if difference.symbols() <= decider.hints.keys():
        return decider.at_least(left, right)
    return decider.nonnegative(difference)


def size_equals(left: Dim | int, right: Dim | int) -> bool:
    """Whether two lengths are equal, guarded either way."""
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    return _decider().equal(Dim.of(left), Dim.of(right))


def concrete_size(size: Dim | int) -> int:
    """The number itself, with a guard that it stays."""
    return size if isinstance(size, int) else _decider().concrete(size)


def hint_of(size: Dim | int) -> int:
    """The length in the example call; decides nothing and assumes nothing."""
    return size if isinstance(size, int) else _decider().hint(size)
