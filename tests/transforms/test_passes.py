"""Each pass by itself: what it does, and what it must leave alone."""

import numpy as np
import pytest

from tests.transforms.staging import W, branch, loop, trace, while_loop, zeros
from tracegrad.ir.shapes import Assumptions, Dim, assuming
from tracegrad.ir.verifier import verify
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.control import for_
from tracegrad.traces.evaluate import evaluate
from tracegrad.transforms.affine import Prover, affine
from tracegrad.transforms.cover import cover
from tracegrad.transforms.cse import cse
from tracegrad.transforms.dce import dce
from tracegrad.transforms.fuse import fuse
from tracegrad.transforms.layout import columns
from tracegrad.transforms.licm import licm
from tracegrad.transforms.mincut import UNCUTTABLE, Network
from tracegrad.transforms.order import forwards
from tracegrad.transforms.peephole import results_in_place, set_once, sink
from tracegrad.transforms.pipeline import OPTIMISE, PREPARE, run
from tracegrad.transforms.reciprocals import reciprocals
from tracegrad.transforms.regions import Structure
from tracegrad.transforms.rotate import rotate

rng = np.random.default_rng(5)


def staged(program, *kinds):
    return verify(trace(program, kinds))


def names(graph):
    return [e.primitive.name for e in graph.equations]


def body(graph):
    """The names in the first loop's body."""
    (found, *_) = (e for e in graph.walk() if e.primitive is for_)
    return names(found.regions[-1])


def same_values(pass_, graph, *arguments):
    """The graph after a pass, which must compute the same."""
    result = verify(pass_(graph))
    for a, b in zip(
        evaluate(graph, arguments), evaluate(result, arguments), strict=True
    ):
        np.testing.assert_allclose(a, b, 1e-14)
    return result


# --- invariants --------------------------------------------------------------------


def test_pure_invariants_leave_all_the_loops_around_them():
    def program(x, c):
        def outer(i, s):
            return loop(0, 3, lambda j, s: s + np.sin(c * 2.0) * x[i], s)

        return loop(0, x.shape[0], outer, 0.0)

    graph = same_values(licm, staged(program, "f1", "f"), rng.normal(size=3), 0.7)
    assert names(graph) == ["size", "multiply", "sin", "for_"]


def test_a_load_stays_where_the_loop_may_not_run():
    def program(x, n):
        return loop(0, n, lambda i, s: s + x[0], 0.0)

    graph = licm(staged(program, "f1", "i"))
    assert body(graph) == ["load", "add"]
    assert evaluate(graph, [np.zeros(0), 0]) == [0.0]


def test_a_load_leaves_a_loop_that_is_sure_to_run():
    def program(x):
        return loop(0, 3, lambda i, s: s + x[0], 0.0)

    assert body(licm(staged(program, "f1"))) == ["add"]


def test_a_load_in_bounds_leaves_a_loop_that_may_not_run():
    def program(x):
        n = x.shape[0]

        def outer(i, s):
            return loop(i + 1, n, lambda j, s: s + x[i] * x[j], s)

        return loop(0, n, outer, 0.0)

    graph = same_values(licm, staged(program, "f1"), rng.normal(size=4))
    assert body(graph) == ["add", "load", "for_"]


def test_a_guard_of_the_trace_proves_bounds():
    def program(x, n):
        return loop(0, n, lambda i, s: s + x[1], 0.0)

    graph = staged(program, "f1", "i")
    assumptions = Assumptions()
    assumptions.assume(Dim.symbol("x.shape[0]"), ">=", Dim.constant(2))
    with assuming(assumptions):
        assert body(licm(graph)) == ["add"]


def test_a_load_of_what_the_loop_writes_stays():
    def program(x):
        y = x.copy()

        def step(i):
            y[i] = y[i] + y[0]

        loop(0, 3, step)
        return y

    graph = same_values(licm, staged(program, "f1"), rng.normal(size=3))
    assert body(graph).count("load") == 2


def test_integer_division_stays_unless_its_divisor_is_known():
    def program(p, n):
        a, b = p[0], p[1]
        return loop(0, n, lambda i, s: s + a // b + a // 2, 0)

    assert body(licm(staged(program, "i1", "i"))).count("floor_divide") == 1


def test_a_size_with_a_division_stays():
    def program(x, n, m):
        return loop(0, n, lambda i, s: s + x[i] * (n // m), 0.0)

    graph = licm(staged(program, "f1", "i", "i"))
    assert "size" in body(graph)
    assert evaluate(graph, [np.zeros(0), 0, 0]) == [0.0]


def test_a_size_that_speaks_of_the_index_stays():
    from tests.transforms.staging import W

    def program(x):
        return loop(1, x.shape[0], lambda i, s: s + x[W(0, "i")].sum(), 0.0)

    graph = same_values(licm, staged(program, "f1"), rng.normal(size=4))
    assert body(graph) == ["load", "reduce_sum", "add"]


# --- common subexpressions ---------------------------------------------------------


def test_a_load_is_reused_until_somebody_writes():
    def program(x):
        y = x.copy()
        a = y[0] + y[0]
        y[1] = a
        return a * y[0] * y[1]

    graph = same_values(cse, staged(program, "f1"), rng.normal(size=3))
    assert names(graph).count("load") == 2  # y[1] is what was stored


def test_a_loop_that_writes_cuts_reuse_at_entry_and_exit():
    def program(x):
        y = x.copy()
        a = y[0]

        def step(i, s):
            t = y[0]
            y[0] = t * 1.5
            return s + t

        s = loop(0, 3, step, 0.0)
        return a + s + y[0]

    graph = same_values(cse, staged(program, "f1"), rng.normal(size=3))
    assert names(graph).count("load") == 2
    assert body(graph).count("load") == 1


def test_branches_dont_see_each_others_writes():
    def program(x):
        y = x.copy()
        a = y[0]

        def first():
            y[0] = 2.0
            return y[0]

        b = branch(a > 0.0, first, lambda: y[0] * 3.0)
        return b + y[0]

    for sign in (1.0, -1.0):
        same_values(cse, staged(program, "f1"), np.array([sign]))


def test_a_product_with_the_opposite_factor_is_the_negative():
    def program(x):
        return 2.0 * x[0], -2.0 * x[0], 2.0 * x[1], -3.0 * x[1]

    graph = same_values(cse, staged(program, "f1"), rng.normal(size=2))
    assert names(graph).count("negative") == 1
    assert names(graph).count("multiply") == 3


def test_storing_what_is_there_is_dropped():
    def program(x):
        y = x.copy()
        y[0] = y[0]
        return y

    assert names(cse(staged(program, "f1"))) == ["copy", "load"]


# --- dead code ---------------------------------------------------------------------


def test_dead_carried_values_and_dead_writes_go():
    def program(x):
        w = zeros(3)

        def step(i, s, unused):
            w[0] = s
            return s + x[i], unused * 2.0

        return loop(0, 3, step, 0.0, 1.0)[0]

    graph = same_values(dce, staged(program, "f1"), rng.normal(size=3))
    assert names(graph) == ["for_"]
    assert len(graph.equations[0].outputs) == 2


def test_a_carried_value_that_never_changes_is_an_invariant():
    def program(x):
        return loop(0, 3, lambda i, s, c: (s + c * x[i], c), 0.0, x[0])[0]

    graph = same_values(dce, staged(program, "f1"), rng.normal(size=3))
    assert len(graph.equations[-1].outputs) == 2


def test_a_while_keeps_what_its_condition_reads():
    def program(x):
        return while_loop(lambda k, s: k < 3, lambda k, s: (k + 1, s * x[0]), 0, 1.0)[1]

    same_values(dce, staged(program, "f1"), rng.normal(size=2))


# --- peepholes ---------------------------------------------------------------------


def test_zero_and_then_a_sum_is_a_store():
    def program(x):
        y = x.copy()
        y[0] = 0.0
        y[1] = 4.0
        y.add(0, x[1])
        return y

    graph = same_values(set_once, staged(program, "f1"), rng.normal(size=3))
    assert names(graph) == ["copy", "store", "load", "store"]


def test_zero_stays_if_it_may_be_read_first():
    def program(x, k):
        y = x.copy()
        y[0] = 0.0
        t = y[k]
        y.add(0, x[1])
        return y, t

    graph = staged(program, "f1", "i")
    for k in (0, 1):
        same_values(set_once, graph, rng.normal(size=3), k)


def covered_rows(y, x):
    def row(i):
        loop(0, 3, lambda j: y.add((i, j), x[i] * x[j]))

    loop(0, 3, row)


def covered_twice(y, x):
    def cell(i, j):
        y.add((i, j), x[i])
        y.add((i, j), x[j])

    loop(0, 3, lambda i: loop(0, 3, lambda j: cell(i, j)))


COVERED = {
    "cells": covered_rows,
    "backwards": lambda y, x: loop(
        0, 3, lambda i: loop(0, 3, lambda j: y.add((i, j), x[j])), reversed=True
    ),
}
UNCOVERED = {
    "rows": lambda y, x: loop(0, 3, lambda i: y.add((i, W(0, 3)), x[W(0, 3)])),
    "not all": lambda y, x: loop(
        1, 3, lambda i: loop(0, 3, lambda j: y.add((i, j), x[j]))
    ),
    "half of a row": lambda y, x: loop(
        0, 3, lambda i: loop(0, i, lambda j: y.add((i, j), x[j]))
    ),
    "the diagonal": lambda y, x: loop(0, 3, lambda i: y.add((i, i), x[i])),
    "again and again": lambda y, x: loop(
        0, 3, lambda i: loop(0, 3, lambda j: y.add((j, i), x[j]))
    ),
    "twice": covered_twice,
    "read": lambda y, x: loop(
        0, 3, lambda i: loop(0, 3, lambda j: y.add((i, j), x[j] + y[2, 2]))
    ),
    "in a branch": lambda y, x: loop(
        0,
        3,
        lambda i: loop(
            0, 3, lambda j: branch(x[j] > 0.0, lambda: y.add((i, j), x[j]) or ())
        ),
    ),
}


@pytest.mark.parametrize("case", [*COVERED, *UNCOVERED])
def test_zeros_that_a_loop_adds_to_once_are_made_by_it(case):
    fills = (COVERED | UNCOVERED)[case]

    def program(x):
        y = zeros(3, 3)
        fills(y, x)
        return y

    graph = same_values(cover, staged(program, "f1"), rng.normal(size=3))
    expected = None if case in COVERED else 0.0
    assert graph.equations[0].params["fill"] == expected


def test_an_accumulation_into_an_invariant_cell_is_carried():
    def program(x):
        y = zeros(3)

        def outer(i):
            loop(0, x.shape[0], lambda j: y.add(i, x[j]))

        loop(0, 3, outer)
        return y

    graph = same_values(sink, staged(program, "f1"), rng.normal(size=4))
    (inner,) = (e for e in graph.walk() if e.primitive is for_ and len(e.outputs) == 2)
    assert names(inner.regions[0]) == ["load", "add"]


@pytest.mark.parametrize("place", [0, 1])
def test_an_accumulation_that_the_loop_reads_stays(place):
    def program(x):
        y = x.copy()

        def step(i, s):
            y.add(0, x[i])
            return s + y[place]

        return loop(0, 3, step, 0.0)

    assumptions = Assumptions()
    assumptions.assume(Dim.symbol("x.shape[0]"), ">=", Dim.constant(2))
    with assuming(assumptions):
        graph = same_values(sink, staged(program, "f1"), rng.normal(size=4))
    assert ("accumulate" in body(graph)) == (place == 0)


def test_a_result_that_reads_an_array_is_the_array():
    def program(x):
        y = x.copy()
        y[0] = 1.0
        return y.tracer_of()

    graph = dce(results_in_place(staged(program, "f1")))
    assert names(graph) == ["copy", "store"]
    assert graph.results == [graph.equations[0].outputs[0]]


def test_a_snapshot_that_is_written_afterwards_stays_one():
    def program(x):
        y = x.copy()
        before = y.tracer_of()
        y[0] = 1.0
        return before, y

    same_values(results_in_place, staged(program, "f1"), rng.normal(size=3))


# --- fusion ------------------------------------------------------------------------


def test_loops_join_only_if_the_later_reads_nothing_of_the_earlier():
    def apart(x):
        a = loop(0, x.shape[0], lambda i, s: s + x[i], 0.0)
        return loop(0, x.shape[0], lambda i, s: s + x[i] * a, 0.0)

    def together(x):
        a = loop(0, x.shape[0], lambda i, s: s * x[i], 1.0)
        b = loop(0, x.shape[0], lambda i, s: s + x[i], 0.0, reversed=True)
        return a * b

    for program, count in ((apart, 2), (together, 1)):
        graph = run((cse,), staged(program, "f1"))
        fused = same_values(fuse, graph, rng.normal(size=4))
        assert names(fused).count("for_") == count


def test_a_loop_that_writes_what_the_other_reads_stays_apart():
    def program(x):
        y = x.copy()

        def write(i):
            y[i] = y[i] * 2.0

        loop(0, x.shape[0], write)
        return loop(0, x.shape[0], lambda i, s: s + y[i] * y[0], 0.0)

    graph = same_values(fuse, cse(staged(program, "f1")), rng.normal(size=4))
    assert names(graph).count("for_") == 2


# --- proofs ------------------------------------------------------------------------


def test_bounds_of_indices_prove_inequalities():
    seen = {}

    def program(x):
        n = x.shape[0]

        def outer(i):
            def inner(j):
                seen.update(i=i.operand, j=j.operand, n=n.operand)
                seen["sum"] = (2 * j - i - 1).operand
                x[i] * x[j]

            loop(i + 1, n, inner)

        loop(0, n, outer)
        return 0.0

    prover = Prover(Structure(staged(program, "f1")))
    i, j, n = (affine(seen[name]) for name in "ijn")
    assert prover.at_least(affine(seen["sum"]), 0)
    assert not prover.at_least(affine(seen["sum"]), 2)
    from tracegrad.transforms.affine import combine

    assert prover.at_least(combine(j, i, -1), 1)
    assert prover.at_least(combine(n, j, -1), 1)
    assert not prover.at_least(combine(n, j, -1), 2)
    assert not prover.at_least(combine(i, j, -1), 0)


def test_an_uncuttable_network_is_an_error():
    network = Network()
    network.edge("s", "a", UNCUTTABLE)
    network.edge("a", "t", UNCUTTABLE)
    with pytest.raises(ValueError, match="no cut"):
        network.source_side("s", "t")


def test_a_minimum_cut_takes_the_cheaper_side():
    network = Network()
    for source, target, capacity in [
        ("s", "a", 10),
        ("s", "b", 3),
        ("a", "c", 2),
        ("b", "c", 9),
        ("c", "t", 6),
    ]:
        network.edge(source, target, capacity)
    assert network.source_side("s", "t") == {"s", "a"}


def test_passes_leave_the_graph_they_get_alone():
    def program(x):
        y = x.copy()
        loop(1, x.shape[0], lambda i: y.add(i, np.sin(y[i - 1])))
        return y

    graph = staged(program, "f1")
    before = [(e.primitive, e.inputs) for e in graph.walk()]
    run((*PREPARE, *OPTIMISE), graph)
    verify(graph)
    assert before == [(e.primitive, e.inputs) for e in graph.walk()]


# --- windows -----------------------------------------------------------------------


def scattered(x):
    """Each iteration adds to a cell and to the next one."""
    y = x.copy()

    def body(i):
        y.add(i, x[i] * x[i])
        y.add(i + 1, 3.0 * x[i])

    loop(0, x.shape[0] - 1, body)
    return y.tracer_of()


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_a_window_of_cells_goes_round(size):
    """One cell is read and one is written, whatever the number of iterations."""
    graph = same_values(rotate, staged(scattered, "f1"), rng.normal(size=size))
    found = body(graph)
    assert found.count("store") == 1
    assert "accumulate" not in found


@pytest.mark.parametrize(("inner", "exchanged"), [("j", True), ("0", False)])
def test_short_rows_lie_in_columns_where_inner_loops_go_along_them(inner, exchanged):
    def program(x):
        y = zeros(x.shape[0], 3)

        def row(i):
            def other(j):
                for axis in (0, 2):
                    y.add((j if inner == "j" else 0, axis), x[i] * x[j])

            loop(0, i, other)
            y[i, 1] = x[i]

        loop(0, x.shape[0], row)
        return y.tracer_of()

    graph = same_values(columns, staged(program, "f1"), rng.normal(size=5))
    assert ("transpose" in names(graph)) == exchanged


@pytest.mark.parametrize(("start", "copied"), [("0", True), ("3 * i", False)])
def test_of_an_argument_with_short_rows_inner_loops_read_columns(start, copied):
    """Not where they read each number once."""

    def program(r):
        y = zeros(r.shape[0], 2)

        def row(i):
            first = 0 if start == "0" else 3 * i

            def other(j):
                y.add((i, 0), r[first + j, 2] * r[i, 0])
                y.add((i, 1), r[first + j, 0] * r[0, 1])

            loop(0, 3, other)

        loop(0, r.shape[0] // 3, row)
        return y.tracer_of()

    graph = same_values(
        columns, staged(program, "f2=r.shape[0],3"), rng.normal(size=(7, 3))
    )
    assert ("transpose" in names(graph)) == copied


def test_derivatives_share_a_reciprocal_and_quotients_stay_what_they_are():
    def program(x, c):
        partial = x[2] / c
        return cmp.zero_safe_div(x[0], c) + cmp.zero_safe_mul(x[1], partial), x[2] / 3

    graph = same_values(
        reciprocals, staged(program, "f1", "f"), rng.normal(size=3), 0.7
    )
    assert names(graph).count("divide") == 2
    assert "zero_safe_div" not in names(graph)

    def alone(x, c):
        return cmp.zero_safe_div(x[0], c), x[1] / c

    assert "zero_safe_div" in names(reciprocals(staged(alone, "f1", "f")))


def test_a_derivative_by_a_divisor_is_made_of_that_by_its_dividend():
    def program(x, c):
        u = x[0] / c
        z_bar = cmp.zero_safe_mul(x[1], u / c)
        return cmp.zero_safe_div(x[1], c) + z_bar, u

    def passes(graph):
        return dce(reciprocals(graph))

    graph = staged(program, "f1", "f")
    left = names(same_values(passes, graph, rng.normal(size=3), 0.7))
    assert left.count("divide") == 1  # the user's own
    assert left.count("zero_safe_div") == left.count("zero_safe_mul") == 1
    for x in ([0.0, 0.0], [1.0, 0.0], [np.inf, 0.0]):  # what is zero stays it
        with np.errstate(divide="ignore", invalid="ignore"):
            same_values(passes, graph, np.array(x), 0.0)


def inner_body(graph):
    """The names in the last loop's body."""
    *_, found = (e for e in graph.walk() if e.primitive is for_)
    return names(found.regions[-1])


def test_rows_of_a_grid_have_windows_of_their_own():
    def program(a):
        b = a.copy()
        n = a.shape[0]

        def row(i):
            def column(j):
                for d in (-1, 0):
                    for k in (-1, 0, 1):
                        b.add((i + d, j + k), a[i, j] * (k + 2.0))

            loop(1, n - 1, column)

        loop(1, n, row)
        return b.tracer_of()

    graph = licm(staged(program, "f2=a.shape[0],a.shape[0]"))
    graph = same_values(rotate, graph, rng.normal(size=(5, 5)))
    found = inner_body(graph)
    assert found.count("store") == 2
    assert "accumulate" not in found


def test_cells_that_may_be_the_same_have_no_window():
    """Rows 0 and k may be one row; an index that wraps may meet another."""

    def rows(a, k):
        b = a.copy()

        def column(j):
            b.add((0, j), a[0, j])
            b.add((k, j + 1), a[0, j])

        loop(0, a.shape[0] - 1, column)
        return b.tracer_of()

    def wraps(x):
        y = x.copy()

        def body(i):
            y.add(i, x[i])
            y.add(i - 1, 2.0 * x[i])

        loop(0, x.shape[0], body)
        return y.tracer_of()

    for program, kinds, arguments in (
        (rows, ("f2", "i"), (rng.normal(size=(4, 4)), 0)),
        (wraps, ("f1",), (rng.normal(size=4),)),
    ):
        graph = same_values(rotate, staged(program, *kinds), *arguments)
        assert body(graph).count("accumulate") == 2


# --- order -------------------------------------------------------------------------


def directions(graph):
    return [e.params["reversed"] for e in graph.walk() if e.primitive is for_]


def backwards(body):
    """A copy of x after a loop, which runs backwards, over its cells."""

    def program(x):
        y = x.copy()
        loop(1, x.shape[0], lambda i: body(x, y, i), reversed=True)
        return y.tracer_of()

    return staged(program, "f1")


def test_a_reversed_loop_over_cells_of_its_own_runs_forwards():
    def body(x, y, i):
        y[i] = y[i] * 2.0
        y.add(0, x[i])

    def only_own(x, y, i):
        y[i] = y[i] * 2.0 + x[i - 1]

    for body_, expected in ((body, True), (only_own, False)):
        graph = same_values(forwards, backwards(body_), rng.normal(size=5))
        assert directions(graph) == [expected]


def test_a_reversed_loop_that_reads_its_neighbour_stays_reversed():
    def body(x, y, i):
        y[i] = y[i] * 2.0
        y[i - 1] = y[i]

    graph = same_values(forwards, backwards(body), rng.normal(size=5))
    assert directions(graph) == [True]
