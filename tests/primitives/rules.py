"""The page of rules: every primitive, how its derivative was proved, its conventions.

python -m tests.primitives.rules > .github/RULES.md
"""

from __future__ import annotations

from tests.primitives.proofs import prove
from tracegrad.ir.primitive import Elementwise, General, Linear, Primitive
from tracegrad.primitives import TABLE

HEADER = """# Rules

Every primitive that has a derivative, and how its rules are proved. Made by
`python -m tests.primitives.rules > .github/RULES.md`; a test proves each row again.

Both rules of a primitive (forward and reverse) are evaluated on symbols for a few small
calls, with symbols for directions and weights, and compared entry by entry with SymPy's
derivative of the call itself: *proved* means that every difference is identically zero,
for all real values where both sides are defined (for all positive ones, where the table
says so), except on the boundaries between branches. There the convention holds.

| primitive | rule | proof | at kinks and poles |
|---|---|---|---|
"""


def kind(primitive: Primitive) -> str:
    """How its rule is stated."""
    match primitive.rule:
        case Elementwise():
            return "partials"
        case Linear(joint=True) | Linear(transposes={0: _}) if _arity(primitive) < 2:
            return "transpose"
        case Linear():
            return "transposes"
        case General():
            return "forward and reverse"
    return "none: zero"


def _arity(primitive: Primitive) -> int:
    rule = primitive.rule
    assert isinstance(rule, Linear)
    return 1 if rule.joint else len(rule.transposes)


def row(primitive: Primitive) -> str:
    """A primitive's line of the table."""
    found = prove(primitive)
    if found.failed:
        entry = found.failed[0]
        proof = f"**{entry.comparison.verdict}**: {entry.comparison.why}"
    elif not found.entries:
        proof = "by numbers only, in the sweep over the table"
    else:
        values = " for positive operands" if found.positive else ""
        proof = f"{found.entries} entries{values}: {', '.join(found.steps)}"
    cells = (f"`{primitive.name}`", kind(primitive), proof, primitive.kink)
    return f"| {' | '.join(cells)} |"


def differentiable() -> list[Primitive]:
    """The primitives that the page lists."""
    return [p for p in TABLE.values() if p.rule is not None and not p.refuses]


def without_rule() -> str:
    """The last paragraph: what has no derivative."""
    names = [f"`{p.name}`" for p in TABLE.values() if p.rule is None]
    return f"\nNo derivative, so that it is zero: {', '.join(names)}.\n"


def page() -> str:
    """The whole page."""
    rows = "\n".join(map(row, differentiable()))
    return f"{HEADER}{rows}\n{without_rule()}"


if __name__ == "__main__":
    print(page(), end="")
