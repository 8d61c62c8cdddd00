"""Random loop programs as Python source: what a user of Numba might have written.

Every program is a function of two vectors, a matrix, a rectangle, a vector of another
length, a number, an index array and a small integer. It writes to some of them, and
returns a number, an array, both or nothing. Most of what Python and NumPy allow in such
programs may appear, nested as chance has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.expressions import Expressions, Index, Scope

PARAMETERS = "x, y, A, B, w, c, p, m"
HEAD = "import math\n\nimport numpy as np\n\n\n"


SLICES = [
    ("1:", ":-1"),
    (":-1", "1:"),
    ("1:-1", "2:"),
    ("1:-1", ":-2"),
    ("2:", ":-2"),
    (":", ":"),
    (":", "::-1"),
    ("::2", "::2"),
    ("1::2", "1::2"),
    ("::-1", ":"),
    ("-2:", ":2"),
]


class Generator(Expressions):
    """Random statements, down to whole programs."""

    def __init__(self, seed: int, *, short: bool = False) -> None:
        super().__init__(seed)
        self.short = short
        self.deepest = 2 if short else 4  # how many blocks stand in one another
        self.lines: list[str] = []
        self.pad = ""
        self.count = 0

    def emit(self, line: str) -> None:
        self.lines.append(self.pad + line)

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """An indented block, at the end of which its own names are gone."""
        self.emit(header)
        s = self.scope
        kept = {kind: list(names) for kind, names in s.arrays.items()}
        before = (list(s.floats), list(s.ints), kept, list(s.owned), list(s.indices))
        orders = list(s.orders)
        pad, self.pad = self.pad, self.pad + "    "
        yield
        self.pad = pad
        s.floats, s.ints, s.arrays, s.owned, s.indices = before
        s.orders = orders

    # --- programs ------------------------------------------------------------------

    def program(self) -> str:
        """The source of a module with a function ``f``."""
        if self.chance(0.2 if self.short else 0.4):
            self.helper()
        if self.chance(0.1 if self.short else 0.3):
            self.writer()
        self.scope = Scope(helpers=self.scope.helpers, writers=self.scope.writers)
        s = self.scope
        s.arrays = {"n": ["x", "y"], "nn": ["A"], "nk": ["B"], "k": ["w"]}
        self.emit(f"def f({PARAMETERS}):")
        self.pad = "    "
        self.emit("n, k = B.shape")
        for name in "ab":
            self.emit(f"{name} = {self.number(1)}")
            s.floats.append(name)
        self.emit("q = m")
        s.ints.append("q")
        most = 1 if self.short else 2
        for _ in range(self.random.randint(most - 1, most)):
            self.array()
        if self.chance(0.25):
            self.closure()
        for _ in range(
            self.random.randint(1, 2) if self.short else self.random.randint(2, 5)
        ):
            self.statement(0)
        if not any("for " in line or "while " in line for line in self.lines):
            self.loop(0)
        self.result()
        return HEAD + "\n".join(self.lines) + "\n"

    def result(self) -> None:
        options = ["a + b", f"a, {self.vector(0)}", "a * y[0], b"]
        options += [self.vector(0), f"{self.reduction(1)} + a"]
        options += [self.random.choice(self.scope.arrays["n"])]
        if any("return" in line for line in self.lines[1:] if line[:8] == " " * 8):
            options = ["a * b + c", "b"]  # as the returns in it: a number
        self.emit(f"return {self.random.choice(options)}")

    def helper(self) -> None:
        """A function of a vector, an index and a number that gives a number."""
        self.scope = Scope(floats=["s"], ints=["i"], arrays={"n": ["u"]})
        self.emit("def h(u, i, s):")
        self.pad = "    "
        if self.chance(0.5):
            with self.block(f"if {self.pick('s > 0.3', 'i % 2 == 0', 'u[i] < s')}:"):
                self.emit(f"return {self.pick('s * s', 'u[i] * s', 'u[i - 1]')}")
        if self.chance(0.4):
            with self.block(f"for j in range({self.pick('u.shape[0]', 'i % 3')}):"):
                self.emit(f"s += {self.pick('0.1 * u[j] * s', 'u[-j - 1]')}")
        self.emit(f"return {self.pick('np.sin(s * u[i])', 's + u[i] ** 2', '0.5 * s')}")
        self.lines += ["", ""]
        self.pad = ""
        self.scope.helpers.append("h")

    def writer(self) -> None:
        """A function that writes to its first argument."""
        self.emit("def g(out, u, s):")
        self.pad = "    "
        with self.block(f"for i in range({self.pick('1, ', '')}out.shape[0]):"):
            if self.chance(0.4):
                with self.block("if u[i] > s:"):
                    self.emit(self.pick("continue", "break", "return", "s = u[i]"))
            self.emit(
                self.pick(
                    "out[i] = np.sin(u[i - 1] * s)",
                    "out[i] += 0.3 * u[i] * out[i - 1]",
                    "out[i] *= u[-i - 1] + s",
                )
            )
        self.lines += ["", ""]
        self.pad = ""
        self.scope.writers.append("g")

    # --- statements ----------------------------------------------------------------

    def statements(self, depth: int, most: int) -> None:
        for _ in range(self.random.randint(1, most)):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        kinds = [(self.let, 5), (self.store, 7), (self.window, 3), (self.whole, 2)]
        kinds += [(self.exchange, 1), (self.count_up, 2), (self.view, 2)]
        kinds += [(self.array, 1), (self.write, 2), (self.scatter, 2), (self.order, 1)]
        deepest = self.deepest
        if depth < deepest:
            kinds += [(lambda: self.branch(depth), 4)]
        loops = len(self.scope.indices)
        if depth < deepest - 1 and loops < deepest - 1:
            kinds += [(lambda: self.loop(depth), 9 - 3 * loops)]
            kinds += [(lambda: self.repeat(depth), 2)]
        chosen, weights = zip(*kinds, strict=True)
        self.random.choices(chosen, weights)[0]()

    def let(self) -> None:
        name = self.random.choice(self.scope.floats)
        if self.chance(0.3):
            self.emit(f"{name} {self.pick('+=', '-=')} {self.bounded(self.number(1))}")
        elif self.chance(0.1):
            self.emit(f"{name} *= np.cos({self.number(1)})")
        else:
            self.emit(f"{name} = {self.bounded(self.number())}")

    def count_up(self) -> None:
        if "q" in self.scope.ints:
            expression = f"({self.integer(2)}) % {self.random.randint(3, 7)}"
            self.emit(self.pick("q += 1", f"q = {expression}", "q = (q + 2) % 4"))

    def store(self) -> None:
        kind = self.random.choice([k for k, v in self.scope.arrays.items() if v])
        name = self.random.choice(self.scope.arrays[kind])
        place = f"{name}[{', '.join(self.index(axis) for axis in kind)}]"
        value = self.number()
        match self.random.random():
            case p if p < 0.5:
                self.emit(f"{place} = {self.bounded(value)}")
            case p if p < 0.8:
                self.emit(f"{place} {self.pick('+=', '-=')} {self.bounded(value)}")
            case _:
                self.emit(f"{place} {self.pick('*=', '/=')} 1.2 + np.cos({value})")

    def window(self) -> None:
        """Slices on both sides."""
        r = self.random
        target, source = r.choice(SLICES)
        found = [i for i in self.scope.indices if i.axis == "n"]
        if found and self.chance(0.4):
            i = r.choice(found).name
            target = source = self.pick(f":{i}", f"{i}:", f"{i}::2", f":{i} + 1")
        axis = self.pick("n", "n", "k") if not found else "n"
        names = self.scope.arrays.get(axis) or ["x"]
        into, out = r.choice(names), r.choice(names)
        row = self.index("n")
        if axis == "n" and self.chance(0.3) and self.scope.arrays.get("nn"):
            square = r.choice(self.scope.arrays["nn"])
            left = self.pick(f"{square}[{row}, {target}]", f"{square}[{target}, {row}]")
        else:
            left = f"{into}[{target}]"
        right = f"{out}[{source}]"
        value = self.pick(right, f"np.sin({right})", f"{right} * ({self.number(1)})")
        self.emit(f"{left} {self.pick('=', '=', '+=', '*=')} {value}")

    def whole(self) -> None:
        """All of an array at once."""
        axis = self.pick("n", "n", "k")
        names = self.scope.arrays.get(axis)
        if not names:
            return self.let()
        name = self.random.choice(names)
        value = self.bounded(self.vector(1, axis))
        owned = [x for x in names if x in self.scope.owned]
        if owned and self.chance(0.3):
            self.emit(f"{self.random.choice(owned)} = {value} * 1.0")
        else:
            self.emit(f"{name}{self.pick('[:] =', '[:] =', ' +=', ' *=')} {value}")

    def array(self) -> None:
        """A new array."""
        kinds = ("n", "n", "n", "k", "nn")
        kind = self.pick(*(k for k in kinds if set(k) <= set(self.axes)))
        name = self.fresh("z")
        size = f"({kind[0]}, {kind[1]})" if len(kind) == 2 else kind
        like = self.random.choice(self.scope.arrays.get(kind) or ["None"])
        options = [f"np.zeros({size})", f"np.full({size}, {self.atom()})"]
        if like != "None":
            options += [f"{like}.copy()", f"np.zeros_like({like})", f"0.5 * {like}"]
        if len(kind) == 1:
            options += [f"{self.vector(1, kind)} + 0.1"]
        self.emit(f"{name} = {self.random.choice(options)}")
        self.scope.arrays.setdefault(kind, []).append(name)
        self.scope.owned.append(name)

    def view(self) -> None:
        """Another name for some of an array's elements, written through."""
        square = self.scope.arrays.get("nn")
        name = self.fresh("v")
        if square and self.chance(0.6):
            base, row = self.random.choice(square), self.index("n")
            self.emit(f"{name} = {self.pick(f'{base}[{row}]', f'{base}[:, {row}]')}")
        elif square and self.chance(0.3):
            self.emit(f"{name} = {self.random.choice(square)}.T")
            self.scope.arrays["nn"].append(name)
            return
        else:
            base = self.random.choice(self.scope.arrays["n"])
            self.emit(f"{name} = {self.pick(base, f'{base}[::-1]', f'{base}[:]')}")
        self.scope.arrays["n"].append(name)
        self.emit(f"{name}[{self.index('n')}] = {self.bounded(self.number(1))}")

    def write(self) -> None:
        """A call of a function that writes to an argument."""
        if not self.scope.writers:
            return self.store()
        names = self.scope.arrays["n"]
        out, u = self.random.choice(names), self.random.choice(names)
        writer = self.random.choice(self.scope.writers)
        self.emit(f"{writer}({out}, {u}, {self.number(0)})")

    def scatter(self) -> None:
        """Stores through an index array, where indices may repeat, or a mask."""
        names, o = self.scope.arrays["n"], self.pick(*self.scope.orders)
        name, sign = self.random.choice(names), self.pick("=", "=", "+=", "*=")
        squares = self.scope.arrays.get("nn")
        if self.chance(0.3):
            than = f"{self.pick('<', '>')} {self.atom()}"
            value = self.bounded(self.number(1))
            self.emit(f"{name}[{self.random.choice(names)} {than}] {sign} {value}")
        elif squares and self.chance(0.3):
            place = self.pick(f"{o}, {o}", o, f":, {o}", f"0, {o}")
            value = self.bounded(self.vector(0))
            self.emit(f"{self.random.choice(squares)}[{place}] {sign} {value}")
        else:
            self.emit(f"{name}[{o}] {sign} {self.bounded(self.vector(1))}")

    def order(self) -> None:
        """A new array of indices, or an element of one that was made here."""
        owned = [o for o in self.scope.orders if o != "p"]
        if owned and self.chance(0.5):
            place, value = self.index("n"), self.integer(2)
            self.emit(f"{self.random.choice(owned)}[{place}] = ({value}) % n")
            return
        name = self.fresh("o")
        names = self.scope.arrays["n"]
        options = [
            "np.arange(n)",
            "np.zeros(n, np.int64)",
            "p.copy()",
            "p[::-1]",
            "p % n",
        ]
        options += [f"np.argsort({self.random.choice(names)})"]
        self.emit(f"{name} = {self.random.choice(options)}")
        self.scope.orders.append(name)

    def closure(self) -> None:
        """A function inside of ``f``, which sees what its names hold by then."""
        name = self.fresh("d")
        s = self.scope
        if self.chance(0.5):
            with self.block(f"def {name}(u, i, s):"):
                s.floats.append("s")
                self.emit(f"return {self.bounded(self.number(1))}")
            s.helpers = [*s.helpers, name]
        else:
            with self.block(f"def {name}(out, u, s):"):
                s.floats.append("s")
                s.indices.append(Index("i", "n"))
                pad = self.pad
                self.emit("for i in range(n):")
                self.pad = pad + "    "
                self.store()
                self.pad = pad
            s.writers = [*s.writers, name]

    def exchange(self) -> None:
        if self.chance(0.3):
            name = self.random.choice([*self.scope.arrays["n"], "A"])
            first, second = (f"{name}[{self.index('n')}]" for _ in range(2))
            copied = ".copy()" if name == "A" else ""
            self.emit(f"{first}, {second} = {second}{copied}, {first}{copied}")
            return
        owned = [x for x in self.scope.arrays["n"] if x in self.scope.owned]
        if len(owned) > 1 and self.chance(0.5):
            first, second = self.random.sample(owned, 2)
            self.emit(f"{first}, {second} = {second}, {first}")
        elif len(self.scope.floats) > 1:
            self.emit(f"a, b = b, {self.bounded(self.number(1))}")
        else:
            self.let()

    # --- control flow --------------------------------------------------------------

    def branch(self, depth: int) -> None:
        with self.block(f"if {self.condition()}:"):
            self.statements(depth + 1, 2)
            self.jump()
        if self.chance(0.25):
            with self.block(f"elif {self.condition()}:"):
                self.statements(depth + 1, 2)
        if self.chance(0.4):
            with self.block("else:"):
                self.statements(depth + 1, 2)
                self.jump()

    def jump(self) -> None:
        """Perhaps leave what is around."""
        looping = any(
            line.lstrip().startswith(("for", "while")) and _pad(line) < _pad(self.pad)
            for line in self._around()
        )
        if looping and self.chance(0.25):
            self.emit(self.pick("break", "continue"))
        elif self.chance(0.05) and self.scope.floats[:1] == ["a"]:
            self.emit(f"return {self.pick('a', 'b * 2.0', 'a * c')}")

    def _around(self) -> Iterator[str]:
        """The headers of the blocks around, innermost first."""
        level = _pad(self.pad + "x")
        for line in reversed(self.lines):
            if line.strip() and _pad(line) < level:
                level = _pad(line)
                yield line

    def loop(self, depth: int) -> None:
        header, found, extra = self.iteration()
        with self.block(header):
            self.scope.indices += found
            self.scope.floats += extra
            self.statements(depth + 1, 3)
            if self.chance(0.2):
                self.rotate()

    def rotate(self) -> None:
        """Exchange arrays at the end of a loop's body."""
        owned = [x for x in self.scope.arrays["n"] if x in self.scope.owned]
        outside = [x for x in owned if f"    {x} = " in "\n".join(self.lines)]
        if len(outside) > 1:
            first, second = self.random.sample(outside, 2)
            self.emit(f"{first}, {second} = {second}, {first}")

    def iteration(self) -> tuple[str, list[Index], list[str]]:
        """A loop's header, its indices and its numbers."""
        r, name = self.random, self.pick("i", "j", "t") + str(len(self.scope.indices))
        axis = self.pick(*self.axes)
        outer = [i for i in self.scope.indices if i.axis == axis]
        low, high = self.pick("0", "0", "1", "2"), self.pick("0", "1", "2")
        full = [
            (f"range({axis})", 0, 0),
            (f"range({low}, {axis} - {high})", int(low), int(high)),
            (f"range({low}, {axis} - {high}, 2)", int(low), int(high)),
            (f"range({axis} - 1, -1, -1)", 0, 0),
            (f"range({axis} - 2, 0, -1)", 1, 1),
            (f"range({axis} - 1, 0, -2)", 1, 0),
            (f"reversed(range({low}, {axis}))", int(low), 0),
            (f"range(0, {axis}, m + 1)", 0, 0),
            (f"range({axis} - 1, -1, -m - 1)", 0, 0),
        ]
        if outer:
            i = r.choice(outer).name
            full += [(f"range({i})", 0, 1), (f"range({i} + 1, {axis})", 1, 0)] * 2
            full += [(f"range({axis} - 1, {i}, -1)", 1, 0)]
        if self.chance(0.1):
            return f"for {name} in range({self.pick('m', '3', 'q % 3')}):", [], []
        if self.chance(0.2):
            return self.over_elements(axis, name)
        text, low_, high_ = r.choice(full)
        return f"for {name} in {text}:", [Index(name, axis, low_, high_)], []

    def over_elements(self, axis: str, name: str) -> tuple[str, list[Index], list[str]]:
        names = self.scope.arrays.get(axis) or ["x"]
        u, v, e = self.random.choice(names), self.random.choice(names), self.fresh("e")
        match self.random.random():
            case p if p < 0.3:
                return f"for {e} in {u}:", [], [e]
            case p if p < 0.7:
                header = f"for {name}, {e} in enumerate({u}):"
                return header, [Index(name, axis)], [e]
            case _:
                other = self.fresh("e")
                return f"for {e}, {other} in zip({u}, {v}):", [], [e, other]

    def repeat(self, depth: int) -> None:
        """A while loop that ends."""
        name = self.fresh("r")
        self.emit(f"{name} = 0")
        test = f"{name} < {self.pick('m', '3', 'n', 'm + 2')}"
        if self.chance(0.5):
            test += f" and {self.condition(0)}"
        plain = self.chance(0.7)
        with self.block(f"while {test}:" if plain else "while True:"):
            if not plain:
                with self.block(f"if not ({test}):"):
                    self.emit("break")
            self.emit(f"{name} += 1")
            self.scope.ints.append(name)
            self.statements(depth + 1, 2)


def _pad(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else len(line)


def source(seed: int) -> str:
    """The program of a seed."""
    return Generator(seed).program()


def short_source(seed: int) -> str:
    """A program of a few lines."""
    return Generator(seed, short=True).program()


__all__ = ["short_source", "source"]
