"""Lines of C as they are written, and broken where that reads best."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

WIDTH = 88
INDENT = 4
_ATOM = re.compile(r"/\*.*?\*/|\S+|\s+")


class Page:
    """Lines being written, and how deep the next one stands."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._indent = INDENT

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append(" " * self._indent + text)

    @property
    def outermost(self) -> bool:
        """Whether this is a function's own block."""
        return self._indent == INDENT

    @property
    def room(self) -> int:
        """The characters that a line has."""
        return WIDTH - self._indent

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Write an inner block."""
        self._indent += INDENT
        yield
        self._indent -= INDENT


def broken(lines: Iterable[str]) -> Iterator[str]:
    """The same lines, none longer than it must be: C doesn't mind where they end."""
    for line in lines:
        yield from _pieces(line) if len(line) > WIDTH else (line,)


def _pieces(line: str) -> Iterator[str]:
    """A long line as several, broken at the outermost brackets that will do."""
    stripped = line.lstrip()
    if stripped.startswith(("//", "#")) or '"' in line:
        yield line
        return
    indent = len(line) - len(stripped)
    pad = " " * indent
    while len(pad) + len(stripped) > WIDTH:
        place = _break(stripped, WIDTH - len(pad))
        if place is None:
            break
        yield pad + stripped[:place]
        stripped, pad = stripped[place + 1 :], " " * (indent + 4)
    yield pad + stripped


def _break(text: str, room: int) -> int | None:
    """The space to break at: of the shallowest that fit, the last."""
    best: tuple[int, int] | None = None
    depth = place = 0
    for atom in _ATOM.findall(text):
        # Half full at least, or the rest would take more lines than it must.
        if atom == " " and room // 2 < place <= room and (not best or depth <= best[0]):
            best = depth, place
        depth += atom.count("(") + atom.count("[") - atom.count(")") - atom.count("]")
        place += len(atom)
    return best[1] if best else None
