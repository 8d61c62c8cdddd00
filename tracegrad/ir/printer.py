"""A graph as text, deterministic: the same function always prints the same.

graph energy(x: float64[x.shape[0]]) {
  a = multiply x x                      # model.py:3
  t1 = reduce_sum[axes=(0,)] a
  return t1
}
"""

from __future__ import annotations

from typing import Any

from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value


class Names:
    """Unique names for values, the user's where there are any."""

    def __init__(self) -> None:
        self._names: dict[Value, str] = {}
        self._taken: set[str] = set()
        self._next = 1

    def of(self, operand: Operand) -> str:
        """The name of a value; a literal's own text."""
        if isinstance(operand, Literal):
            return repr(operand)
        if operand not in self._names:
            self._names[operand] = self._fresh(operand.name)
        return self._names[operand]

    def _fresh(self, wanted: str | None) -> str:
        if wanted is None:
            name = f"t{self._next}"
            while name in self._taken:
                self._next += 1
                name = f"t{self._next}"
        else:
            name, k = wanted, 2
            while name in self._taken:
                name, k = f"{wanted}_{k}", k + 1
        self._taken.add(name)
        return name


def print_graph(graph: Graph) -> str:
    """The whole graph, nested regions indented."""
    names = Names()
    params = ", ".join(f"{names.of(p)}: {p.type}" for p in graph.params)
    lines = [f"graph {graph.name}({params}) {{"]
    _body(graph, names, 1, lines)
    return "\n".join([*lines, "}"])


def _body(graph: Graph, names: Names, depth: int, lines: list[str]) -> None:
    pad = "  " * depth
    for equation in graph.equations:
        text = pad + _equation(equation, names)
        if equation.location is not None and not equation.regions:
            where = equation.location
            text = f"{text:<44}  # {where.file.rsplit('/', 1)[-1]}:{where.line}"
        lines.append(text)
        for region in equation.regions:
            params = ", ".join(f"{names.of(p)}: {p.type}" for p in region.params)
            lines.append(f"{pad}({params}) {{")
            _body(region, names, depth + 1, lines)
            lines.append(f"{pad}}}")
    lines.append(f"{pad}return {' '.join(names.of(r) for r in graph.results)}".rstrip())


def _equation(equation: Equation, names: Names) -> str:
    outputs = " ".join(names.of(o) for o in equation.outputs)
    shown = ", ".join(f"{k}={_param(v)}" for k, v in equation.params.items())
    params = f"[{shown}]" if shown else ""
    inputs = " ".join(names.of(x) for x in equation.inputs)
    left = f"{outputs} = " if outputs else ""
    return f"{left}{equation.primitive.name}{params} {inputs}".rstrip()


def _param(value: Any) -> str:
    if isinstance(value, tuple):
        inner = ", ".join(_param(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return getattr(value, "__name__", None) or str(value)
