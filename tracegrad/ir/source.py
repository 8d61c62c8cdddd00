"""Where in the user's program something came from.

Every equation carries a ``Location``; every error names it, and the generated source
repeats its text as a comment.

>>> str(Location("model.py", 14, "loss", "k = np.argsort(x)"))
'model.py:14 in loss: k = np.argsort(x)'
"""

from __future__ import annotations

from dataclasses import dataclass


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
