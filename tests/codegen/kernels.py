"""Small kernels that together use every statement, operation and dtype."""

from types import SimpleNamespace

import numpy as np

from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Assign,
    Break,
    Check,
    Comment,
    Const,
    Continue,
    Convert,
    Fill,
    For,
    If,
    Kernel,
    Library,
    Load,
    Operand,
    Reshape,
    Select,
    Size,
    Store,
    Var,
    View,
    While,
    integer,
    load,
    number,
)
from tests.codegen.building import (
    AT,
    Example,
    J,
    K,
    M,
    N,
    S,
    T,
    add,
    array,
    at,
    mul,
    op,
    sub,
    up_to,
)
from tests.codegen.operation_kernels import (
    accumulations,
    conversions,
    long_lines,
    operations,
)


def total():
    x = array("x", N)
    body = (Assign(S, number(0.0)), up_to(N, Accumulate(S, "add", load(x, AT))))
    kernel = Kernel("total", (x,), body, (S,), doc="The sum of an array.")
    return Example(kernel, lambda r: (r.normal(size=100),), 1e-13)


def energy():
    x, x_bar = array("x", N), array("x_bar", N, role="output")
    k, e, d = (Var(name, "float64") for name in "ked")
    line = at(5, "d = x[i] - x[i - 1]")
    log_d = op("log", d)
    loop = up_to(
        N,
        Assign(d, sub(load(x, AT), load(x, sub(AT, integer(1)))), line),
        Assign(T, mul(k, d), line),
        If(
            op("greater", d, number(1.0)),
            (
                Assign(T, op("divide", T, d), at(7, "d = 1.0 + np.log(d)   # soft\n")),
                Assign(d, add(number(1.0), log_d), at(7, "d = 1.0 + np.log(d)")),
            ),
        ),
        Accumulate(e, "add", mul(mul(mul(number(0.5), k), d), d), location=at(8, "e")),
        Store(x_bar, (AT,), T, "add", location=at(8, "e")),
        Store(x_bar, (sub(AT, integer(1)),), op("negative", T), "add"),
        start=1,
    )
    guard = Check(op("equal", Size(x_bar, 0), N), "guard", "")
    body = (guard, Assign(e, number(0.0)), Fill(x_bar, number(0.0)), loop)
    kernel = Kernel("energy_grad", (x, k, x_bar), body, (e,))
    return Example(kernel, lambda r: (r.normal(size=30), 2.0, np.empty(30)), 1e-13)


def windows():
    """Indices that LLVM can't see to be non-negative, under conditions and not."""
    x, y = array("x", N), array("y", N, role="output")
    lo, p = Var("lo", "int64"), Var("p", "int64")
    before = load(x, sub(AT, integer(1)))
    mirror = sub(sub(N, integer(1)), AT)
    safe = Select(
        op("greater", AT, integer(2)), load(x, sub(AT, lo)), number(0.0), "float64"
    )
    body = (
        Fill(y, number(0.0)),
        Assign(lo, op("minimum", integer(1), N)),
        For(
            AT,
            lo,
            N,
            1,
            (
                Store(y, (AT,), sub(load(x, AT), before)),
                Store(y, (AT,), before, "add"),
                Store(y, (AT,), safe, "add"),
            ),
        ),
        up_to(N, Assign(p, mirror), Store(y, (AT,), load(x, p), "multiply")),
        For(
            AT,
            sub(N, integer(1)),
            integer(-1),
            -1,
            (Store(y, (AT,), before_or_self(x)),),
        ),
    )
    kernel = Kernel("windows", (x, y), body, ())
    return Example(kernel, lambda r: (r.normal(size=9), np.empty(9)))


def before_or_self(x):
    first = op("equal", AT, integer(0))
    return Select(first, load(x, AT), load(x, sub(AT, integer(1))), "float64")


def gather():
    x, index = array("x", N), array("index", M, dtype="int64")
    y, z = array("y", M, role="output"), array("z", N, role="output")
    unproven = Load(x, (load(index, AT),), "float64", False, False)
    wrapped = Load(x, (op("negative", add(AT, integer(1))),), "float64", False, True)
    body = (
        Fill(z, number(0.0)),
        up_to(
            M,
            Store(y, (AT,), add(unproven, wrapped)),
            Store(z, (load(index, AT),), unproven, "add", False, False),
        ),
    )
    kernel = Kernel("gather", (x, index, y, z), body, ())
    index_ = np.array([4, -5, 0, 2, 2])
    return Example(
        kernel, lambda r: (r.normal(size=5), index_, np.empty(5), np.empty(5))
    )


def newton():
    """While, for, break and continue; names that only live inside."""
    a, x, step = (Var(name, "float64") for name in ("a", "x", "step"))
    trips = Var("trips", "int64")
    small = op("less", op("absolute", step), number(1e-12))
    body = (
        Assign(x, a),
        Assign(trips, integer(0)),
        While(
            op("less", trips, integer(50)),
            (
                Accumulate(trips, "add", integer(1)),
                Assign(
                    step,
                    op("divide", sub(mul(x, x), a), mul(number(2.0), x)),
                ),
                Accumulate(x, "add", op("negative", step)),
                If(small, (Break(),)),
            ),
        ),
        Assign(S, number(0.0)),
        up_to(
            trips,
            If(
                op("equal", op("remainder", AT, integer(2)), integer(0)),
                (Continue(),),
                (Comment("odd rounds"),),
            ),
            Accumulate(S, "add", Convert(AT, "float64"), reassociate=False),
        ),
        While(Const(True, "bool"), (Assign(T, x), Break())),
    )
    kernel = Kernel("newton", (a,), body, (x, trips, S, T))
    return Example(kernel, lambda r: (2.0,))


def scratch_arrays():
    x, y = array("x", N, M), array("y", N, M, role="output")
    h = array("h", N, M, role="workspace")
    single = array("single", M, dtype="float32", role="workspace")
    small = array("small", integer(3), dtype="int32", role="workspace")
    flags = array("flags", N, integer(2), dtype="bool", role="workspace")
    rows = array("rows", N, dtype="int64", role="workspace")
    local = array("local", M, role="local")
    ints = array("ints", integer(4), dtype="int32", role="local")
    row = array("row", M, role="view")
    flat = array("flat", mul(N, M), role="view")
    block = array("block", integer(1), M, role="view")
    corner = array("corner", integer(1), integer(2), role="view", contiguous=False)
    return SimpleNamespace(**locals())


def scratch_use(a):
    return (
        Reshape(a.flat, a.h),
        View(a.block, a.x, (sub(N, integer(1)), integer(0))),
        View(a.corner, a.x, (integer(0), integer(1))),
        Assign(
            S,
            add(
                load(a.corner, integer(0), integer(1)),
                load(a.block, integer(0), integer(0)),
            ),
        ),
        up_to(
            N,
            Assign(
                T,
                Select(
                    load(a.flags, AT, integer(1)),
                    Convert(load(a.rows, AT), "float64"),
                    S,
                    "float64",
                ),
            ),
            up_to(
                M,
                Store(
                    a.y,
                    (AT, J),
                    add(add(load(a.flat, add(mul(AT, M), J)), load(a.local, J)), T),
                ),
                var=J,
            ),
        ),
        Assign(
            Var("q", "int32"),
            op("multiply", load(a.ints, integer(1)), load(a.small, integer(2))),
        ),
    )


def scratch():
    """Workspace arrays of every dtype, an allocation, views of all kinds."""
    a = scratch_arrays()
    make = (
        *(Allocate(item) for item in (a.h, a.single, a.small, a.flags)),
        Allocate(a.rows, zero=True),
        Allocate(a.local, zero=True),
        Allocate(a.ints),
        Fill(a.ints, Const(7, "int32")),
        Fill(a.small, Const(-2, "int32")),
    )
    fill = (
        up_to(
            N,
            Fill(a.h, number(2.0), (AT,)),
            Fill(a.flags, op("greater", AT, integer(0)), (AT,)),
            Store(a.rows, (AT,), AT),
            View(a.row, a.x, (integer(0),), (AT,)),
            up_to(
                M,
                Store(a.single, (J,), Convert(load(a.row, J), "float32")),
                Store(a.h, (AT, J), Convert(load(a.single, J), "float64"), "multiply"),
                Store(a.local, (J,), load(a.h, AT, J), "maximum"),
                var=J,
            ),
        ),
    )
    kernel = Kernel(
        "scratch", (a.x, a.y), (*make, *fill, *scratch_use(a)), (S, Var("q", "int32"))
    )
    return Example(kernel, lambda r: (r.normal(size=(3, 4)), np.empty((3, 4))))


def products(dtype="float64"):
    """Every form of dot, a strided operand among them."""
    a = array("a", M, K, dtype=dtype)
    b = array("b", M, N, dtype=dtype, contiguous=False)
    v = array("v", M, dtype=dtype)
    c = array("c", K, N, dtype=dtype, role="output")
    w = array("w", K, dtype=dtype, role="output")
    u = array("u", N, dtype=dtype, role="output")
    g = array("g", M, M, dtype=dtype, role="output")
    d = Var("d", dtype)
    body = (
        Library("dot", (c,), (Operand(a, True), Operand(b))),
        Library("dot", (w,), (Operand(a, True), Operand(v))),
        Library("dot", (u,), (Operand(v), Operand(b))),
        Library("dot", (g,), (Operand(a), Operand(a, True))),
        Library("dot", (d,), (Operand(v), Operand(v))),
    )
    kernel = Kernel(f"products_{dtype}", (a, b, v, c, w, u, g), body, (d,))

    def arguments(r, m=4, k=3, n=2):
        inputs = [r.normal(size=s).astype(dtype) for s in ((m, k), (m, 2 * n), m)]
        outputs = [np.full(s, np.nan, dtype) for s in ((k, n), k, n, (m, m))]
        return (inputs[0], inputs[1][:, ::2], inputs[2], *outputs)

    return Example(kernel, arguments, 1e-13 if dtype == "float64" else 1e-5)


def factorisations():
    """LAPACK on the matrices of a batch."""
    a, y = array("a", K, N, N), array("y", K, N)
    x = array("x", K, N, role="output")
    inverse = array("inverse", N, N, role="output")
    factor = array("factor", N, N, role="output")
    matrix = array("matrix", N, N, role="view")
    right, left = array("right", N, role="view"), array("left", N, role="view")
    sign, log_det, det = (Var(name, "float64") for name in ("sign", "log_det", "det"))
    body = (
        Assign(S, number(0.0)),
        up_to(
            K,
            View(matrix, a, (integer(0), integer(0)), (AT,)),
            View(right, y, (integer(0),), (AT,)),
            View(left, x, (integer(0),), (AT,)),
            Library("solve", (left,), (Operand(matrix, True), Operand(right))),
            Library("inv", (inverse,), (Operand(matrix),)),
            Library("cholesky", (factor,), (Operand(matrix),)),
            Library("slogdet", (sign, log_det), (Operand(matrix),)),
            Library("det", (det,), (Operand(matrix),)),
            Accumulate(S, "add", add(mul(sign, log_det), det)),
        ),
    )
    kernel = Kernel("factorisations", (a, y, x, inverse, factor), body, (S,))

    def arguments(r, n=3):
        root = r.normal(size=(2, n, n))
        a = root @ root.transpose(0, 2, 1) + np.eye(n)
        outputs = np.empty((2, n)), np.empty((n, n)), np.empty((n, n))
        return (a, r.normal(size=(2, n)), *outputs)

    return Example(kernel, arguments, 1e-12)


def ordering():
    x = array("x", N)
    order = array("order", N, dtype="int64", role="output")
    kernel = Kernel(
        "ordering", (x, order), (Library("argsort", (order,), (Operand(x),)),), ()
    )
    return Example(
        kernel,
        lambda r: (np.array([3.0, np.nan, -0.0, 0.0, 1.0, 1.0]), np.empty(6, np.int64)),
    )


def checks():
    x, y = array("x", N), array("y", M)
    rows = Var("rows", "int64")
    limit = Var("limit", "float64")
    positive = op("less", number(0.0), limit)
    body = (
        Check(op("equal", M, N), "guard", ""),
        Check(op("and", op("greater_equal", N, integer(1)), positive), "guard", ""),
        Check(op("not", op("isnan", limit)), "guard", ""),
        Check(op("less", rows, N), "IndexError", "row 'rows' is out of range"),
        Check(positive, "ValueError", "limit must be positive", at(3, "check(limit)")),
        Check(op("or", positive, op("isnan", limit)), "LinAlgError", "singular"),
    )
    kernel = Kernel("checks", (x, y, rows, limit), body, (load(y, rows),))
    return Example(kernel, lambda r: (np.ones(3), np.arange(3.0), 1, 2.0))


def many_results():
    """More than Python displays at once, some of them conditional."""
    a = Var("a", "float64")
    results = [
        Select(op("less", a, number(float(k))), a, number(1.0 * k), "float64")
        for k in range(35)
    ]
    kernel = Kernel("many_results", (a,), (), tuple(results))
    return Example(kernel, lambda r: (20.5,))


def corpus() -> dict[str, Example]:
    """All kernels by name."""
    examples = [
        *(total(), energy(), windows(), gather(), newton(), scratch(), checks()),
        *(products(), products("float32"), factorisations(), ordering()),
        *(conversions(), accumulations(), long_lines(), many_results()),
        *(operations(dtype) for dtype in ("float64", "float32", "int64", "int32")),
        *(operations("bool"), operations("float64", False)),
        operations("float32", False),
    ]
    return {example.kernel.name: example for example in examples}
