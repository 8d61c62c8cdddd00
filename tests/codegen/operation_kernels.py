"""Kernels that go through operations, dtypes and ways to combine."""

import numpy as np

from codegen.loop_ir import (
    OPERATIONS,
    Accumulate,
    Assign,
    Const,
    Convert,
    Fill,
    If,
    Kernel,
    Select,
    Store,
    Var,
    integer,
    load,
    number,
)
from tests.codegen.building import AT, Example, N, S, T, add, array, mul, op, sub, up_to

# Operations that Python, NumPy and compiled code compute to the same bit.
ARITHMETIC = frozenset(
    (
        *("add", "subtract", "multiply", "divide", "floor_divide", "remainder"),
        *("negative", "absolute", "sqrt", "floor", "ceil", "trunc", "rint", "fmod"),
        *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
        *("isnan", "isinf", "isfinite", "signbit", "copysign"),
    )
)


def operations(dtype, exact=True):
    """Every operation on a dtype, one row of an output each."""
    a, b = array("a", N, dtype=dtype), array("b", N, dtype=dtype)
    floats = dtype.startswith("float")
    chosen = [
        name
        for name, operation in OPERATIONS.items()
        if dtype in operation.dtypes and (not floats or exact == (name in ARITHMETIC))
    ]
    same = [name for name in chosen if OPERATIONS[name].result != "bool"]
    tests = [name for name in chosen if OPERATIONS[name].result == "bool"]
    values = array("values", integer(len(same)), N, dtype=dtype, role="output")
    flags = array("flags", integer(len(tests)), N, dtype="bool", role="output")
    p, q = Var("p", dtype), Var("q", dtype)

    def apply(name):
        if name == "polygamma":
            return op(name, Const(2.0, dtype), q)
        return op(name, *(p, q)[: OPERATIONS[name].arity])

    rows = [
        Store(out, (integer(row), AT), apply(name))
        for out, names in ((values, same), (flags, tests))
        for row, name in enumerate(names)
    ]
    loop = up_to(N, Assign(p, load(a, AT)), Assign(q, load(b, AT)), *rows)
    title = f"{'arithmetic' if exact else 'functions'}_{dtype}"
    kernel = Kernel(title, (a, b, values, flags), (loop,), ())

    def arguments(r):
        first, second = operands(dtype, exact, r)
        shape = (len(same), first.size), (len(tests), first.size)
        return first, second, np.zeros(shape[0], dtype), np.zeros(shape[1], np.bool_)

    return Example(kernel, arguments, 0.0 if exact else TOLERANCE[dtype])


TOLERANCE = {"float64": 1e-13, "float32": 1e-6}


def operands(dtype, exact, r):
    if dtype == "bool":
        return np.array([0, 0, 1, 1], np.bool_), np.array([0, 1, 0, 1], np.bool_)
    if dtype.startswith("int"):
        # No zero divisor, no shift beyond the width, no power that overflows int64.
        first = np.array([7, -7, 0, 3, -1, 2, 5, -6], dtype)
        return first, np.array([2, 3, 4, 5, 1, 7, 3, 2], dtype)
    if not exact:
        return r.uniform(-3, 3, 40).astype(dtype), r.uniform(0.1, 3, 40).astype(dtype)
    special = [0.0, -0.0, 1.0, -2.5, 7.3, 1e30, -1e-30, np.inf, -np.inf, np.nan]
    first, second = np.meshgrid(special, special)
    return first.ravel().astype(dtype), second.ravel().astype(dtype)


def conversions():
    """Every pair of dtypes; int32 arithmetic wraps, float32 stays single."""
    dtypes = ("float64", "float32", "int64", "int32", "bool")
    sources = [array(f"from_{dtype}", N, dtype=dtype) for dtype in dtypes]
    targets = [
        array(f"to_{dtype}", integer(5), N, dtype=dtype, role="output")
        for dtype in dtypes
    ]
    stores = [
        Store(target, (integer(row), AT), Convert(load(source, AT), target.dtype))
        for target in targets
        for row, source in enumerate(sources)
    ]
    single, small = Var("single", "float32"), Var("small", "int32")
    tenth, big = Const(0.1, "float32"), Const(2**30, "int32")
    body = (
        up_to(N, *stores),
        Assign(single, op("divide", tenth, Const(-3.0, "float32"))),
        Assign(small, op("add", op("multiply", big, Const(3, "int32")), big)),
        up_to(
            N,
            Accumulate(single, "add", load(sources[1], AT), reassociate=False),
            Accumulate(small, "multiply", Const(-5, "int32")),
        ),
    )
    kernel = Kernel("conversions", (*sources, *targets), body, (single, small))

    def arguments(r):
        values = np.array([0.0, -0.0, 1.0, -2.75, 100.5])
        return (
            *(values.astype(dtype) for dtype in dtypes),
            *(np.zeros((5, 5), dtype) for dtype in dtypes),
        )

    return Example(kernel, arguments)


def accumulations():
    """Every way to combine, on scalars and cells; constants at the edges."""
    x = array("x", N)
    y = array("y", integer(4), role="output")
    flags = array("flags", integer(2), dtype="bool", role="output")
    r = {name: Var(name, "float64") for name in ("most", "least", "product", "plain")}
    some, every = Var("some", "bool"), Var("every", "bool")
    positive = op("less", number(0.0), load(x, AT))
    body = (
        Assign(r["most"], number(-np.inf)),
        Assign(r["least"], number(np.inf)),
        Assign(r["product"], number(1.0)),
        Assign(r["plain"], number(-0.0)),
        Assign(some, Const(False, "bool")),
        Assign(every, Const(True, "bool")),
        Fill(y, number(1.0)),
        Fill(flags, Const(True, "bool")),
        up_to(
            N,
            Accumulate(r["most"], "maximum", load(x, AT)),
            Accumulate(r["least"], "minimum", load(x, AT)),
            Accumulate(r["product"], "multiply", load(x, AT)),
            Accumulate(r["plain"], "add", op("negative", load(x, AT)), False),
            Accumulate(some, "or", positive),
            Accumulate(every, "and", positive),
            *(
                Store(y, (integer(k),), load(x, AT), combine)
                for k, combine in enumerate(("add", "multiply", "maximum", "minimum"))
            ),
            Store(flags, (integer(0),), positive, "or"),
            Store(flags, (integer(1),), positive, "and"),
        ),
    )
    kernel = Kernel("accumulations", (x, y, flags), body, (*r.values(), some, every))
    return Example(
        kernel,
        lambda r: (r.normal(size=20), np.empty(4), np.empty(2, np.bool_)),
        1e-14,
    )


def long_lines():
    """Expressions that need several lines, in every kind of statement."""
    names = [f"quantity_{letter}" for letter in "abcdefgh"]
    v = [Var(name, "float64") for name in names]
    product = mul(mul(v[0], v[1]), sub(v[2], sub(v[3], v[4])))
    long_sum = add(
        sub(add(product, op("divide", v[5], mul(v[6], v[7]))), v[0]), product
    )
    nested = op("maximum", long_sum, op("minimum", add(long_sum, v[1]), v[2]))
    cond = op(
        "and",
        op("less", long_sum, v[0]),
        op("or", op("less", v[1], v[2]), op("less", long_sum, v[3])),
    )
    chosen = Select(cond, op("negative", long_sum), nested, "float64")
    body = (
        Assign(S, long_sum),
        If(cond, (Accumulate(S, "add", chosen),), (Assign(T, nested),)),
    )
    kernel = Kernel("long_lines", tuple(v), body, (long_sum, S))
    return Example(kernel, lambda r: tuple(r.uniform(1, 2, 8).tolist()))
