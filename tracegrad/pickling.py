"""Pickle compiled functions: how they were made, never what was compiled.

A function that a module calls by its own name goes by that name. Another is made again
where it arrives: by its transformation, from the user's function. If that can't be
imported there, as nothing can that stands in ``__main__``, cloudpickle takes it along
by value. The arriving process compiles on first use, or finds kernels in its cache.
"""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tracegrad.traces.finder import adopt, source_of


@dataclass(frozen=True, slots=True)
class Recipe:
    """``transformation(function, *positional, **options)``."""

    transformation: Callable[..., Any]
    function: Callable[..., Any]
    positional: tuple[Any, ...]
    options: Mapping[str, Any]


def reduced(made: Any, recipe: Recipe | None) -> str | tuple[Any, ...]:
    """What ``made.__reduce__`` returns.

    Raises:
        PicklingError: if it can neither be found by name nor made again.
    """
    found = named(made)
    if found and made.__module__ != "__main__":
        return str(made.__qualname__)
    if recipe is None:
        raise pickle.PicklingError(
            f"{made!r} can't be pickled: pickle the function it was made from."
        )
    function = recipe.function
    if named(function) and function.__module__ != "__main__":
        return rebuilt, (recipe.transformation, function, *_rest(recipe))
    if find_spec("cloudpickle") is not None:
        import cloudpickle

        by_value = cloudpickle.dumps(function), *_source(function)
        return from_value, (recipe.transformation, by_value, *_rest(recipe))
    if found:  # a forked or spawned process has the same __main__
        return str(made.__qualname__)
    raise pickle.PicklingError(
        f"{made!r} is not found under its name in a module: move its function to a "
        "module, or install cloudpickle."
    )


def _rest(recipe: Recipe) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return recipe.positional, dict(recipe.options)


def named(value: Any) -> bool:
    """Whether the name of a function in its module leads back to it."""
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    for part in str(getattr(value, "__qualname__", "")).split("."):
        found = getattr(found, part, None)
    return found is value


def _source(function: Any) -> tuple[str, str | None]:
    """The name and text of the file of a function: tracing needs them."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return "", None
    return Path(code.co_filename).name, source_of(code)


def rebuilt(
    transformation: Callable[..., Any],
    function: Callable[..., Any],
    positional: tuple[Any, ...],
    options: Mapping[str, Any],
) -> Any:
    """The function of a recipe, made again."""
    return transformation(function, *positional, **options)


def from_value(
    transformation: Callable[..., Any],
    by_value: tuple[bytes, str, str | None],
    positional: tuple[Any, ...],
    options: Mapping[str, Any],
) -> Any:
    """The same from a function that was pickled by value, with its source."""
    function, title, source = by_value
    if source is not None:
        adopt(title, source)
    return rebuilt(transformation, pickle.loads(function), positional, options)
