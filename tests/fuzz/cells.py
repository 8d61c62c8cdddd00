"""Random programs with small arrays of fixed sizes, whose cells may become numbers.

Loops carry them, branches write to them, views show parts of them, and their cells are
found by constants, by a loop's index and by computed ones.
"""

from __future__ import annotations

from tests.fuzz import loops, nests
from tests.fuzz.expressions import Scope

MAKERS = (
    "np.zeros(3)",
    "np.array([{}, {}, {}])",
    "np.array([{}, 2.0, {}])",
    "np.ones(3) * {}",
    "x[:3].copy()",
    "0.5 * x[1:4]",
    "np.array((x[0], x[1], {}))",
)
UPDATES = (
    "{z}[{i}] = {e}",
    "{z}[{i}] = {e}",
    "{z}[{i}] += {e}",
    "{z}[{i}] = {u}[{j}] * {e}",
    "{z}[{i}], {z}[{j}] = {u}[{j}], {u}[{i}]",
    "{z} = np.sin({u}) + {z} * {e}",
    "{z} = np.array([{u}[2], {u}[0], {e}])",
    "{z}[:] = {u}[::-1]",
    "{z}[1:] = {u}[:2]",
    "{z}[:2] += {u}[1:] * {e}",
    "{z} *= 0.7",
    "{z}[{i}] = np.dot({u}, {z}) * 0.1",
    "{z} = M @ {u}",
    "M[{i}, {j}] = {e}",
    "M[{i}] = {u}",
    "M = 0.3 * (M @ M.T)",
    "{z}, {u} = {u}, {z}",
    "{z} = {u}.copy()",
    "a, {z}[{i}] = {z}[{j}], np.sin(a)",
    "x[{i}] = {z}[{j}] * {e}",
)


class Generator(nests.Generator):
    """Programs of arrays of three, and of three by three."""

    def program(self) -> str:
        """The source of a module with a function ``f``."""
        self.scope = Scope(floats=["a", "b"], ints=["q"])
        self.scope.arrays = {"n": ["x"], "nn": ["A"]}
        self.emit(f"def f({nests.PARAMETERS}):")
        self.pad = "    "
        for line in ("n = x.shape[0]", "q = m", "a = np.sin(x[0])", "b = c * x[-1]"):
            self.emit(line)
        for name in ("u", "z"):
            self.emit(f"{name} = {self.filled(self.pick(*MAKERS))}")
        self.emit(
            self.pick(
                "M = np.eye(3)", "M = A[:3, :3].copy()", "M = np.ones((3, 3)) * a"
            )
        )
        if self.chance(0.3):
            self.emit(f"v = {self.pick('z[1:]', 'z[::-1]', 'M[1]', 'z')}")
            self.emit(f"v[0] = {self.number(1)}")
        self.some(1)
        self.nest()
        if self.chance(0.4):
            self.some(2)
        results = (
            "z, u, M",
            "z[0] + u[1] * M[1, 2], a",
            "np.sum(M) * z, u",
            "M @ z, b",
        )
        self.emit(f"return {self.pick(*results)}")
        return loops.HEAD + "\n".join(self.lines) + "\n"

    def filled(self, template: str) -> str:
        """A template with numbers in its places."""
        while "{}" in template:
            template = template.replace("{}", self.number(1), 1)
        return template

    def cell(self) -> str:
        """An index into three cells."""
        names = [i.name for i in self.scope.indices]
        options = ["0", "1", "2", "-1", "-2", "q % 3"]
        return self.pick(
            *options, *(f"{i} % 3" for i in names), *(f"({i} + 1) % 3" for i in names)
        )

    def some(self, most: int) -> None:
        """Updates of the small arrays."""
        for _ in range(self.random.randint(1, most)):
            z, u = self.random.sample(["z", "u"], 2)
            if self.chance(0.4):
                value = f"z[{self.cell()}] * M[{self.cell()}, {self.cell()}]"
            else:
                value = self.number(1)
            update = self.pick(*UPDATES)
            for key, text in (("{z}", z), ("{u}", u), ("{e}", self.bounded(value))):
                update = update.replace(key, text)
            for key in ("{i}", "{j}"):
                update = update.replace(key, self.cell())
            self.emit(update)

    def nest(self) -> None:
        """Loops of known and of unknown lengths, with a branch."""
        first = self.pick("range(n)", "range(3)", "range(2, n)", "range(n - 1, -1, -1)")
        with self.block(f"for i in {first}:"):
            self.scope.indices.append(loops.Index("i", "n"))
            self.some(2)
            if self.chance(0.6):
                with self.block(
                    f"for j in {self.pick('range(3)', 'range(i)', 'range(2)')}:"
                ):
                    self.scope.indices.append(loops.Index("j", "n"))
                    self.some(2)
            with self.block(f"if {self.condition()}:"):
                self.some(2)
            if self.chance(0.5):
                with self.block("else:"):
                    self.some(2)
            if self.chance(0.5):
                self.some(1)


def source(seed: int) -> str:
    """The program of a seed."""
    return Generator(seed).program()


__all__ = ["source"]
