"""The names that have a value where each statement of a kernel stands."""

from codegen.loop_ir import Stmt


class Definitions:
    """The names that have a value, on every path, where a statement stands.

    One statement may stand in several places; what is said of it holds in all.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[set[str], set[str] | None]] = {}

    def note(self, stmt: Stmt, before: set[str], after: set[str] | None) -> None:
        """Keep what was found at a place where a statement stands."""
        known = self._known.get(id(stmt))
        if known is not None:
            before = before & known[0]
            after = after if known[1] is None else known[1] & (after or known[1])
        self._known[id(stmt)] = before, after

    def before(self, stmt: Stmt) -> set[str]:
        """The names with a value as a statement begins."""
        return self._known[id(stmt)][0]

    def after(self, stmt: Stmt) -> set[str] | None:
        """Those with one as it ends; None if it leads nowhere."""
        return self._known[id(stmt)][1]
