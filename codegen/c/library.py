"""Dense routines as plain C loops: what small kernels need without BLAS and LAPACK.

Each operand comes with the distances between its rows and its columns, so that a
transposed one is read in place. Sums run in order. A product agrees with BLAS to
rounding; a factorisation pivots as LAPACK does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codegen.c.identifiers import PREFIX, Identifiers
from codegen.loop_ir import Array, DType, Library, Operand

Lengths = Mapping[str, list[str]]

_DOT = """
static void tg_dot_{S}(
    int64_t m, int64_t inner, int64_t n, const {T} *a, int64_t a_row, int64_t a_column,
    const {T} *b, int64_t b_row, int64_t b_column, {T} *restrict c)
{{
    for (int64_t i = 0; i < m * n; ++i)
        c[i] = 0;
    if (n == 1 && a_row == 1) {{
        for (int64_t k = 0; k < inner; ++k)
            for (int64_t i = 0; i < m; ++i)
                c[i] += a[i + k * a_column] * b[k * b_row];
        return;
    }}
    for (int64_t i = 0; i < m; ++i)
        for (int64_t k = 0; k < inner; ++k) {{
            const {T} factor = a[i * a_row + k * a_column];
            const {T} *row = b + k * b_row;
            if (b_column == 1)
                for (int64_t j = 0; j < n; ++j)
                    c[i * n + j] += factor * row[j];
            else
                for (int64_t j = 0; j < n; ++j)
                    c[i * n + j] += factor * row[j * b_column];
        }}
}}"""
_COPY = """
static void tg_copy_{S}(
    int64_t n, const {T} *a, int64_t row, int64_t column, {T} *restrict copy)
{{
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j)
            copy[i * n + j] = a[i * row + j * column];
}}"""
_ELIMINATE = """
/* Gaussian elimination with partial pivoting: of a matrix, and with it of right sides.
   Gives the permutation's sign, 0 if a pivot is zero. */
static int tg_eliminate_{S}(int64_t n, {T} *restrict a, int64_t sides, {T} *restrict x)
{{
    int sign = 1;
    for (int64_t k = 0; k < n; ++k) {{
        int64_t pivot = k;
        for (int64_t i = k + 1; i < n; ++i)
            if ({fabs}(a[i * n + k]) > {fabs}(a[pivot * n + k]))
                pivot = i;
        if (a[pivot * n + k] == 0)
            return 0;
        if (pivot != k) {{
            sign = -sign;
            for (int64_t j = 0; j < n; ++j) {{
                const {T} held = a[k * n + j];
                a[k * n + j] = a[pivot * n + j];
                a[pivot * n + j] = held;
            }}
            for (int64_t j = 0; j < sides; ++j) {{
                const {T} held = x[k * sides + j];
                x[k * sides + j] = x[pivot * sides + j];
                x[pivot * sides + j] = held;
            }}
        }}
        for (int64_t i = k + 1; i < n; ++i) {{
            const {T} factor = a[i * n + k] / a[k * n + k];
            for (int64_t j = k + 1; j < n; ++j)
                a[i * n + j] -= factor * a[k * n + j];
            for (int64_t j = 0; j < sides; ++j)
                x[i * sides + j] -= factor * x[k * sides + j];
        }}
    }}
    return sign;
}}"""
_SUBSTITUTE = """
static bool tg_substitute_{S}(int64_t n, {T} *a, int64_t sides, {T} *x)
{{
    if (tg_eliminate_{S}(n, a, sides, x) == 0)
        return true;
    for (int64_t i = n - 1; i >= 0; --i)
        for (int64_t j = 0; j < sides; ++j) {{
            {T} value = x[i * sides + j];
            for (int64_t k = i + 1; k < n; ++k)
                value -= a[i * n + k] * x[k * sides + j];
            x[i * sides + j] = value / a[i * n + i];
        }}
    return false;
}}"""
_SOLVE = """
static bool tg_solve_{S}(
    int64_t n, const {T} *a, int64_t row, int64_t column, int64_t sides,
    const {T} *b, int64_t b_row, int64_t b_column, {T} *x, {T} *scratch)
{{
    tg_copy_{S}(n, a, row, column, scratch);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < sides; ++j)
            x[i * sides + j] = b[i * b_row + j * b_column];
    return tg_substitute_{S}(n, scratch, sides, x);
}}"""
_INV = """
static bool tg_inv_{S}(
    int64_t n, const {T} *a, int64_t row, int64_t column, {T} *x, {T} *scratch)
{{
    tg_copy_{S}(n, a, row, column, scratch);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j)
            x[i * n + j] = i == j;
    return tg_substitute_{S}(n, scratch, n, x);
}}"""
_CHOLESKY = """
/* The lower factor, from the lower triangle only. */
static bool tg_cholesky_{S}(
    int64_t n, const {T} *a, int64_t row, int64_t column, {T} *restrict factor)
{{
    for (int64_t i = 0; i < n; ++i) {{
        for (int64_t j = 0; j <= i; ++j) {{
            {T} value = a[i * row + j * column];
            for (int64_t k = 0; k < j; ++k)
                value -= factor[i * n + k] * factor[j * n + k];
            if (i == j && !(value > 0))
                return true;
            factor[i * n + j] = i == j ? {sqrt}(value) : value / factor[j * n + j];
        }}
        for (int64_t j = i + 1; j < n; ++j)
            factor[i * n + j] = 0;
    }}
    return false;
}}"""
_DET = """
static {T} tg_det_{S}(
    int64_t n, const {T} *a, int64_t row, int64_t column, {T} *scratch)
{{
    tg_copy_{S}(n, a, row, column, scratch);
    {T} det = ({T})tg_eliminate_{S}(n, scratch, 0, NULL);
    for (int64_t i = 0; i < n && det != 0; ++i)
        det *= scratch[i * n + i];
    return det;
}}"""
_SLOGDET = """
static void tg_slogdet_{S}(
    int64_t n, const {T} *a, int64_t row, int64_t column, {T} *sign, {T} *log_size,
    {T} *scratch)
{{
    tg_copy_{S}(n, a, row, column, scratch);
    *sign = ({T})tg_eliminate_{S}(n, scratch, 0, NULL);
    *log_size = *sign == 0 ? -({T})INFINITY : 0;
    for (int64_t i = 0; i < n && *sign != 0; ++i) {{
        *log_size += {log}({fabs}(scratch[i * n + i]));
        if (scratch[i * n + i] < 0)
            *sign = -*sign;
    }}
}}"""
_ARGSORT = """
/* Merging runs of growing length: a stable sort, NaN last. */
static void tg_argsort_{S}(int64_t n, const {T} *x, int64_t *order, int64_t *scratch)
{{
    for (int64_t i = 0; i < n; ++i)
        order[i] = i;
    for (int64_t run = 1; run < n; run *= 2) {{
        for (int64_t low = 0; low < n; low += 2 * run) {{
            const int64_t middle = low + run < n ? low + run : n;
            const int64_t high = low + 2 * run < n ? low + 2 * run : n;
            int64_t left = low, right = middle;
            for (int64_t k = low; k < high; ++k) {{
                bool take = right < high;
                if (take && left < middle) {{
                    const {T} a = x[order[left]], b = x[order[right]];
                    take = b < a || (a != a && b == b);
                }}
                scratch[k] = take ? order[right++] : order[left++];
            }}
        }}
        memcpy(order, scratch, (size_t)n * sizeof(int64_t));
    }}
}}"""
_SEARCH = """
/* Where values belong in a sorted array, NaN last: before its equals, or after. */
static void tg_{R}_{S}(
    int64_t n, const {T} *sorted, int64_t count, const {T} *values, int64_t *places)
{{
    for (int64_t i = 0; i < count; ++i) {{
        const {T} value = values[i];
        int64_t low = 0, high = n;
        while (low < high) {{
            const int64_t middle = low + (high - low) / 2;
            const {T} cell = sorted[middle];
            if ({before})
                low = middle + 1;
            else
                high = middle;
        }}
        places[i] = low;
    }}
}}"""
_LESS = "({0} < {1} || ({1} != {1} && {0} == {0}))"
_BEFORE = {
    "searchsorted": _LESS.format("cell", "value"),
    "searchsorted_right": "!" + _LESS.format("value", "cell"),
}
_TEMPLATES = {
    "dot": (_DOT,),
    "solve": (_COPY, _ELIMINATE, _SUBSTITUTE, _SOLVE),
    "inv": (_COPY, _ELIMINATE, _SUBSTITUTE, _INV),
    "cholesky": (_CHOLESKY,),
    "det": (_COPY, _ELIMINATE, _DET),
    "slogdet": (_COPY, _ELIMINATE, _SLOGDET),
    "argsort": (_ARGSORT,),
    "searchsorted": (_SEARCH,),
    "searchsorted_right": (_SEARCH,),
}
ROUTINES = frozenset(_TEMPLATES)
"""The routines that there are loops for."""
_TYPES: dict[str, tuple[str, str, str]] = {
    "float64": ("double", "f64", ""),
    "float32": ("float", "f32", "f"),
    "int64": ("int64_t", "i64", ""),
    "int32": ("int32_t", "i32", ""),
    "bool": ("bool", "b", ""),
}


def scratch_name(stmt: Library) -> str:
    """What the scratch of a call is called."""
    return f"scratch {id(stmt)}"


def routine_definitions(used: Iterable[tuple[str, str]]) -> list[str]:
    """The C functions of these (routine, dtype), each once, callees first."""
    found: dict[str, None] = {}
    for routine, dtype in sorted(used):
        kind, suffix, end = _TYPES[dtype]
        names = {name: name + end for name in ("fabs", "sqrt", "log")}
        for template in _TEMPLATES[routine]:
            names["before"] = _BEFORE.get(routine, "")
            text = template.strip().format(T=kind, S=suffix, R=routine, **names)
            found[text.replace("tg_", PREFIX)] = None
    return list(found)


def failure(routine: str) -> str | None:
    """What NumPy says when a routine fails; None for one that can't."""
    if routine in ("solve", "inv"):
        return "Singular matrix"
    return "Matrix is not positive definite" if routine == "cholesky" else None


def call(stmt: Library, names: Identifiers, shapes: Lengths, apart: Lengths) -> str:
    """The C call of a routine; true if it fails, for those that can."""
    first, output = stmt.operands[0], stmt.outputs[0]
    dtype: DType = first.array.dtype
    symbol = f"{PREFIX}{stmt.routine}_{_TYPES[dtype][1]}"
    scratch = names.of(scratch_name(stmt))
    matrix = (_rows(first, shapes), *_strided(first, names, apart))
    target = names.of(output.name)
    args: tuple[str, ...]
    match stmt.routine:
        case "dot":
            args = _dot(stmt, names, shapes, apart)
        case "solve":
            right = stmt.operands[1]
            sides = _columns(right, shapes)
            args = (*matrix, sides, *_strided(right, names, apart), target, scratch)
        case "inv":
            args = (*matrix, target, scratch)
        case "cholesky":
            args = (*matrix, target)
        case "slogdet":
            outputs = (f"&{names.of(item.name)}" for item in stmt.outputs)
            args = (*matrix, *outputs, scratch)
        case "searchsorted" | "searchsorted_right":
            values = stmt.operands[1].array.name
            args = (*matrix[:2], shapes[values][0], names.of(values), target)
        case "det":
            return f"{target} = {symbol}({', '.join((*matrix, scratch))})"
        case _:
            args = (matrix[0], matrix[1], target, scratch)
    return f"{symbol}({', '.join(args)})"


def _dot(
    stmt: Library, names: Identifiers, shapes: Lengths, apart: Lengths
) -> tuple[str, ...]:
    left, right = stmt.operands
    output = stmt.outputs[0]
    target = names.of(output.name)
    if not isinstance(output, Array):
        target = f"&{target}"
    a, b = _strided(left, names, apart), _strided(right, names, apart)
    if left.array.rank == 1:  # a row
        a = (a[0], a[1], "1")
        rows, inner = "1", shapes[left.array.name][0]
    else:
        rows, inner = _rows(left, shapes), _columns(left, shapes)
    return (rows, inner, _columns(right, shapes), *a, *b, target)


def _rows(operand: Operand, shapes: Lengths) -> str:
    axis = 1 if operand.transposed and operand.array.rank > 1 else 0
    return shapes[operand.array.name][axis]


def _columns(operand: Operand, shapes: Lengths) -> str:
    if operand.array.rank == 1:
        return "1"
    return shapes[operand.array.name][0 if operand.transposed else 1]


def _strided(
    operand: Operand, names: Identifiers, apart: Lengths
) -> tuple[str, str, str]:
    """A pointer, and how far rows and columns are apart."""
    pointer = names.of(operand.array.name)
    if operand.array.rank == 1:
        return pointer, "1", "1"
    steps = (apart[operand.array.name][0], "1")
    row, column = steps[::-1] if operand.transposed else steps
    return pointer, row, column
