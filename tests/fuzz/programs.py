"""The kinds of random programs, with arguments for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz import arrays, loops
from tests.fuzz.checking import Disagreement, Program, Unsuitable, check


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


KINDS: dict[str, tuple[Callable[[int], str], Any]] = {
    "arrays": (arrays.source, loop_arguments),
    "loops": (loops.source, loop_arguments),
}


def program(kind: str, seed: int, *, numba: int = 0) -> Program:
    """The program of a seed.

    numba: every how many programs one is compiled; none if it is 0.
    """
    source, arguments = KINDS[kind]
    return Program(
        source(seed),
        arguments,
        seed=seed,
        sizes=(seed % 4,) if seed % 3 else (),
        second=seed % 4 == 0,
        compiled=numba > 0 and seed % numba == 0,
    )


def outcome(kind: str, seed: int, numba: int) -> tuple[str, str]:
    """What became of a program: its category, and more about it."""
    try:
        check(program(kind, seed, numba=numba))
    except Unsuitable as error:
        return "unsuitable", str(error)
    except Disagreement as error:
        return "disagreement", str(error)
    except Exception as error:  # the program generator's own mistakes are told as well
        return "error", f"{type(error).__name__}: {error}"
    return "agreed", ""


__all__ = ["KINDS", "outcome", "program"]
