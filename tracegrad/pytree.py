"""Nested arguments as flat lists of leaves: a thin layer over optree.

Tuples, lists, dicts, named tuples and dataclasses nest; None is an empty nest;
everything else is a leaf. A dataclass is known from the first time it is met.

>>> leaves, tree = flatten({"b": [1.0, 2.0], "a": (3.0, None)})
>>> leaves
[3.0, 1.0, 2.0]
>>> unflatten(tree, [30.0, 10.0, 20.0])
{'b': [10.0, 20.0], 'a': (30.0, None)}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import optree

_NAMESPACE = "tracegrad"
_known: set[type] = set()

Tree: TypeAlias = optree.PyTreeSpec


def flatten(value: Any) -> tuple[list[Any], Tree]:
    """The leaves of a nested value, in order, and its structure (hashable)."""
    while True:
        leaves, tree = optree.tree_flatten(value, namespace=_NAMESPACE)
        new = {type(leaf) for leaf in leaves} - _known
        if not new or not any([_register(kind) for kind in new]):
            return leaves, tree


def unflatten(tree: Tree, leaves: Sequence[Any]) -> Any:
    """The nested value of a structure with these leaves."""
    return optree.tree_unflatten(tree, leaves)


@lru_cache(maxsize=1024)
def paths(tree: Tree) -> tuple[tuple[Any, ...], ...]:
    """The keys that lead to each leaf: field names, dict keys and positions."""
    return tuple(
        tuple(getattr(entry, "field", entry.entry) for entry in accessor)
        for accessor in tree.accessors()
    )


def structure(value: Any) -> Tree:
    """The structure of a nested value."""
    return flatten(value)[1]


def leaves(value: Any) -> list[Any]:
    """The leaves of a nested value."""
    return flatten(value)[0]


def matched(tree: Tree, value: Any) -> list[Any] | None:
    """For each leaf of a structure, what a nest has there; None if it is another nest.

    None, an empty nest, stands for the absence of a leaf.

    >>> matched(structure((1.0, [2.0])), (None, [3.0]))
    [None, 3.0]
    """
    leaves(value)  # so that every type in it is known
    try:
        found: list[Any] = tree.flatten_up_to(value)
    except ValueError:
        return None
    return found if all(x is None or is_leaf(structure(x)) for x in found) else None


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nest with the function applied to each leaf."""
    found, tree = flatten(value)
    return unflatten(tree, [function(leaf) for leaf in found])


def prefix(shorter: Any, value: Any, is_entry: Callable[[Any], bool]) -> list[Any]:
    """The entry that stands for each leaf of a nest, in a nest that may end above.

    >>> prefix((0, None), ([1.0, 2.0], 3.0), lambda x: not isinstance(x, tuple))
    [0, 0, None]

    Raises:
        ValueError: if their nests differ above the entries.
    """
    if is_entry(shorter):
        return [shorter] * structure(value).num_leaves
    if is_leaf(structure(value)) or is_leaf(structure(shorter)):
        raise ValueError(f"{shorter!r} stands for a {type(value).__name__}")
    above = optree.tree_flatten_one_level(shorter, namespace=_NAMESPACE)
    below = optree.tree_flatten_one_level(value, namespace=_NAMESPACE)
    if above.entries != below.entries:
        raise ValueError(f"{list(above.entries)} stand for {list(below.entries)}")
    return [
        entry
        for pair in zip(above.children, below.children, strict=True)
        for entry in prefix(*pair, is_entry)
    ]


def is_leaf(tree: Tree) -> bool:
    """Whether a structure is a single leaf."""
    return bool(tree.is_leaf())


def _register(kind: Any) -> bool:
    """Teach optree a type that it hasn't met; whether it is a dataclass."""
    _known.add(kind)
    if not dataclasses.is_dataclass(kind):
        return False
    names = tuple(field.name for field in dataclasses.fields(kind))
    cls: Any = kind

    def take(instance: Any) -> tuple[list[Any], None, tuple[str, ...]]:
        return [getattr(instance, name) for name in names], None, names

    def make(_: Any, children: Any) -> Any:
        # Not through __init__: a __post_init__ may check what tracers can't answer.
        instance: Any = object.__new__(cls)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(instance, name, child)
        return instance

    optree.register_pytree_node(cls, take, make, namespace=_NAMESPACE)
    return True
