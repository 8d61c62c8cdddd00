"""Random nests of loops as Python source, small enough to compile thousands by Numba.

Each program has a loop inside of a loop, a branch in the inner one, a second name for
elements of an array, stores through both names, and numbers that are carried along.
"""

from __future__ import annotations

from tests.fuzz import loops
from tests.fuzz.expressions import Scope

PARAMETERS = "x, A, c, p, m"


class Generator(loops.Generator):
    """Programs of a vector, a matrix, a number, an index array and a small integer."""

    axes = "nn"

    def __init__(self, seed: int) -> None:
        super().__init__(seed, short=True)

    def program(self) -> str:
        """The source of a module with a function ``f``."""
        if self.chance(0.15):
            self.helper()
        self.scope = Scope(helpers=self.scope.helpers)
        s = self.scope
        s.arrays = {"n": ["x"], "nn": ["A"]}
        self.emit(f"def f({PARAMETERS}):")
        self.pad = "    "
        self.emit("n = x.shape[0]")
        for name in "ab":
            self.emit(f"{name} = {self.number(1)}")
            s.floats.append(name)
        self.emit("q = m")
        s.ints.append("q")
        if self.chance(0.4):
            self.array()
        self.view()
        self.nest()
        if self.chance(0.3):
            self.simple()
        self.emit(f"return {self.pick('a + b', 'a * x[0], b', 'a', self.vector(0))}")
        return loops.HEAD + "\n".join(self.lines) + "\n"

    def nest(self) -> None:
        """Two loops, the inner one with a branch."""
        header, found, extra = self.iteration()
        with self.block(header):
            self.scope.indices += found
            self.scope.floats += extra
            if self.chance(0.35):
                self.simple()
            header, found, extra = self.iteration()
            with self.block(header):
                self.scope.indices += found
                self.scope.floats += extra
                if self.chance(0.3):
                    self.simple()
                self.branch(self.deepest)
                self.store()
            if self.chance(0.35):
                self.simple()

    def simple(self) -> None:
        """One statement without a block, mostly one of few elements."""
        kinds = [(self.let, 4), (self.store, 6), (self.count_up, 2), (self.exchange, 2)]
        kinds += [(self.window, 1), (self.scatter, 1), (self.view, 1), (self.order, 1)]
        chosen, weights = zip(*kinds, strict=True)
        self.random.choices(chosen, weights)[0]()

    def statements(self, depth: int, most: int) -> None:
        """A branch's."""
        self.simple()

    def number(self, depth: int = 1, axis: str = "n") -> str:
        """An expression for a float, less deep than elsewhere."""
        return super().number(depth, axis)


def source(seed: int) -> str:
    """The program of a seed."""
    return Generator(seed).program()


__all__ = ["source"]
