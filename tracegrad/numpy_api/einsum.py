"""``einsum``: pairwise sums of products, from left to right.

A pair that is exactly a product of matrices or of a matrix and a vector becomes a
``dot``; any other is multiplied over all of its letters and summed, one loop nest.

>>> einsum("ij,j->i", np.ones((2, 3)), np.arange(3.0))
array([3., 3.])
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad.errors import ShapeError
from tracegrad.ir.shapes import hint_of, same_size, size_equals
from tracegrad.numpy_api.arguments import is_float, rank_of, recorded, refuse, traced_in
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.rearranging import diagonal
from tracegrad.numpy_api.shapes import moveaxis, transpose
from tracegrad.primitives import linalg, structural
from tracegrad.primitives.structural import Size, dims


@dataclass(frozen=True, slots=True)
class _Term:
    """An array with a letter per axis, all different."""

    letters: str
    array: Any


def einsum(*operands: Any, optimize: Any = False) -> Any:
    """Sums of products over indices named by letters."""
    subscripts, *arrays = operands
    if not isinstance(subscripts, str):
        raise refuse(
            "einsum with lists of axes is not supported.", "Name the axes by letters."
        )
    like = traced_in(arrays)
    xs = [recorded(like, asarray(a)) for a in arrays]
    terms, wanted = parse(subscripts, [rank_of(x) for x in xs])
    parts = [_distinct(_Term(t, x)) for t, x in zip(terms, xs, strict=True)]
    sizes = _sizes(parts)
    parts = [_without_unit_axes(part, sizes) for part in parts]
    total = parts[0]
    for k, part in enumerate(parts[1:], start=2):
        later = "".join(p.letters for p in parts[k:]) + wanted
        total = _product(total, part, later, sizes)
    return _arranged(total, wanted, sizes)


# --- the notation ------------------------------------------------------------------


def is_view(subscripts: Any, *operands: Any) -> bool:
    """Whether NumPy gives a view: of one operand, with axes only moved or merged."""
    if len(operands) != 1 or not isinstance(subscripts, str):
        return False
    (term,), wanted = parse(subscripts, [rank_of(operands[0])])
    return set(term) == set(wanted)


def parse(subscripts: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; an ellipsis gets capitals."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(
            f"einsum names {len(terms)} operands, but {len(ranks)} were given"
        )
    spare = [c for c in reversed(string.ascii_letters) if c not in text]
    longest = max(
        (
            rank - len(t.replace("...", ""))
            for t, rank in zip(terms, ranks, strict=True)
            if "..." in t
        ),
        default=0,
    )
    dots = "".join(spare[:longest])
    found = []
    for term, rank in zip(terms, ranks, strict=True):
        named = len(term.replace("...", ""))
        if "..." in term:
            term = term.replace("...", dots[len(dots) - (rank - named) :])
        if len(term) != rank:
            raise ValueError(f"einsum names {named} axes of an operand that has {rank}")
        found.append(term)
    if arrow:
        return found, right.replace("...", dots)
    everything = "".join(found)
    once = sorted(c for c in set(everything) if everything.count(c) == 1)
    return found, dots + "".join(c for c in once if c not in dots)


def _distinct(term: _Term) -> _Term:
    """A letter that occurs twice means a diagonal."""
    letters, array = term.letters, term.array
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if not same_size(dims(array)[first], dims(array)[second]):
                raise ShapeError(f"einsum: axes {letter!r} of one operand differ.")
            array = moveaxis(diagonal(array, 0, first, second), -1, first)
            letters = letters[:second] + letters[second + 1 :]
    return _Term(letters, array)


def _sizes(parts: Sequence[_Term]) -> dict[str, Size]:
    sizes: dict[str, Size] = {}
    for part in parts:
        for letter, size in zip(part.letters, dims(part.array), strict=True):
            known = sizes.get(letter)
            if known is None or (hint_of(known) == 1 and hint_of(size) != 1):
                sizes[letter] = size
    return sizes


def _without_unit_axes(part: _Term, sizes: dict[str, Size]) -> _Term:
    """Axes of length one drop out where other operands are longer."""
    dropped = []
    for k, (letter, size) in enumerate(
        zip(part.letters, dims(part.array), strict=True)
    ):
        if same_size(size, sizes[letter]):
            continue
        if not size_equals(size, 1):
            raise ShapeError(
                f"einsum: axis {letter!r} has size {size} in one operand and "
                f"{sizes[letter]} in another."
            )
        dropped.append(k)
    if not dropped:
        return part
    letters = "".join(c for k, c in enumerate(part.letters) if k not in dropped)
    return _Term(letters, structural.squeeze(part.array, axes=tuple(dropped)))


# --- the products ------------------------------------------------------------------


def _product(a: _Term, b: _Term, later: str, sizes: dict[str, Size]) -> _Term:
    """The product of two operands, summed over letters nobody needs any more."""
    a, b = _summed(a, b.letters + later), _summed(b, a.letters + later)
    shared = [c for c in a.letters if c in b.letters]
    summed = [c for c in shared if c not in later]
    own_a = "".join(c for c in a.letters if c not in shared)
    own_b = "".join(c for c in b.letters if c not in shared)
    exact = len(own_a) <= 1 and len(own_b) <= 1 and bool(own_a or own_b)
    matrices = shared == summed and len(summed) == 1 and exact
    if matrices and is_float(a.array) and is_float(b.array):
        letter = summed[0]
        left, right = _ordered(a, own_a + letter), _ordered(b, letter + own_b)
        return _Term(own_a + own_b, linalg.dot(left, right))
    kept = "".join(c for c in dict.fromkeys(a.letters + b.letters) if c not in summed)
    letters = kept + "".join(summed)
    both = _spread(a, letters, sizes) * _spread(b, letters, sizes)
    axes = tuple(range(len(kept), len(letters)))
    return _Term(kept, structural.sum_over(both, axes))


def _summed(term: _Term, needed: str) -> _Term:
    axes = tuple(k for k, c in enumerate(term.letters) if c not in needed)
    letters = "".join(c for c in term.letters if c in needed)
    return _Term(letters, structural.sum_over(term.array, axes))


def _ordered(term: _Term, letters: str) -> Any:
    return transpose(term.array, [term.letters.index(c) for c in letters])


def _spread(term: _Term, letters: str, sizes: dict[str, Size]) -> Any:
    """An operand over all letters, in their order."""
    own = "".join(c for c in letters if c in term.letters)
    array = _ordered(term, own)
    shape = tuple(sizes[c] for c in letters)
    axes = tuple(letters.index(c) for c in own)
    return structural.expand(array, shape=shape, axes=axes)


def _arranged(total: _Term, wanted: str, sizes: dict[str, Size]) -> Any:
    """The letters of the result in its order; one that was dropped has length one."""
    total = _summed(total, wanted)
    unknown = [c for c in wanted if c not in sizes]
    if unknown or len(set(wanted)) < len(wanted):
        raise ValueError(f"einsum: the result {wanted!r} names unknown or equal axes")
    return _spread(total, wanted, sizes)


NUMPY: dict[Any, Callable[..., Any]] = {np.einsum: einsum}
METHODS: dict[str, Callable[..., Any]] = {}
