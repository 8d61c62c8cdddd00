"""What a program of the corpus is: a function, arguments for it, and sizes to try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

Maker = Callable[[np.random.Generator, int], Any]


@dataclass(frozen=True)
class Program:
    """A function of arrays and numbers, as users write them.

    sizes: of the arguments, for which the function runs or raises an exception.
    smooth: whether it can be differentiated at random arguments.
    """

    function: Callable[..., Any]
    makers: tuple[Maker, ...]
    sizes: tuple[int, ...]
    smooth: bool

    @property
    def name(self) -> str:
        return self.function.__name__

    def arguments(self, seed: int, size: int) -> tuple[Any, ...]:
        """Random arguments, the same for the same seed and size."""
        rng = np.random.default_rng([seed, size])
        return tuple(make(rng, size) for make in self.makers)


def program(
    *makers: Maker, sizes: tuple[int, ...] = (0, 1, 2, 5), smooth: bool = True
) -> Callable[[Callable[..., Any]], Program]:
    """Makes a function a program, with arguments from these makers."""
    return lambda function: Program(function, makers, sizes, smooth)


def programs_in(*modules: ModuleType) -> list[Program]:
    """All programs of modules, in order."""
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Program)
    ]


# --- arguments ---------------------------------------------------------------------


def vector(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=n)


def positive(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.uniform(0.5, 2.0, size=n)


def square(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, n))


def wide(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, n + 1))


def definite(rng: np.random.Generator, n: int) -> np.ndarray:
    a = rng.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


def scalar(rng: np.random.Generator, n: int) -> float:
    return float(rng.normal())


def rate(rng: np.random.Generator, n: int) -> float:
    return float(rng.uniform(0.5, 2.0))


def count(rng: np.random.Generator, n: int) -> int:
    return n


def permutation(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.permutation(n)


def indices(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(-n, n, size=n) if n else np.zeros(0, np.int64)


def single(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=n).astype(np.float32)


def fixed(value: Any) -> Maker:
    return lambda rng, n: value
