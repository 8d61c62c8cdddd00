"""How the tape differentiates a primitive: its rule, prepared for eager values.

A *plan* says which values of an operation the backward pass needs, and computes the
operands' cotangents from them. Both follow from the primitive's record. For elementwise
primitives the shared rule driver runs once on expressions; what it builds for the
operands that carry gradients becomes a small Python function, on NumPy's functions for
arrays and on the table's own for tensors. What no such operand needs is never computed
or kept.

>>> from tracegrad.primitives.elementwise import divide
>>> plan = plan_for(divide, 2, (True, False), {})
>>> plan.needs, plan.arrays(6.0, 3.0)  # the cotangent, and y
((1,), (2.0, None))
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.ir.primitive import Elementwise, IndexMap, Linear, Primitive
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.indexing import gather
from tracegrad.transforms import rules

OUT = -1  # the result, among the positions of needed values

Live = tuple[bool, ...]


class Plan:
    """One primitive, with the set of its operands that carry gradients.

    Attributes:
        primitive: what is applied.
        live: which operands carry gradients.
        needs: positions of the operands whose values are kept; OUT is the result.
        arrays: ``(cotangent, *needed values) -> cotangents of all operands``, for NumPy
            arrays; None for a rule that is read at each call.
        tensors: the same for tape tensors.
        refused: whether it has no derivative, where a zero would be wrong.
        transpose: for a linear primitive of one operand, its cotangent from that of
            the result and its shape; None otherwise.
        views: whether the result may share memory with the first operand.
        name: of its nodes.
    """

    __slots__ = (
        *("arrays", "live", "name", "needs", "primitive"),
        *("refused", "tensors", "transpose", "views"),
    )

    def __init__(self, primitive: Primitive, live: Live, needs: tuple[int, ...]):
        self.primitive = primitive
        self.live = live
        self.needs = needs
        self.arrays: Callable[..., Any] | None = None
        self.tensors: Callable[..., Any] | None = None
        self.transpose: Callable[..., Any] | None = None
        self.views = isinstance(primitive.lower, IndexMap) and primitive is not gather
        self.name = node_name(primitive)
        rule = primitive.rule
        self.refused = isinstance(rule, Elementwise) and rule.partials is None


def plan_for(
    primitive: Primitive, count: int, live: Live, params: Mapping[str, Any]
) -> Plan:
    """The plan for an application; the same for equal circumstances."""
    if isinstance(primitive.rule, Elementwise) and primitive.rule.partials is not None:
        return _elementwise(primitive, live, tuple(params.items()))
    return _other(primitive, live)


@functools.lru_cache(maxsize=4096)
def _other(primitive: Primitive, live: Live) -> Plan:
    plan = Plan(primitive, live, tuple(_needed(primitive, live)))
    if primitive.rule is None:  # steps and roundings: the derivative is zero
        zeros = _Zeros(live)
        plan.arrays = plan.tensors = zeros
    if isinstance(primitive.rule, Linear) and live == (True,):
        plan.transpose = primitive.rule.transposes[0]
    return plan


def _needed(primitive: Primitive, live: Live) -> Iterator[int]:
    match primitive.rule:
        case None:
            return
        case Linear(transposes) as rule:
            positions = range(len(live))
            linear = [k for k in positions if k in transposes]
            alone = rule.joint or len(linear) == 1
            wanted = [k for k in linear if live[k]]
            for k in positions:
                if k not in linear or (not alone and any(j != k for j in wanted)):
                    yield k
        case _:
            yield from range(len(live))
            yield OUT


class _Zeros:
    """Cotangents of exactly zero, whatever comes in."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def __call__(self, bar: Any) -> tuple[Any, ...]:
        zero = np.zeros(np.shape(bar), bar.dtype)
        return tuple(zero if live else None for live in self._live)


# --- elementwise rules, written out ------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _elementwise(
    primitive: Primitive, live: Live, params: tuple[tuple[str, Any], ...]
) -> Plan:
    bar, out = _Expression("bar"), _Expression("out")
    operands = [_Expression(f"x{k}") for k in range(len(live))]
    found = rules.pull(primitive, dict(params), operands, [out], [bar], live)
    body = _Body()
    results = [body.name(cotangent) for cotangent in found]
    names = [*(f"x{k}" for k in range(len(live))), "out"]
    used = [k for k, name in enumerate(names) if name in body.read]
    plan = Plan(primitive, live, tuple(OUT if k == len(live) else k for k in used))
    head = f"def pull({', '.join(['bar', *(names[k] for k in used)])}):\n"
    text = head + "".join(body.lines) + f"    return {', '.join(results)},\n"
    plan.arrays = body.function(text, _on_arrays)
    plan.tensors = body.function(text, lambda p: p)
    return plan


def _binary(function: Callable[..., Any], swap: bool = False) -> Callable[..., Any]:
    if swap:
        return lambda self, other: function(other, self)
    return lambda self, other: function(self, other)


class _Expression:
    """What a rule computes, as a tree."""

    __slots__ = ("args", "name", "params", "primitive")
    dtype = np.dtype(np.float64)  # one for all: no conversion is ever recorded

    def __init__(
        self,
        name: str,
        primitive: Primitive | None = None,
        args: tuple[Any, ...] = (),
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.primitive = primitive
        self.args = args
        self.params = params or {}

    __add__ = _binary(ew.add)
    __radd__ = _binary(ew.add, swap=True)
    __sub__ = _binary(ew.subtract)
    __rsub__ = _binary(ew.subtract, swap=True)
    __mul__ = _binary(ew.multiply)
    __rmul__ = _binary(ew.multiply, swap=True)
    __truediv__ = _binary(ew.divide)
    __rtruediv__ = _binary(ew.divide, swap=True)
    __pow__ = _binary(ew.raise_to)
    __rpow__ = _binary(ew.raise_to, swap=True)
    __lt__ = _binary(cmp.less)
    __le__ = _binary(cmp.less_equal)
    __gt__ = _binary(cmp.greater)
    __ge__ = _binary(cmp.greater_equal)
    __eq__ = _binary(cmp.equal)
    __ne__ = _binary(cmp.not_equal)
    __hash__ = object.__hash__

    def __neg__(self) -> Any:
        return ew.negative(self)


def _apply(primitive: Primitive, args: Sequence[Any], params: Any) -> _Expression:
    return _Expression("", primitive, tuple(args), params)


_apply.rank = 9.0  # type: ignore[attr-defined]
_Expression.__tracegrad_apply__ = staticmethod(_apply)  # type: ignore[attr-defined]

_SIGNS: dict[Primitive, str] = {
    ew.add: "+",
    ew.subtract: "-",
    ew.multiply: "*",
    ew.divide: "/",
    cmp.equal: "==",
    cmp.not_equal: "!=",
    cmp.less: "<",
    cmp.less_equal: "<=",
    cmp.greater: ">",
    cmp.greater_equal: ">=",
}


class _Body:
    """Statements that compute expressions, each once.

    Attributes:
        lines: of Python.
        read: names of operands used.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.read: set[str] = set()
        self._known: dict[Any, str] = {}
        self._functions: list[Primitive] = []
        self._constants: dict[str, Any] = {}

    def name(self, value: Any) -> str:
        """What holds a value."""
        if value is None:
            return "None"
        if not isinstance(value, _Expression):
            return self._constant(value)
        if value.primitive is None:
            self.read.add(value.name)
            return value.name
        args = tuple(map(self.name, value.args))
        key = (value.primitive, args, tuple(value.params.items()))
        if key not in self._known:
            self._known[key] = f"t{len(self._known)}"
            text = self._call(value.primitive, args, value.params)
            self.lines.append(f"    {self._known[key]} = {text}\n")
        return self._known[key]

    def _constant(self, value: Any) -> str:
        for name, known in self._constants.items():
            if known is value:
                return name
        name = f"c{len(self._constants)}"
        self._constants[name] = value
        return name

    def _call(self, primitive: Primitive, args: Sequence[str], params: Any) -> str:
        if primitive in _SIGNS:
            return f"{args[0]} {_SIGNS[primitive]} {args[1]}"
        if primitive is ew.negative:
            return f"-{args[0]}"
        self._functions.append(primitive)
        keywords = [f"{k}={self._constant(v)}" for k, v in params.items()]
        return f"p{len(self._functions) - 1}({', '.join([*args, *keywords])})"

    def function(
        self, text: str, of: Callable[[Primitive], Callable[..., Any]]
    ) -> Callable[..., Any]:
        """The text as a function, with primitives turned into what ``of`` gives."""
        # The text holds nothing but names counted here and NumPy's operators.
        names = {f"p{k}": of(p) for k, p in enumerate(self._functions)}
        names |= self._constants
        exec(compile(text, "<rule of a primitive>", "exec"), names)
        made: Callable[..., Any] = names["pull"]
        return made


def _on_arrays(primitive: Primitive) -> Callable[..., Any]:
    return _safe_product if primitive is cmp.zero_safe_mul else primitive.numpy


def _safe_product(bar: Any, partial: Any) -> Any:
    """``zero_safe_mul`` where products are nearly always finite."""
    product = bar * partial
    # One number that is NaN if any is: a false alarm costs only the slow way.
    total = product if type(product) is np.float64 else np.vdot(product, product)
    return product if total == total else cmp.zero_safe_mul.numpy(bar, partial)


# --- names -------------------------------------------------------------------------

_NAMES = {
    "multiply": "Mul",
    "divide": "Div",
    "subtract": "Sub",
    "negative": "Neg",
    "absolute": "Abs",
    "power": "Pow",
    "integer_power": "Pow",
    "reduce_sum": "Sum",
    "reduce_prod": "Prod",
    "reduce_max": "Max",
    "reduce_min": "Min",
    "length": "Sqrt",
    "select": "Where",
    "concatenate": "Cat",
    "transpose": "Permute",
    "reshape": "View",
    "gather": "Index",
    "dot": "Mm",
    "convert": "ToCopy",
    "clip": "Clamp",
    "arcsin": "Asin",
    "arccos": "Acos",
    "arctan": "Atan",
    "arctan2": "Atan2",
    "arcsinh": "Asinh",
    "arccosh": "Acosh",
    "arctanh": "Atanh",
    "expit": "Sigmoid",
    "place": "CopySlices",
}


def node_name(primitive: Primitive) -> str:
    """What a node of a primitive is called: ``MulBackward0``."""
    return backward_name(_NAMES.get(primitive.name) or _camel(primitive.name))


def backward_name(title: str) -> str:
    """The name of a node from that of its operation."""
    return title if title == "CopySlices" else f"{title}Backward0"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
