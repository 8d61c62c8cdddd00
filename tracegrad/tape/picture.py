"""Pictures of graphs: ``make_dot`` draws the tape, ``graph_dot`` a traced function.

They need the ``graphviz`` library (``pip install tracegrad[pictures]``). What they
return shows itself in a notebook, and its ``.source`` is the DOT text; only drawing
needs the ``dot`` program, without which a notebook shows that text.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tracegrad.ir.graph import Equation, Graph, Literal, Operand
from tracegrad.tape.node import AccumulateGrad, Node, Port
from tracegrad.tape.record import View, edge_of
from tracegrad.tape.value import Value

_LEAF, _SAVED = "lightblue", "orange"
_OUTPUT, _BASE = "darkolivegreen1", "darkolivegreen3"
_NODE = "lightgrey"


@functools.cache
def _picture_class() -> Any:
    """A Digraph of graphviz, in a notebook as text where it can't be drawn."""
    try:
        graphviz = import_module("graphviz")
    except ImportError as error:
        raise ImportError(
            "pictures need the graphviz library: pip install 'tracegrad[pictures]'"
        ) from error

    class Picture(graphviz.Digraph):  # type: ignore[name-defined, misc]
        def _repr_mimebundle_(self, *_: Any, **__: Any) -> dict[str, str]:
            return mime_bundle(self.source, lambda: self)

    return Picture


def mime_bundle(text: str, draw: Callable[[], Any]) -> dict[str, str]:
    """What a notebook shows: a drawing if the means are there, else the text.

    Args:
        text: to show in its place.
        draw: gives the ``graphviz.Digraph``.
    """
    bundle = {"text/plain": text}
    if find_spec("graphviz") is not None and shutil.which("dot") is not None:
        bundle["image/svg+xml"] = draw().pipe(format="svg", encoding="utf-8")
    return bundle


def _digraph() -> Any:
    style = {
        "style": "filled",
        "shape": "box",
        "align": "left",
        "fontsize": "10",
        "ranksep": "0.1",
        "height": "0.2",
        "fontname": "monospace",
    }
    return _picture_class()(node_attr=style, graph_attr={"size": "12,12"})


def make_dot(
    var: Any,
    params: Mapping[str, Any] | None = None,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
) -> Any:
    """The backward graph of a tensor or several.

    Leaves are light blue, operations grey, the output green; with ``show_saved``,
    saved values orange. The base of a view is dark green, with a dotted line.

    Args:
        var: the tensor or tensors.
        params: names of leaves.
        show_attrs: whether parameters of the operations are shown.
        show_saved: whether saved values are shown.
        max_attr_chars: how much of a parameter is shown.

    Returns:
        A ``graphviz.Digraph``.

    Raises:
        ImportError: without the graphviz library.
    """
    picture = _Tape(params or {}, show_attrs, show_saved, max_attr_chars)
    for x in var if isinstance(var, (tuple, list)) else (var,):
        picture.output(x)
    return picture.dot


class _Tape:
    """Draws every node once, without recursion."""

    def __init__(
        self, params: Mapping[str, Any], attrs: bool, saved: bool, limit: int
    ) -> None:
        self.dot = _digraph()
        self._names = {id(x): name for name, x in params.items()}
        self._attrs, self._show_saved, self._limit = attrs, saved, limit
        self._ids: dict[tuple[int, str], str] = {}
        self._alive: list[Any] = []  # ids are of living objects

    def _id(self, thing: Any, kind: str = "") -> tuple[str, bool]:
        """The name of a box, and whether it is new."""
        key = (id(thing), kind)
        known = key in self._ids
        if not known:
            self._ids[key] = f"n{len(self._ids)}"
            self._alive.append(thing)
        return self._ids[key], not known

    def _tensor(self, x: Any, colour: str, title: str = "") -> str:
        key, new = self._id(x)
        if new:
            name = self._names.get(id(x), title)
            text = f"{name}\n {tuple(x.shape)}" if name else f" {tuple(x.shape)}"
            self.dot.node(key, text, fillcolor=colour)
        return key

    def output(self, x: Value) -> None:
        edge = edge_of(x)
        key = self._tensor(x, _LEAF if edge is x else _OUTPUT)
        if edge is None or edge is x:
            return
        if type(x._edge) is View:
            base = self._tensor(x._edge.base, _BASE)
            self.dot.edge(base, key, style="dotted")
        self.dot.edge(self._node(_source(edge)), key)
        waiting, seen = [_source(edge)], {id(_source(edge))}
        while waiting:
            node = waiting.pop()
            for source, _ in node.next_functions:
                if source is None:
                    continue
                self.dot.edge(self._node(source), self._node(node))
                mark = hash(source)
                if mark not in seen:
                    seen.add(mark)
                    waiting.append(source)

    def _node(self, node: Any) -> str:
        if isinstance(node, AccumulateGrad):
            leaf = self._tensor(node.variable, _LEAF)
            key, new = self._id(node.variable, "gradient")
            if new:
                self.dot.node(key, "AccumulateGrad", fillcolor=_NODE)
                self.dot.edge(leaf, key)
            return key
        key, new = self._id(node)
        if new:
            self.dot.node(key, self._label(node), fillcolor=_NODE)
            if self._show_saved and node.saved is not None:
                self._draw_saved(node, key)
        return key

    def _label(self, node: Node) -> str:
        lines = [node.name()]
        if self._attrs and node.params:
            lines.append("-" * max(len(node.name()), 8))
            for name, value in node.params.items():
                text = f"{name}: {value}"
                lines.append(
                    text if len(text) <= self._limit else text[: self._limit] + "…"
                )
        return "\n".join(lines)

    def _draw_saved(self, node: Node, key: str) -> None:
        for name, value in node.saved_items():
            box, _ = self._id(value)
            shape = getattr(value, "shape", ())
            text = f"{name.removeprefix('_saved_')}\n {tuple(shape)}"
            self.dot.node(box, text, fillcolor=_SAVED)
            self.dot.edge(key, box, dir="none")


def _source(edge: Any) -> Any:
    return edge.node if isinstance(edge, Port) else edge


def graph_dot(graph: Graph) -> Any:
    """A traced graph in the same colours: parameters blue, results green.

    Args:
        graph: the graph; loops and branches are boxes around what they contain.

    Returns:
        A ``graphviz.Digraph``.

    Raises:
        ImportError: without the graphviz library.
    """
    picture = _Traced()
    picture.block(picture.dot, graph)
    for result in graph.results:
        picture.dot.node(picture.key(result), picture.text(result), fillcolor=_OUTPUT)
    return picture.dot


class _Traced:
    """Draws values as edges between equations."""

    def __init__(self) -> None:
        self.dot = _digraph()
        self._keys: dict[Any, str] = {}

    def key(self, operand: Operand) -> str:
        thing: Any = operand
        if not isinstance(operand, Literal) and operand.definition is not None:
            thing = id(operand.definition)
        return self._keys.setdefault(thing, f"n{len(self._keys)}")

    def text(self, operand: Operand) -> str:
        if isinstance(operand, Literal):
            return str(operand.value)
        lines = [operand.name] if operand.name else []
        if operand.definition is not None:
            lines.insert(0, _operation(operand.definition))
        return "\n".join([*lines, str(operand.type)])

    def block(self, dot: Any, graph: Graph) -> None:
        """Draw a graph's boxes where they belong; arrows would pull others there."""
        for param in graph.params:
            dot.node(self.key(param), self.text(param), fillcolor=_LEAF)
        for equation in graph.equations:
            key = self._keys.setdefault(id(equation), f"n{len(self._keys)}")
            made = equation.outputs[0] if equation.outputs else None
            title = _operation(equation) if made is None else self.text(made)
            dot.node(key, title, fillcolor=_NODE)
            for x in equation.inputs:
                if not isinstance(x, Literal):
                    self.dot.edge(self.key(x), key)
            for number, region in enumerate(equation.regions):
                with dot.subgraph(name=f"cluster_{key}_{number}") as inner:
                    inner.attr(label=_PARTS[equation.primitive.name][number])
                    self.block(inner, region)
                for result in region.results:
                    if not isinstance(result, Literal):
                        self.dot.edge(self.key(result), key, style="dashed")


_PARTS = {
    "cond": ("if", "else"),
    "for_": ("for",),
    "while_": ("while: condition", "while: body"),
}


def _operation(equation: Equation) -> str:
    """An operation with the constants it takes: ``multiply(0.5, ·)``."""
    operands = [
        str(x.value) if isinstance(x, Literal) else "·" for x in equation.inputs
    ]
    name = equation.primitive.name.rstrip("_")
    constants = any(isinstance(x, Literal) for x in equation.inputs)
    return f"{name}({', '.join(operands)})" if constants else name
