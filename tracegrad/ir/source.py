"""Where in the user's program something came from.

Every equation carries a ``Location``; every error names it, and the generated source
repeats its text as a comment.

>>> str(Location("model.py", 14, "loss", "k = np.argsort(x)"))
'model.py:14 in loss: k = np.argsort(x)'
"""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's program."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        name = self.file.replace("\\", "/").rsplit("/", 1)[-1]
        return f"{name}:{self.line} in {self.function}: {self.text}"


def beginning(function: Any) -> Location | None:
    """The line at which a function's definition begins, below its decorators."""
    function = getattr(function, "py_func", function)  # Numba's dispatchers
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        return None
    line = code.co_firstlineno
    text = linecache.getline(code.co_filename, line).strip()
    while text.startswith("@"):
        line += 1
        text = linecache.getline(code.co_filename, line).strip()
    return Location(code.co_filename, line, code.co_name, text)


_OURS = str(Path(__file__).parents[1])


def users_place() -> tuple[str, int, str] | None:
    """File, line and function in progress of what isn't tracegrad's own."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None:
        return None
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name


def location_at(place: tuple[str, int, str] | None) -> Location | None:
    """A place with the text of its line."""
    if place is None:
        return None
    file, line, function = place
    return Location(file, line, function, linecache.getline(file, line).strip())


def users_line() -> Location | None:
    """The innermost line in progress that isn't tracegrad's own."""
    return location_at(users_place())
