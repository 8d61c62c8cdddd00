"""Random array programs as Python source: expressions with whole arrays, no loops.

Each statement gives a new array of one of a few shapes: broadcasting, reductions over
axes, slices with steps, rearrangements, products, gathers, running sums.
"""

from __future__ import annotations

import random
import re

from tests.fuzz.expressions import templates

PARAMETERS = "x, y, A, B, w, c, p, m"
HEAD = "import numpy as np\n\n\n"

# What makes an array of a shape: n, k vectors; nn, nk, kn matrices; s a number.
MAKERS = {
    "s": """
        np.sum({n}) | np.mean({nk}) | np.dot({n}, {n}) | np.max({n}) | {n}[0] * {k}[-1]
        np.sum({nk} * {k}) | np.trace({nn}) | np.prod(1.0 + 0.1 * {k}) | np.var({nn})
        np.linalg.norm({n} + 2.0) | {s} * {s} | np.sin({s})
        np.einsum("ij,i,j->", {nk}, {n}, {k})
        np.log(np.sum(np.exp({k}))) | {nn}[-1, 0] | np.min({nk}) | {n} @ {n}
    """,
    "n": """
        {n} + {n} | {n} * {n} | {n} - {s} | np.sin({n}) | {n} / (2.0 + {n} ** 2)
        {n}[::-1]
        {nn} @ {n} | {nk} @ {k} | np.sum({nk}, axis=1) | np.mean({kn}, axis=0) | {n}[p]
        np.where({n} > {s}, {n}, {n}) | np.maximum({n}, {n}) | np.cumsum({n})
        np.diag({nn})
        np.concatenate(({n}[1:], {n}[:1])) | np.roll({n}, 1) | np.exp(-{n} * {n})
        {nn}[0]
        {nk}[:, -1] | np.pad({n}[1:], (0, 1)) | np.pad({n}[:-1], (1, 0))
        np.tanh({n}) * {s}
        np.max({nk}, axis=1) | {n}.reshape(-1, 1)[:, 0] | np.append({n}[2:], {n}[:2])
        np.clip({n}, -0.5, 0.7) | np.einsum("ij,j->i", {nk}, {k}) | np.sort({n})
        {nn}[p, p]
        np.repeat({n}[:1], n) * {n} | np.abs({n}) | np.cumprod(1.0 + 0.1 * {n})
        {nn}.T @ {n}
    """,
    "k": """
        {k} * {k} | {k} + {s} | np.cos({k}) | {n} @ {nk} | np.sum({nk}, axis=0)
        {k}[::-1]
        {nk}[0] | {nk}[-1] * {k} | np.cumsum({k}[::-1]) | np.min({kn}, axis=1)
        {kn}[:, 0]
        np.sqrt(1.0 + {k} ** 2) | np.where({k} < 0.0, {k}, {s})
        np.mean({nk}[::2], axis=0)
    """,
    "nn": """
        {nn} * {nn} | {nn} + {n} | {nn} - {n}[:, None] | np.outer({n}, {n}) | {nn}.T
        {nn} @ {nn}
        {nk} @ {kn} | np.sin({nn}) | {nn}[::-1] | {nn}[p] | {nn}[:, p] | np.tril({nn})
        {n}[:, None] * {n} | np.cumsum({nn}, axis=0) | np.where({nn} > {s}, {nn}, {n})
        np.triu({nn}, 1) | np.stack([{n}] * 1)[0] * {nn} | {nn} / (1.0 + {nn} ** 2)
        np.diag({n})
        np.concatenate(({nn}[1:], {nn}[:1])) | np.einsum("ij,kj->ik", {nk}, {nk})
    """,
    "nk": """
        {nk} * {nk} | {nk} + {k} | {nk} * {n}[:, None] | {kn}.T | {nn} @ {nk}
        np.outer({n}, {k})
        np.tanh({nk}) | {nk}[::-1, ::-1] | {nk}[p] | np.cumsum({nk}, axis=1)
        {nk} - np.max({nk}, axis=1, keepdims=True)
        {nk} / np.sum(np.exp({nk}), axis=1, keepdims=True) | np.minimum({nk}, {s})
        np.transpose({kn})
        {nk} - np.mean({nk}, axis=0) | np.ravel({nk}).reshape(n, k)
        {kn}.reshape(k, n).T
    """,
    "kn": """
        {nk}.T | {kn} * {n} | np.exp(np.sin({kn})) | {k}[:, None] + {n} | {kn} @ {nn}
        np.swapaxes({nk}, 0, 1) * {kn} | np.expand_dims({k}, 1) * {n}
        {nk}.reshape(k, n)
    """,
}
RULES = {shape: templates(text) for shape, text in MAKERS.items()}
STORES = [
    "{t}[1:] = {t}[:-1] * {s}",
    "{t}[0] = {s}",
    "{t} += {u} * {s}",
    "{t}[::2] *= 1.5",
    "{t}[:] = np.sin({t}[::-1])",
]


class Generator:
    """Random statements, each of which names a new array or writes to one."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = {
            "s": ["c"],
            "n": ["x", "y"],
            "k": ["w"],
            "nn": ["A"],
            "nk": ["B"],
            "kn": ["B.T"],
        }

    def expression(self, shape: str, depth: int) -> str:
        """An array of a shape."""
        if depth == 0:
            names = self.names[shape]
            return self.random.choice([*names, names[-1], names[-1]])
        template = self.random.choice(RULES[shape])

        def fill(match: re.Match[str]) -> str:
            inner = self.expression(
                match[1], depth - 1 if self.random.random() < 0.5 else 0
            )
            return inner if re.fullmatch(r"[\w.]+", inner) else f"({inner})"

        return re.sub(r"\{(\w+)\}", fill, template)

    def program(self) -> str:
        """The source of a module with a function ``f``."""
        lines = [f"def f({PARAMETERS}):", "    n, k = B.shape"]
        for number in range(self.random.randint(3, 8)):
            shape = self.random.choice(list(RULES))
            name = f"{'t' if shape != 's' else 'q'}{number}_"
            lines.append(f"    {name} = {self.expression(shape, 2)}")
            self.names[shape].append(name)
            if shape == "n" and self.random.random() < 0.3:
                store = self.random.choice(STORES).replace("{t}", name)
                store = store.replace("{u}", self.random.choice(self.names["n"]))
                store = store.replace("{s}", self.random.choice(self.names["s"]))
                lines.append(f"    {name} = 1.0 * {name}")
                lines.append(f"    {store}")
        results = [self.names[s][-1] for s in ("s", "n", "nk", "nn", "kn", "k")]
        shown = self.random.sample(results, self.random.randint(2, 4))
        lines.append(f"    return {', '.join(f'1.0 * {x}' for x in shown)}")
        return HEAD + "\n".join(lines) + "\n"


def source(seed: int) -> str:
    """The program of a seed."""
    return Generator(seed).program()


__all__ = ["source"]
