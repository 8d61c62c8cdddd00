"""Texts about compiled functions, as prompts and notebooks show them."""

from __future__ import annotations

from typing import Any

from tracegrad.ir.graph import Graph
from tracegrad.ir.printer import print_graph
from tracegrad.tape.picture import graph_dot, mime_bundle

_DRAWN_AT_MOST = 300  # equations; more is no picture any more


class Text(str):
    """A text that a notebook or prompt shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class GraphText(Text):
    """A graph as text, which a notebook shows as a picture if it can be drawn."""

    __slots__ = ("_graph",)
    _graph: Graph

    @staticmethod
    def of(graph: Graph) -> GraphText:
        """The text of a graph."""
        made = GraphText(print_graph(graph))
        made._graph = graph
        return made

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> dict[str, str]:
        if len(self._graph.equations) > _DRAWN_AT_MOST:
            return {"text/plain": str(self)}
        return mime_bundle(str(self), lambda: graph_dot(self._graph))


class Stages(dict[str, Text]):
    """The stages of a compilation by title, in order; printed one after another."""

    def __str__(self) -> str:
        rule = "# " + "-" * 70
        return "\n\n".join(f"{rule}\n# {k}\n{rule}\n{v}" for k, v in self.items())

    __repr__ = __str__
