"""Random expressions: templates, filled in with what is in scope."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Index:
    """A loop's variable: of which axis, and how far from its ends it stays."""

    name: str
    axis: str  # "n" or "k"
    low: int = 0
    high: int = 0


@dataclass
class Scope:
    """What the names in reach hold.

    arrays: names by kind: "n", "k" (vectors), "nn", "nk" (matrices).
    owned: arrays that may be bound anew: no arguments.
    orders: arrays of n indices into n elements.
    helpers: functions of a vector, an index and a number that give a number.
    writers: functions that write to their first argument.
    """

    floats: list[str] = field(default_factory=list)
    ints: list[str] = field(default_factory=list)
    arrays: dict[str, list[str]] = field(default_factory=dict)
    owned: list[str] = field(default_factory=list)
    indices: list[Index] = field(default_factory=list)
    orders: list[str] = field(default_factory=lambda: ["p"])
    helpers: list[str] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)


NUMBERS = """
    {number} + {number} | {number} - {number} | {number} * {number} | -({number})
    ({number}) * ({number}) | ({number}) / (1.5 + ({number}) ** 2) | ({number}) ** 2
    np.sin({number}) | math.cos({number}) | np.tanh({number}) | abs({number})
    np.sqrt(1.0 + ({number}) * ({number})) | ({number}) ** 3 | np.log1p(({number}) ** 2)
    min({number}, {number}) | max({number}, {number}) | np.maximum({number}, {number})
    np.clip({number}, -0.7, 0.8) | np.exp(np.sin({number})) | float({number})
    ({number} if {condition} else {number}) | np.arctan2({number}, 1.2) | {helped}
    np.where({condition}, {number}, {number}) | {helped} | 0.3 * {reduction}
"""
INTEGERS = """
    {integer} + {integer} | {integer} - {integer} | {integer} * 2 + {integer}
    ({integer} + 1) // 2 | ({integer} - 3) // 2 | ({integer}) % 3
    min({integer}, {integer}) | max({integer}, {integer}) | abs({integer} - {integer})
    ({integer} if {condition} else {integer}) | ({integer}) ** 2 % 5
    ({integer} & 3) ^ ({integer} | 1)
"""
CONDITIONS = """
    {condition} and {condition} | {condition} or {condition} | not ({condition})
    {integer} < {integer} | {integer} == {integer} | {integer} != {integer}
    {integer} >= {integer} | -0.6 < {number} <= {number} | {number} > {number}
    {number} < {number} | {number} > {number} | {number} < {number}
"""
VECTORS = """
    {vector} * {vector} | {vector} + {vector} | {vector} * ({number}) | ({vector})[::-1]
    np.sin({vector}) | ({vector}) * {vector} | {vector} - {number} | {gathered}
    np.where({vector} > {number}, {vector}, {vector}) | np.maximum({vector}, {vector})
    ({vector}) / (2.0 + ({vector}) ** 2) | {product}
"""
REDUCTIONS = """
    np.sum({vector}) | ({vector}).sum() | np.dot({vector}, {vector}) | np.mean({vector})
    np.sum({vector} * {vector}) | np.max({vector}) | sum({vector})
"""


def templates(text: str) -> list[str]:
    """The alternatives of a rule: between bars with a space on both sides, or lines."""
    return [
        t.strip() for line in text.split("\n") for t in line.split(" | ") if t.strip()
    ]


RULES = {
    "number": templates(NUMBERS),
    "integer": templates(INTEGERS.replace("} | 1)", "} |1)")),
    "condition": templates(CONDITIONS),
    "vector": templates(VECTORS),
    "reduction": templates(REDUCTIONS),
}


class Expressions:
    """Random expressions over what is in scope, from the templates of ``RULES``."""

    axes = "nnnk"  # the sizes of arrays, as often as they are chosen

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.scope = Scope()

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, *options: str) -> str:
        return self.random.choice(options)

    def expand(self, rule: str, depth: int, axis: str = "n") -> str:
        """A template of a rule, filled in with expressions less deep."""
        template = self.random.choice(RULES[rule])

        def fill(match: re.Match[str]) -> str:
            return str(getattr(self, match[1])(depth - 1, axis))

        return re.sub(r"\{(\w+)\}", fill, template)

    # --- integers ------------------------------------------------------------------

    def integer(self, depth: int = 1, _: str = "n") -> str:
        s, r = self.scope, self.random
        if depth <= 0 or self.chance(0.4):
            names = [i.name for i in s.indices] + s.ints + ["m"]
            return r.choice(names) if self.chance(0.8) else str(r.randint(0, 3))
        return self.expand("integer", depth)

    def index(self, axis: str, depth: int = 1) -> str:
        """An index into an axis that has at least one element."""
        found = [i for i in self.scope.indices if i.axis == axis]
        if found and self.chance(0.75):
            i = self.random.choice(found)
            options = [i.name] * 4 + [f"{i.name} - 1", f"-{i.name} - 1"]
            options += [f"{axis} - 1 - {i.name}", f"({i.name} * 2 + 1) % {axis}"]
            options += [f"{i.name} // 2"] + [f"{i.name} + 1"] * 3 * (i.high > 0)
            options += [f"{i.name} - {i.low}"] * 3 * (i.low > 0)
            if axis == "n":
                options += [f"{self.pick(*self.scope.orders)}[{i.name}]"] * 2
            return self.random.choice(options)
        if depth <= 0 or self.chance(0.6):
            return self.pick("0", "-1")
        return f"({self.integer(depth)}) % {axis}"

    # --- conditions ----------------------------------------------------------------

    def condition(self, depth: int = 1, _: str = "n") -> str:
        if depth <= 0:
            if self.chance(0.3):
                return f"{self.integer(0)} {self.pick('<', '!=')} {self.integer(0)}"
            return f"{self.atom(0)} {self.pick('<', '>')} {self.atom(0)}"
        return self.expand("condition", depth)

    # --- numbers -------------------------------------------------------------------

    def atom(self, depth: int = 1) -> str:
        s, r = self.scope, self.random
        what = r.random()
        if what < 0.3 and s.floats:
            return r.choice(s.floats)
        if what < 0.7 and s.arrays:
            return self.element(depth)
        if what < 0.8:
            return "c"
        if what < 0.85:
            return f"0.25 * ({self.integer(0)})"
        return str(round(r.uniform(-1.5, 1.5), 2))

    def element(self, depth: int) -> str:
        kinds = [
            k for k in ("n", "n", "n", "k", "nn", "nn", "nk") if k in self.scope.arrays
        ]
        kind = self.random.choice(kinds)
        name = self.random.choice(self.scope.arrays[kind])
        inside = [self.index(axis, depth) for axis in kind]
        return f"{name}[{('][' if self.chance(0.1) else ', ').join(inside)}]"

    def number(self, depth: int = 2, _: str = "n") -> str:
        """An expression for a float."""
        if depth <= 0 or self.chance(0.15):
            return self.atom(depth)
        return self.expand("number", depth)

    def helped(self, depth: int, _: str = "n") -> str:
        argument = self.number(depth)
        if not self.scope.helpers:
            return f"np.sin({argument})"
        vector = self.random.choice(self.scope.arrays["n"])
        helper = self.random.choice(self.scope.helpers)
        return f"{helper}({vector}, {self.index('n', depth)}, {argument})"

    def reduction(self, depth: int, _: str = "n") -> str:
        return self.expand("reduction", max(depth, 1), self.pick(*self.axes[1:]))

    # --- vectors -------------------------------------------------------------------

    def vector(self, depth: int = 1, axis: str = "n") -> str:
        """An array expression of a size."""
        if depth > 0 and self.chance(0.7):
            return self.expand("vector", depth, axis)
        arrays, r = self.scope.arrays, self.random
        options = list(arrays.get(axis, [])) * 3
        for name in arrays.get("nn", []) if axis == "n" else []:
            options += [f"{name}[{self.index('n', depth)}]"]
            options += [f"{name}[:, {self.index('n', depth)}]"]
        for name in arrays.get("nk", []):
            other = (
                f":, {self.index('k', depth)}"
                if axis == "n"
                else self.index("n", depth)
            )
            options += [f"{name}[{other}]"]
        return r.choice(options)

    def gathered(self, depth: int, axis: str) -> str:
        inner = self.vector(depth, axis)
        return (
            f"({inner})[{self.pick(*self.scope.orders)}]"
            if axis == "n"
            else f"({inner})[::-1]"
        )

    def product(self, depth: int, axis: str) -> str:
        inner = self.vector(depth, "n")
        matrices = self.scope.arrays["nn" if axis == "n" else "nk"]
        name = self.random.choice(matrices)
        return f"{name} @ ({inner})" if axis == "n" else f"({inner}) @ {name}"

    def bounded(self, value: str) -> str:
        """A value that doesn't explode when it is assigned again and again."""
        if self.chance(0.6):
            return f"np.sin({value})"
        return value if self.chance(0.5) else f"0.5 * ({value})"
