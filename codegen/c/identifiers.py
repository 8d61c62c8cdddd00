"""Names for C: what a kernel calls things, spelled as C and C++ allow.

>>> Identifiers().of("double"), Identifiers().of("σ_kept"), Identifiers().of("x2")
('double_', 'sigma_kept', 'x2')
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

PREFIX = "tg_"
_WORDS = """
    auto break case char const continue default do double else enum extern float for
    goto if inline int long register restrict return short signed sizeof static struct
    switch typedef union unsigned void volatile while bool true false complex imaginary
    alignas alignof and and_eq asm bitand bitor catch char8_t char16_t char32_t class
    co_await co_return co_yield compl concept const_cast consteval constexpr constinit
    decltype delete dynamic_cast explicit export friend mutable namespace new noexcept
    not not_eq nullptr operator or or_eq private protected public reinterpret_cast
    requires static_assert static_cast template this thread_local throw try typeid
    typename using virtual wchar_t xor xor_eq
    main errno signgam I NULL NAN INFINITY EOF linux unix
    size_t ptrdiff_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
    intptr_t uintptr_t math_errhandling
    isnan isinf isfinite isnormal signbit fpclassify isgreater isless isunordered
    memcpy memset status
"""
_KEYWORDS = frozenset(_WORDS.split())


class Identifiers:
    """C's names for a kernel's, each unique; asked again, the same.

    Args:
        taken: names that are in use already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {*taken}
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The C name of a name."""
        if name not in self._known:
            self._known[name] = self.fresh(name)
        return self._known[name]

    def fresh(self, wanted: str) -> str:
        """A C name like this that nothing else has."""
        text = spelled(wanted)
        unique, k = text, 2
        while unique in self._taken:
            unique, k = f"{text}_{k}", k + 1
        self._taken.add(unique)
        return unique


def spelled(name: str) -> str:
    """A name in ASCII that is no keyword and not reserved to the implementation."""
    ascii_name = "".join(c if c.isascii() else _letter(c) for c in name)
    text = re.sub(r"\W", "_", ascii_name, flags=re.ASCII)
    # A leading underscore is the implementation's, our prefix that of helpers.
    text = text.lstrip("_") or "unnamed"
    if text[0].isdigit() or text.startswith(PREFIX):
        text = f"v{text}"
    return f"{text}_" if text in _KEYWORDS else text


def _letter(character: str) -> str:
    """``sigma`` for σ; a code for what has no such name."""
    found = re.fullmatch(
        r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, "")
    )
    if found is None:
        return f"u{ord(character):04x}"
    size, letter = found.groups()
    return letter.lower() if size == "SMALL" else letter.capitalize()
