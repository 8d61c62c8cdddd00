"""What a verification found: verdicts with their reasons, to print and to keep."""

from __future__ import annotations

import html
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["proved", "agreed", "differs", "unchecked"]
WORDS: dict[Verdict, str] = {
    "proved": "proved",
    "agreed": "agreed numerically",
    "differs": "DIFFERS",
    "unchecked": "could not be checked",
}
_SIGNS: dict[Verdict, str] = {
    "proved": "✓",
    "agreed": "≈",
    "differs": "✗",
    "unchecked": "·",
}
_COLOURS: dict[Verdict, int] = {
    "proved": 32,
    "agreed": 36,
    "differs": 31,
    "unchecked": 33,
}
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """What one way of checking found.

    Attributes:
        verdict: "proved", "agreed", "differs" or "unchecked".
        why: how it was proved, how well it agrees, where it differs, or what stood in
            the way.
        entries: for some methods, each partial derivative's own (name, verdict, why).
        partial: whether a proof is about less than was asked: smaller arrays, or the
            branches that some points take.
    """

    verdict: Verdict
    why: str
    entries: tuple[tuple[str, Verdict, str], ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Check(Finding):
    """A finding, with what was compared and how long it took, in seconds."""

    method: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """Whether a gradient is right.

    "Proved" is said of the reverse-mode program, and means one of two things. By SymPy:
    for each entry the difference between SymPy's derivative and the program is zero
    after simplification, for all arguments in the domain. As an identity: both are the
    same formula, in which exp, log and their like obey the rules of algebra, but for a
    chance that is stated: that different ones agree at random numbers modulo a prime.
    What the compiler made of that program is then compared by numbers, in ulps.

    Attributes:
        title: the function's name.
        arguments: their types.
        checks: every check that was made, in order.
        notes: what a reader should know: assumptions, kinks nearby, sizes of a proof.
    """

    title: str
    arguments: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """What holds of the whole: "differs" if any check does, else the best reached.

        A proof for smaller sizes or for some branches doesn't prove the whole.
        """
        found = {check.verdict for check in self.checks if not check.partial}
        order: tuple[Verdict, ...] = ("differs", "proved", "agreed")
        return next((v for v in order if v in found), "unchecked")

    @property
    def ok(self) -> bool:
        """Whether it was proved or agreed, and nothing differs."""
        return self.verdict in ("proved", "agreed")

    def __bool__(self) -> bool:
        """The same, so that a test may ``assert verify(f, x)``."""
        return self.ok

    def raise_if_wrong(self) -> Report:
        """The report itself, if the gradient is right.

        Raises:
            AssertionError: with the report, if it differs or couldn't be checked.
        """
        __tracebackhide__ = True
        if not self.ok:
            raise AssertionError(self.text())
        return self

    # --- as text ---------------------------------------------------------------------

    def text(self, *, colour: bool = False) -> str:
        """The report as lines of text."""

        def painted(verdict: Verdict, text: str) -> str:
            return f"\x1b[{_COLOURS[verdict]}m{text}\x1b[0m" if colour else text

        head = painted(self.verdict, WORDS[self.verdict])
        lines = [f"gradient of {self.title}({self.arguments}): {head}"]
        width = max((len(check.method) for check in self.checks), default=0)
        for check in self.checks:
            sign = painted(check.verdict, _SIGNS[check.verdict])
            word = WORDS[check.verdict]
            time = f"{check.seconds:6.2f} s"
            lines.append(f"  {sign} {check.method:{width}}  {time}  {word}")
            for found, text in _reasons(check):
                mark = f"{painted(found, _SIGNS[found])} " if found else ""
                lines.append(f"      {mark}{text}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def __str__(self) -> str:
        terminal = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        return self.text(colour=terminal)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = "".join(
            f"<tr><td>{_SIGNS[c.verdict]} {html.escape(WORDS[c.verdict])}</td>"
            f"<td>{html.escape(c.method)}</td>"
            f"<td style='text-align:left'>{_paragraph(c)}</td>"
            f"<td>{c.seconds:.2f} s</td></tr>"
            for c in self.checks
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        title = html.escape(f"gradient of {self.title}({self.arguments})")
        return (
            f"<b>{title}: {html.escape(WORDS[self.verdict])}</b>"
            f"<table>{rows}</table><ul>{notes}</ul>"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"verdict": self.verdict, "ok": self.ok, **asdict(self)}

    def to_json(self, indent: int | None = 2) -> str:
        """As JSON."""
        return json.dumps(self.to_dict(), indent=indent)


def _reasons(check: Check) -> Iterator[tuple[Verdict | None, str]]:
    """What a check says, line by line; then the entries that are wrong, marked."""
    for line in check.why.splitlines():
        yield None, line
    wrong = [e for e in check.entries if e[1] in ("differs", "unchecked")]
    for name, verdict, why in wrong[:_SHOWN]:
        yield verdict, f"{name}: {why}"
    if len(wrong) > _SHOWN:
        yield None, f"… and {len(wrong) - _SHOWN} more"


def _paragraph(check: Check) -> str:
    """The same as HTML."""
    lines = [f"{_SIGNS[v]} {text}" if v else text for v, text in _reasons(check)]
    return "<br>".join(map(html.escape, lines))
