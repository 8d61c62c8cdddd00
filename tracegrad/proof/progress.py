"""What a long check is doing, on one line of a terminal."""

from __future__ import annotations

import sys
from types import TracebackType

_WIDTH = 24


class Progress:
    """Shows steps on standard error, if that is a terminal or it is asked to."""

    def __init__(self, wanted: bool | None) -> None:
        self._shown = sys.stderr.isatty() if wanted is None else wanted
        self._length = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._line("")

    def say(self, what: str) -> None:
        """Say what comes now."""
        self._line(f"verify: {what} …")

    def count(self, what: str, done: int, of: int) -> None:
        """Say how far it is."""
        filled = _WIDTH * done // max(of, 1)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        self._line(f"verify: {what} {bar} {done}/{of}")

    def _line(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(f"\r{text:{self._length}}" + ("" if text else "\r"))
            sys.stderr.flush()
            self._length = len(text)
