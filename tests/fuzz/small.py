"""Random programs with arrays of a few cells: states, rotations, little matrices.

``u`` and ``v`` are vectors and ``M`` is a matrix of a static size; ``a`` is a number.
They are made from arguments, read and written cell by cell and as wholes, under other
names, in loops and branches.
"""

from __future__ import annotations

import random
from collections.abc import Iterator


def source(seed: int) -> str:
    """A module with a function ``f(x, y, A, B, w, c, p, m)``."""
    return "\n".join(_Writer(random.Random(seed)).module())


class _Writer:
    """Chooses statements.

    size: of the vectors.
    in_place: whether arrays are written, not bound again: a loop can't do both.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._size = rng.choice([2, 2, 3])
        self._in_place = rng.random() < 0.6
        self._loops = 0

    def module(self) -> Iterator[str]:
        yield "import numpy as np"
        yield ""
        yield "def f(x, y, A, B, w, c, p, m):"
        for line in self._body():
            yield f"    {line}"

    def _body(self) -> Iterator[str]:
        rng = self._rng
        yield "n = x.shape[0]"
        yield "a = 0.5 * c"
        yield f"u = {self._vector_made()}"
        yield f"v = {self._vector_made()}"
        yield f"M = {self._matrix_made()}"
        for _ in range(rng.randint(2, 6)):
            yield from self._statement(2)
        weights = ", ".join(f"{rng.uniform(-1, 1):.2f}" for _ in range(self._size))
        total = f"a + np.sum(np.sin(u) * np.array([{weights}])) + np.sin(v[0])"
        yield f"b = {total} + np.sum(np.sin(M))"
        yield rng.choice(
            ["return b", "return b", "return b, np.sin(u)", "return M + b"]
        )

    def _k(self) -> str:
        return str(self._rng.randrange(-1, self._size))

    def _number(self) -> str:
        rng, i = self._rng, "i" if self._loops else "0"
        k, j = self._k(), self._k()
        return rng.choice(
            [
                f"u[{k}] * v[{j}]",
                f"np.sin(u[{k}])",
                f"M[{k}, {j}] - 0.5 * a",
                f"0.3 * x[{i}]",
                f"np.cos(a) * v[{k}]",
                f"{rng.uniform(-1, 1):.2f}",
                "0.0",
                "0.5 * np.sin(u @ v)",
                "np.tanh(np.sum(M))",
                f"np.sqrt(1.0 + u[{k}] ** 2)",
            ]
        )

    def _vector_made(self) -> str:
        rng, size = self._rng, self._size
        cells = [f"{rng.uniform(-1, 1):.2f} * c", "x[0]", "0.0", "1.0", "y[0] * c"]
        listed = ", ".join(rng.choice(cells) for _ in range(size))
        return rng.choice(
            [f"np.array([{listed}], np.float64)"] * 3 + [f"np.zeros({size})"]
        )

    def _matrix_made(self) -> str:
        size = self._size
        rows = (
            "[" + ", ".join(f"{self._rng.uniform(-1, 1):.2f} * c" for _ in range(size))
            for _ in range(size)
        )
        listed = ", ".join(f"{row}]" for row in rows)
        return self._rng.choice(
            [
                f"np.array([{listed}], np.float64)",
                f"np.eye({size})",
                f"np.zeros(({size}, {size}))",
            ]
        )

    def _vector(self) -> str:
        k = self._k()
        return self._rng.choice(
            [
                "0.5 * u - v",
                "np.sin(M @ v)",
                "v[::-1] * a",
                "np.where(u > v, u, 0.5 * v)",
                "np.concatenate((v[:1], u[1:]))",
                "np.tanh(u)",
                f"M[:, {k}].copy()",
                f"np.sin(u) + M[{k}]",
                "v.copy()",
                "np.sin(M.T @ u)",
                "np.sin(M).sum(axis=0)",
            ]
        )

    def _simple(self) -> str:
        k, j, number = self._k(), self._k(), self._number()
        one = self._rng.choice(["u", "v"])
        numbers = [f"a = 0.5 * a + {number}", f"a = np.sin(a) + {one}[{k}]"]
        written = [
            f"{one}[{k}] = {number}",
            f"{one}[{k}] += 0.5 * ({number})",
            f"{one}[{k}] *= np.cos({number})",
            f"{one}[:] = {self._vector()}",
            f"{one}[1:] -= 0.1 * {one}[:-1]",
            f"{one} += 0.1 * np.sin(v)",
            f"M[{k}, {j}] = {number}",
            f"M[{k}, {j}] += {number}",
            f"M[{k}] = 0.5 * {one}",
            f"M[:, {j}] -= 0.3 * {one}",
            "M -= 0.2 * np.outer(u, v)",
            "M[:] = np.sin(M @ M)",
        ]
        bound = [
            f"{one} = {self._vector()}",
            "u, v = v, u",
            f"{one} = {one} * np.cos({number})",
            "M = np.sin(M @ M)",
            "M = 0.5 * (M + M.T)",
            "M = np.sin(M - 0.2 * np.outer(u, v))",
        ]
        return self._rng.choice(numbers + (written if self._in_place else bound))

    def _statement(self, depth: int) -> Iterator[str]:
        kind = self._rng.random() if depth else 1.0
        if kind < 0.3:
            self._loops += 1
            yield f"for i in range({self._rng.choice(['n', 'n', 'm'])}):"
            yield from self._block(depth)
            self._loops -= 1
        elif kind < 0.45:
            yield f"if {self._rng.choice(['a > 0.1', 'u[0] > v[-1]', 'c < 0.0'])}:"
            yield from self._block(depth)
            if self._rng.random() < 0.6:
                yield "else:"
                yield from self._block(depth)
        elif kind < 0.55:
            yield f"t{depth} = 0"
            yield f"while t{depth} < {self._rng.choice(['m', '3'])} and u[0] < 2.0:"
            yield f"    t{depth} += 1"
            yield from self._block(depth)
        else:
            yield self._simple()

    def _block(self, depth: int) -> Iterator[str]:
        for _ in range(self._rng.randint(1, 3)):
            for line in self._statement(depth - 1):
                yield f"    {line}"
