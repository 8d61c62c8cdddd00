"""Whether two expressions are equal, for all values of their symbols.

Branches are split into cases by the sign of what they compare: a comparison of a and b
holds or doesn't where a - b > 0, and where a - b < 0. The boundary between is left out:
a derivative need not exist there, and what a rule says at a kink is a convention. In
each case the difference is evaluated at a random point with many digits, which finds
what is wrong at once, and then simplified to zero, step by step.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import mpmath
import sympy
from scipy.optimize import linprog
from sympy.core.relational import Equality, Relational, Unequality
from sympy.core.sorting import default_sort_key

from tracegrad.traces.symbols import Where

Verdict = Literal["proved", "agreed", "differs", "undecided"]


@dataclass(frozen=True, slots=True)
class Range:
    """Where a symbol is drawn from; and, if ``strict``, the only values that count."""

    low: float
    high: float
    strict: bool = True


Domain = Mapping[Any, Range]

MAX_CASES = 64
MAX_NODES = 20_000
_DIGITS = 50
_DRAWS = 200
_ROUNDED = 13
_MARGIN = 1e-9
_POINTS = 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found out about two expressions.

    Attributes:
        verdict: "proved": the difference simplifies to zero in every case; "agreed": it
            is zero to many digits at random points; "differs"; "undecided".
        why: how it was proved, or what stood in the way.
        cases: how many there were.
        boundary: what is zero where two cases meet.
        point: where they differ, with both values.
    """

    verdict: Verdict
    why: str
    cases: int = 1
    boundary: tuple[Any, ...] = ()
    point: Mapping[str, float] = field(default_factory=dict)


def compare(left: Any, right: Any, domain: Domain, seed: int = 0) -> Comparison:
    """Compare two expressions over a domain.

    Args:
        left: what is right.
        right: what is to be checked.
        domain: of each symbol.
        seed: of the random points.
    """
    pair = sympy.Tuple(left, right)
    if too_large(pair):
        return Comparison("undecided", f"more than {MAX_NODES} terms")
    rng = random.Random(seed)
    found: list[tuple[Verdict, str]] = []
    boundary: dict[Any, None] = {}
    for k, case in enumerate(_cases(pair, {}, domain)):
        if k == MAX_CASES:
            return Comparison("undecided", f"more than {MAX_CASES} cases", k)
        boundary |= dict.fromkeys(case.signs)
        outcome = _compare_case(case, domain, rng)
        if outcome.verdict == "differs":
            return outcome
        found.append((outcome.verdict, outcome.why))
    order: list[Verdict] = ["undecided", "agreed", "proved"]
    verdict, why = min(found, key=lambda f: order.index(f[0]), default=("proved", ""))
    return Comparison(verdict, why, len(found), tuple(boundary))


def too_large(expression: Any) -> bool:
    """Whether an expression, written out, has too many nodes to work with."""
    nodes = sympy.preorder_traversal(expression)
    return next(itertools.islice(nodes, MAX_NODES, None), None) is not None


def derivative(expression: Any, symbol: Any) -> Any:
    """SymPy's derivative; a step has derivative zero between its jumps."""
    found = sympy.diff(expression, symbol)
    if not found.has(sympy.Derivative, sympy.Subs):
        return found
    kinds = (sympy.Derivative, sympy.Subs)
    return found.replace(lambda e: isinstance(e, kinds), lambda e: sympy.S.Zero)


# --- cases ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """Both expressions where some differences have a sign, and a point there."""

    pair: Any
    signs: Mapping[Any, int]
    center: Mapping[Any, float]


def _cases(pair: Any, signs: Mapping[Any, int], domain: Domain) -> Iterator[_Case]:
    center = _center(signs, domain)
    if center is None:
        return
    relation = _undecided(pair)
    if relation is None:
        yield _Case(pair, signs, center)
        return
    difference, _ = _canonical(relation)
    choices = (1, -1, 0) if _is_discrete(difference) else (1, -1)
    for sign in choices:
        more = {**signs, difference: sign}
        yield from _cases(_assuming(pair, more), more, domain)


def _center(signs: Mapping[Any, int], domain: Domain) -> Mapping[Any, float] | None:
    """A point where linear differences have their signs by a margin; None if nowhere.

    A linear program, whose last variable is the margin. Differences that aren't linear
    are left out: a random point has to show their sign.
    """
    symbols = sorted(domain, key=str)
    middle = {s: 0.5 * (domain[s].low + domain[s].high) for s in symbols}
    rows, limits = [], []
    for difference, sign in signs.items():
        slopes = [difference.diff(s) for s in symbols]
        if not all(slope.is_Rational for slope in slopes):
            continue
        offset = difference.subs(dict.fromkeys(symbols, 0))
        if not offset.is_Rational:
            continue
        rows.append([*(-sign * float(slope) for slope in slopes), 1.0])
        limits.append(sign * float(offset))
    if not rows:
        return middle
    margin = [0.0] * len(symbols) + [-1.0]
    bounds = [*(_bounds(s, domain[s]) for s in symbols), (None, 1.0)]
    found = linprog(margin, rows, limits, bounds=bounds)
    if found.status != 0 or -found.fun < _MARGIN:
        return None
    return dict(zip(symbols, map(float, found.x), strict=False))


def _bounds(symbol: Any, values: Range) -> tuple[float | None, float | None]:
    if values.strict:
        return values.low, values.high
    return (0.0 if symbol.is_positive else None), None


def _undecided(pair: Any) -> Any:
    """A comparison that some choice depends on, itself free of choices."""
    found = {
        relation
        for choice in pair.atoms(Where)
        for relation in choice.args[0].atoms(Relational)
        if not relation.has(Where)
    }
    return min(found, key=default_sort_key, default=None)


def _canonical(relation: Any) -> tuple[Any, int]:
    """What is compared with zero, and with which sign."""
    left, right = relation.args
    difference = sympy.expand(left - right).primitive()[1]
    if difference.could_extract_minus_sign():
        return -difference, -1
    return difference, 1


def _is_discrete(difference: Any) -> bool:
    """Whether its zeros are no boundary: it takes steps."""
    symbols = difference.free_symbols
    whole = bool(symbols) and all(s.is_integer for s in symbols)
    return whole or difference.has(sympy.floor, sympy.ceiling)


def _assuming(pair: Any, signs: Mapping[Any, int]) -> Any:
    """The expressions where differences have these signs."""
    known: dict[Any, Any] = {}

    def rebuilt(e: Any) -> Any:
        if not e.args:
            return e
        if e not in known:
            args = [rebuilt(a) for a in e.args]
            same = all(a is b for a, b in zip(args, e.args, strict=True))
            new = e if same else e.func(*args)
            if isinstance(new, Relational):
                new = _decided(new, signs)
            known[e] = new
        return known[e]

    return rebuilt(pair)


def _decided(relation: Any, signs: Mapping[Any, int]) -> Any:
    """A comparison, or its truth if it is one with a difference whose sign is known."""
    difference, direction = _canonical(relation)
    if difference not in signs:
        return relation
    value = direction * signs[difference]
    if isinstance(relation, Equality):
        return sympy.sympify(value == 0)
    if isinstance(relation, Unequality):
        return sympy.sympify(value != 0)
    return relation.func(sympy.Integer(value), sympy.S.Zero)


# --- one case ------------------------------------------------------------------------


def _compare_case(case: _Case, domain: Domain, rng: random.Random) -> Comparison:
    left, right = case.pair
    if case.pair.has(sympy.nan, sympy.zoo):
        return Comparison("undecided", "not a number in some case")
    if left == right:
        return Comparison("proved", "as it stands")
    symbols = sorted(domain, key=str)
    values = sympy.lambdify(symbols, [left, right, *case.signs], "mpmath", cse=True)
    reached = rounded = False
    with mpmath.workdps(_DIGITS):
        for point in _points(values, symbols, case, domain, rng):
            reached = True
            exact, found = values(*point)[:2]
            if _same(exact, found, _ROUNDED):
                rounded = rounded or not _same(exact, found, _DIGITS - 10)
            else:
                where = {str(s): float(x) for s, x in zip(symbols, point, strict=True)}
                why = f"{mpmath.nstr(exact, 8)} is not {mpmath.nstr(found, 8)}"
                return Comparison("differs", why, point=where)
    if rounded:
        why = f"equal to {_ROUNDED} digits; constants in the program are rounded"
        return Comparison("agreed", why)
    how = vanishes(left - right)
    if how is not None:
        return Comparison("proved", how)
    if not reached:
        return Comparison("undecided", "no point of the domain lies in a case")
    why = f"SymPy didn't simplify it; equal to {_DIGITS - 10} digits at random points"
    return Comparison("agreed", why)


def _points(
    values: Callable[..., Any],
    symbols: Sequence[Any],
    case: _Case,
    domain: Domain,
    rng: random.Random,
) -> Iterator[list[Any]]:
    """A few random points of the domain where the differences have their signs."""
    count = 0
    for k in range(_DRAWS):
        # From all over the domain at first, then nearer and nearer to the center.
        reach = mpmath.mpf(2) ** (-k // 8)
        point = [
            _draw(symbol, domain[symbol], case.center[symbol], reach, rng)
            for symbol in symbols
        ]
        signs = values(*point)[2:]
        if all(
            mpmath.sign(found) == sign
            for found, sign in zip(signs, case.signs.values(), strict=True)
        ):
            yield point
            count += 1
            if count == _POINTS:
                return


def _draw(
    symbol: Any,
    values: Range,
    center: float,
    reach: Any,
    rng: random.Random,
) -> Any:
    low, high = mpmath.mpf(values.low), mpmath.mpf(values.high)
    if symbol.is_integer:
        return rng.randint(int(low), int(high))
    return center + reach * (low + mpmath.mpf(rng.random()) * (high - low) - center)


def _same(exact: Any, found: Any, digits: int) -> bool:
    if not (mpmath.isfinite(exact) and mpmath.isfinite(found)):
        return True  # outside of what is defined: says nothing
    error = abs(exact - found)
    return bool(error <= mpmath.mpf(10) ** -digits * (1 + abs(exact)))


# --- simplification ------------------------------------------------------------------


def vanishes(difference: Any) -> str | None:
    """How an expression without choices was shown to be zero; None if it wasn't."""
    for title, step in STEPS.items():
        if step(difference) == 0:
            return title
    return None


def _numerator(difference: Any) -> Any:
    """The numerator over a common denominator, expanded."""
    return sympy.expand(sympy.fraction(sympy.together(difference))[0])


def _exponentials(difference: Any) -> Any:
    rewritten = difference.rewrite(sympy.exp)
    return sympy.powsimp(_numerator(sympy.expand(rewritten)))


STEPS: dict[str, Callable[[Any], Any]] = {
    "as it stands": lambda difference: difference,
    "expanded": sympy.expand,
    "over a common denominator": _numerator,
    "in exponentials": _exponentials,
    "simplified": sympy.simplify,
}
