"""The same function with other globals: how a peer differentiates NumPy's formulas."""

from collections.abc import Callable
from types import FunctionType
from typing import Any


def rebind(objective: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """The same function, and those of its module that it calls, with other globals."""
    namespace = {**objective.__globals__, **names}

    def moved(function: Callable[..., Any]) -> Callable[..., Any]:
        return FunctionType(function.__code__, namespace, function.__name__)

    for name, value in objective.__globals__.items():
        ours = getattr(value, "__module__", None) == objective.__module__
        if ours and isinstance(value, FunctionType):
            namespace[name] = moved(value)
    return moved(objective)
