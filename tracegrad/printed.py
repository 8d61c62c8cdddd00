"""The scope of a wrapper that is printed: names for what its lines refer to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracegrad.traces.inputs import identifier


class Scope:
    """Names that are taken, and the objects that some of them stand for.

    Attributes:
        objects: by name; what the lines are run with.
    """

    def __init__(self, taken: Iterable[str], objects: dict[str, Any]) -> None:
        self.objects = objects
        self._taken = set(taken)

    def reserve(self, names: Iterable[str]) -> None:
        """Let nothing else have these names."""
        self._taken.update(names)

    def name_of(self, wanted: str, value: Any) -> str:
        """The name of an object; one per object."""
        for known, other in self.objects.items():
            if other is value:
                return known
        name = self.fresh(wanted)
        self.objects[name] = value
        return name

    def fresh(self, wanted: str) -> str:
        """A name like this one that nothing else has."""
        name = identifier(wanted, self._taken | self.objects.keys())
        self._taken.add(name)
        return name
