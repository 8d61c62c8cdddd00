"""The text of an array's lengths and cells, while a kernel is written.

An array is a pointer, its lengths, and the lengths by which its cells are apart: those
of its base, if it is a view.
"""

from __future__ import annotations

from itertools import zip_longest

from codegen.c.expressions import SUM, Expressions
from codegen.c.identifiers import PREFIX
from codegen.c.layout import Page
from codegen.loop_ir import Array, Const, Expr, Load, Size, Var, nested


class Storage:
    """Where the arrays of a function lie.

    Args:
        expressions: prints expressions; asked back for cells and sizes.
        page: where lengths are given names.

    Attributes:
        shapes: the text of each array's lengths.
        apart: the text of the lengths of its storage, but for the first.
        named: names of lengths, which are declared at the function's head.
    """

    def __init__(self, expressions: Expressions, page: Page) -> None:
        self._expressions = expressions
        self._names = expressions.names
        self._page = page
        self._known: dict[str, str] = {}
        self.shapes: dict[str, list[str]] = {}
        self.apart: dict[str, list[str]] = {}
        self.named: list[str] = []
        expressions.cell, expressions.axis = self.cell, self.axis

    def place(self, name: str, shape: list[str], apart: list[str]) -> None:
        """Take note of an array."""
        self.shapes[name], self.apart[name] = shape, apart

    def lengths(self, array: Array) -> list[str]:
        """A text for each length of an array, bound to a name if it is an expression.

        What it was when the array was made is what it stays.
        """
        result = []
        for size in array.shape:
            text = self._expressions.text(size)
            stable = isinstance(size, Const) or (
                isinstance(size, Var) and size.name in self._expressions.entry
            )
            result.append(text if stable else self._length(size, text))
        return result

    def _length(self, size: Expr, text: str) -> str:
        """A name for a length; one of what is known at entry serves all arrays."""
        known = self._known.get(text)
        if known is not None:
            return known
        name = self._names.fresh("length")
        self.named.append(name)
        self._page.line(f"{name} = {text};")
        names = {part.name for part in nested(size) if isinstance(part, Var)}
        if names <= self._expressions.entry and self._page.outermost:
            self._known[text] = name
        return name

    def cell(self, load: Load) -> str:
        """``a[i * n + j]``."""
        texts = []
        for axis, item in enumerate(load.index):
            text = self._expressions.text(item, SUM)
            if not load.nonnegative:
                size = self._expressions.text(Size(load.array, axis))
                self._expressions.helpers.add("wrapped_i64")
                text = f"{PREFIX}wrapped_i64({text}, {size})"
            texts.append(text)
        return f"{self._names.of(load.array.name)}[{self.offset(load.array, texts)}]"

    def axis(self, size: Size) -> str:
        """A length of an array."""
        return self.shapes[size.array.name][size.axis]

    def offset(self, array: Array, index: list[str]) -> str:
        """How far a cell, or a part of an array, is from its beginning."""
        text = index[0]
        for length, item in zip_longest(
            self.apart[array.name], index[1:], fillvalue="0"
        ):
            head = "" if text == "0" else f"{bracketed(text)} * {length}"
            text = " + ".join(part for part in (head, item) if part not in ("", "0"))
            text = text or "0"
        return text


def moved(pointer: str, offset: str) -> str:
    """A pointer some cells on."""
    return pointer if offset == "0" else f"{pointer} + {bracketed(offset)}"


def bracketed(text: str) -> str:
    """A text that ``*`` may stand next to."""
    return text if text.replace("_", "a").isalnum() else f"({text})"
