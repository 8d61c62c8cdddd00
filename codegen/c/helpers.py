"""Small C functions that printed kernels call where C has no operator for it.

Each is a template over its dtype; a file gets those it uses. What they compute is what
the compiled Python does: integers wrap, ``//`` and ``%`` round down, a zero divisor
gives 0, NaN spreads through a maximum, a float that fits no integer gives the least.

>>> print(helper("maximum_i64"))
static inline int64_t tg_maximum_i64(int64_t a, int64_t b)
{
    return b > a ? b : a;
}
"""

from __future__ import annotations

from collections.abc import Iterable

from codegen.c.identifiers import PREFIX

# suffix: the type, its unsigned relative, its width, the end of a libm name.
_TYPES = {
    "f64": ("double", "", "64", ""),
    "f32": ("float", "", "32", "f"),
    "i64": ("int64_t", "uint64_t", "64", ""),
    "i32": ("int32_t", "uint32_t", "32", ""),
    "b": ("bool", "", "8", ""),
}
_BINARY = "static inline {T} tg_{name}({T} a, {T} b)"
_UNARY = "static inline {T} tg_{name}({T} a)"

_INTEGER = {
    "add": "return ({T})(({U})a + ({U})b);",
    "subtract": "return ({T})(({U})a - ({U})b);",
    "multiply": "return ({T})(({U})a * ({U})b);",
    "maximum": "return b > a ? b : a;",
    "minimum": "return b < a ? b : a;",
    "left_shift": "return b < 0 || b >= {bits} ? 0 : ({T})(({U})a << b);",
    "right_shift": "return a >> (b < 0 || b >= {bits} ? {bits} - 1 : b);",
    "floor_divide": """
        if (b == 0 || (a == INT{bits}_MIN && b == -1))
            return 0;
        return a / b - (a % b != 0 && (a % b < 0) != (b < 0));""",
    "remainder": """
        if (b == 0 || (a == INT{bits}_MIN && b == -1))
            return 0;
        return a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0);""",
    "power": """
        {U} result = 1, factor = ({U})a;
        if (b < 0)
            return a == 0 ? INT{bits}_MIN : a == 1 ? 1 : a != -1 ? 0 : b % 2 ? -1 : 1;
        for (; b != 0; b >>= 1, factor *= factor)
            if (b & 1)
                result *= factor;
        return ({T})result;""",
}
_FLOAT = {
    "maximum": """
        if (a == b)
            return signbit(a) ? b : a;
        return a > b || a != a ? a : b;""",
    "minimum": """
        if (a == b)
            return signbit(a) ? a : b;
        return a < b || a != a ? a : b;""",
    # CPython's float_divmod, which NumPy and Numba follow.
    "floor_divide": """
        {T} rest = fmod{f}(a, b), quotient = (a - rest) / b, whole;
        if (b == 0)
            return a / b;
        if (rest != 0 && (b < 0) != (rest < 0))
            quotient -= 1;
        if (quotient == 0)
            return quotient * quotient * a / b;
        whole = floor{f}(quotient);
        return quotient - whole > ({T})0.5 ? whole + 1 : whole;""",
    "remainder": """
        {T} rest = fmod{f}(a, b);
        if (rest != 0)
            return (b < 0) != (rest < 0) ? rest + b : rest;
        return b < 0 ? -({T})0 : ({T})0;""",
}
_SINGLE = {
    "negative": "return ({T})(0 - ({U})a);",
    "absolute": "return a < 0 ? ({T})(0 - ({U})a) : a;",
}
_SPECIAL = {
    "truncated_i64": """
static inline int64_t tg_truncated_i64(double a)
{
    return a > -0x1p63 && a < 0x1p63 ? (int64_t)a : INT64_MIN;
}""",
    "truncated_i32": """
static inline int32_t tg_truncated_i32(double a)
{
    return a > -0x1p31 - 1 && a < 0x1p31 ? (int32_t)a : INT32_MIN;
}""",
    "wrapped_i64": """
static inline int64_t tg_wrapped_i64(int64_t index, int64_t size)
{
    return index < 0 ? index + size : index;
}""",
    "outside_i64": """
static inline bool tg_outside_i64(int64_t index, int64_t size)
{
    return index < -size || index >= size;
}""",
    "any_order": """
/* Whether a loop's sums may be added in any order, as vector instructions do: with
   TRACEGRAD_SIMD, for compilers that are given -fopenmp-simd or the like. */
#ifdef TRACEGRAD_SIMD
#define TG_PRAGMA(text) _Pragma(#text)
#define TG_ANY_ORDER(...) TG_PRAGMA(omp simd reduction(__VA_ARGS__))
#else
#define TG_ANY_ORDER(...)
#endif""",
    "room": """
/* The bytes of an array in the workspace: whole lines of 64. */
static inline size_t tg_room(int64_t count, size_t item)
{
    return count > 0 ? ((size_t)count * item + 63) / 64 * 64 : 0;
}""",
}


def helper(name: str) -> str:
    """The definition of a helper."""
    if name in _SPECIAL:
        return _SPECIAL[name].strip()
    base, suffix = name.rsplit("_", 1)
    kind, unsigned, bits, end = _TYPES[suffix]
    head, body = _BINARY, (_FLOAT if suffix in ("f64", "f32") else _INTEGER).get(base)
    if body is None:
        head, body = _UNARY, _SINGLE[base]
    lines = [line.removeprefix(" " * 8) for line in body.strip("\n").splitlines()]
    text = "\n".join((head, "{{", *("    " + line for line in lines), "}}"))
    text = text.format(T=kind, U=unsigned, bits=bits, f=end, name=name)
    return text.replace("tg_", PREFIX)


def helper_definitions(names: Iterable[str]) -> list[str]:
    """Those of all these helpers, in order of their names."""
    return [helper(name) for name in sorted(names)]
