"""Where in the user's program something came from.

Every equation carries a ``Location``; every error names it, and the generated source
repeats its text as a comment.

>>> str(Location("model.py", 14, "loss", "k = np.argsort(x)"))
'model.py:14 in loss: k = np.argsort(x)'
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass
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
