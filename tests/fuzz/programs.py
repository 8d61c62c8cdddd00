"""The kinds of random programs, with arguments for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tests.fuzz import arrays, cells, loops, nests, small
from tests.fuzz.checking import Program, Unsuitable, check
from tests.fuzz.comparing import Disagreement, is_float


def loop_arguments(rng: np.random.Generator, n: int) -> list[Any]:
    """``x, y, A, B, w, c, p, m`` of ``tests.fuzz.loops``."""
    k = (n + 1) // 2 if n != 3 else 4
    return [
        rng.normal(size=n),
        rng.normal(size=n),
        rng.normal(size=(n, n)),
        rng.normal(size=(n, k)),
        rng.normal(size=k),
        float(rng.normal()),
        rng.integers(-n, n, size=n) if n else np.zeros(0, np.int64),
        int(rng.integers(0, 3)),
    ]


def nest_arguments(rng: np.random.Generator, n: int) -> list[Any]:
    """``x, A, c, p, m`` of ``tests.fuzz.nests``."""
    x, _, A, _, _, c, p, m = loop_arguments(rng, n)
    return [x, A, c, p, m]


Make = Callable[[np.random.Generator, int], list[Any]]
KINDS: dict[str, tuple[Callable[[int], str], Make]] = {
    "arrays": (arrays.source, loop_arguments),
    "cells": (cells.source, nest_arguments),
    "loops": (loops.source, loop_arguments),
    "nests": (nests.source, nest_arguments),
    "short": (loops.short_source, loop_arguments),
    "small": (small.source, loop_arguments),
}


def doubles(make: Make, seed: int, rng: np.random.Generator, n: int) -> list[Any]:
    """The arguments as they are made."""
    return make(rng, n)


def single(make: Make, seed: int, rng: np.random.Generator, n: int) -> list[Any]:
    """The arguments in single precision."""
    given = make(rng, n)
    return [x.astype(np.float32) if np.ndim(x) and is_float(x) else x for x in given]


def scattered(make: Make, seed: int, rng: np.random.Generator, n: int) -> list[Any]:
    """The arguments with other layouts: strided, backwards, transposed, misplaced."""
    layouts = np.random.default_rng(seed)
    return [_laid_out(layouts, x) if np.ndim(x) else x for x in make(rng, n)]


def _laid_out(rng: np.random.Generator, x: Any) -> Any:
    wide = np.zeros([2 * size + 1 for size in x.shape], x.dtype)
    every = slice(None, None, int(rng.choice([-2, 2])))
    places = [
        wide[(every,) * x.ndim][tuple(slice(size) for size in x.shape)],
        np.zeros(x.shape, x.dtype)[(slice(None, None, -1),) * x.ndim],
        np.zeros(x.shape[::-1], x.dtype).T,
        np.zeros(x.size + 1, x.dtype)[1:].reshape(x.shape),
    ]
    chosen = places[rng.integers(len(places))]
    chosen[...] = x
    return chosen


ARGUMENTS = (doubles, doubles, doubles, scattered, single)
# What a loop carries in single and in double precision is double: not as in NumPy.
DOUBLE_ONLY = {"cells"}


def program(kind: str, seed: int, *, numba: int = 0, c: int = 0) -> Program:
    """The program of a seed.

    numba: every how many programs one is compiled by Numba; none if it is 0.
    c: every how many of the others one is compiled by C.
    """
    by = "python"
    if numba and seed % numba == 0:
        by = "numba"
    elif c and seed % c == 0:
        by = "c"
    source, make = KINDS[kind]
    variants = ARGUMENTS[:-1] if kind in DOUBLE_ONLY else ARGUMENTS
    return Program(
        source(seed),
        partial(variants[seed // 2 % len(variants)], make, seed),
        seed=seed,
        sizes=(seed % 4,) if seed % 3 and by != "numba" and kind != "cells" else (),
        second=seed % 4 == 0 and by != "numba",
        by=by,
    )


def outcome(kind: str, seed: int, numba: int, c: int) -> tuple[str, str, str]:
    """What became of a program: its category, more about it, and how it was run."""
    chosen = program(kind, seed, numba=numba, c=c)
    try:
        check(chosen)
    except Unsuitable as error:
        return "unsuitable", str(error), chosen.by
    except Disagreement as error:
        return "disagreement", str(error), chosen.by
    except Exception as error:  # the program generator's own mistakes are told as well
        return "error", f"{type(error).__name__}: {error}", chosen.by
    return "agreed", "", chosen.by


__all__ = ["KINDS", "outcome", "program"]
