"""Dims have one normal form; assumptions decide, guard and solve."""

import random

import pytest

from tracegrad.ir.shapes import Assumptions, Dim, Guard, assuming, same_size

N = Dim.symbol("x.shape[0]")
M = Dim.symbol("y.shape[0]")


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (N - 1 + 2, "x.shape[0] + 1"),
        (2 * N - 3, "2*x.shape[0] - 3"),
        (N * M - M * N, "0"),
        ((N + 1) * (N - 1), "x.shape[0]*x.shape[0] - 1"),
        ((4 * N) // 2, "2*x.shape[0]"),
        ((N * M) // N, "y.shape[0]"),
        ((N + 1) // 2, "((x.shape[0] + 1)//(2))"),
        (Dim.constant(7) // 2, "((7)//(2))"),
        (-N, "-x.shape[0]"),
    ],
)
def test_normal_form(dim, text):
    assert str(dim) == text


def test_arithmetic_agrees_with_integers():
    rng = random.Random(0)
    for _ in range(300):
        a, b = rng.randint(0, 9), rng.randint(1, 9)
        sizes = {"x.shape[0]": a, "y.shape[0]": b}
        c, k = rng.randint(-3, 3), rng.randint(1, 4)
        dim = (N * c + M) * (M - k) + (N * M + c) // k - (N + k) // M
        number = (a * c + b) * (b - k) + (a * b + c) // k - (a + k) // b
        assert dim.evaluate(sizes) == number


def test_equal_sizes_have_equal_dims():
    assert (N - 1) + 1 == N
    assert hash((N - 1) + 1) == hash(N)
    assert N != M


def test_substitution_reaches_into_quotients():
    assert ((N + M) // 2).substitute({"y.shape[0]": N}) == N


def test_an_equality_becomes_a_guard_and_is_solved():
    given = Assumptions(hints={"x.shape[0]": 5, "y.shape[0]": 4})
    assert given.same(N - 1, M)
    assert list(given.guards) == [Guard(N - 1, "==", M)]
    assert given.solve() == {"y.shape[0]": N - 1}
    assert not given.same(N, M)


def test_order_is_decided_by_the_example_and_guarded():
    given = Assumptions(hints={"x.shape[0]": 5})
    assert given.at_least(N, Dim.constant(1))
    assert not given.at_least(N, Dim.constant(9))
    assert [str(g) for g in given.guards] == ["x.shape[0] >= 1", "x.shape[0] < 9"]
    assert all(g.holds({"x.shape[0]": 8}) for g in given.guards)
    assert not all(g.holds({"x.shape[0]": 9}) for g in given.guards)


def test_sizes_are_never_negative_but_integer_arguments_may_be():
    given = Assumptions(hints={"x.shape[0]": 5, "k": -2}, signed={"k"})
    assert given.at_least(N, Dim.constant(0))
    assert not given.guards
    assert not given.at_least(Dim.symbol("k"), Dim.constant(0))
    assert [str(g) for g in given.guards] == ["k < 0"]


def test_the_trace_in_progress_decides():
    with assuming(Assumptions(hints={"x.shape[0]": 3, "y.shape[0]": 3})) as given:
        assert same_size(N, M)
        assert same_size(3, 3)
        assert not same_size(3, 4)
    assert len(given.guards) == 1
