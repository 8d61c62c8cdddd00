"""What is stored, what is rebuilt, and what the gradient then looks like."""

import re

import numpy as np
import pytest

from tests.transforms import benchmarks, programs
from tests.transforms.checking import gradient
from tests.transforms.staging import loop, trace
from tests.transforms.test_programs import BENCHMARKS, CASES
from tracegrad.ir.printer import print_graph
from tracegrad.primitives.control import for_, while_
from tracegrad.primitives.storage import reserve


def emitted(name, *, value=True):
    module, cases = (
        (benchmarks, BENCHMARKS) if name in BENCHMARKS else (programs, CASES)
    )
    kinds, _, *rest = cases[name]
    wrt = rest[0] if rest else (0,)
    return gradient(trace(getattr(module, name), kinds), wrt, value=value)


def storages(graph):
    return [e for e in graph.walk() if e.primitive is reserve]


@pytest.mark.parametrize(
    "name",
    [
        "cholesky",
        "lu",
        "seidel",
        "recurrence",
        "lennard_jones",
        "rosenbrock",
        "absolute",
        "dynamic_program",
    ],
)
def test_a_nest_that_can_be_rebuilt_stores_nothing(name):
    assert not storages(emitted(name))


@pytest.mark.parametrize(("name", "count"), [("rk4", 4), ("heat", 1), ("burgers", 3)])
def test_the_cut_stores_what_is_dear_to_rebuild(name, count):
    found = storages(emitted(name))
    assert len(found) == count
    assert not any(e.params["grows"] for e in found)


def test_a_while_in_a_loop_keeps_a_stack():
    found = storages(emitted("cubics"))
    assert [e.params["grows"] for e in found] == [False, True]


def test_a_while_alone_counts_its_own_positions():
    graph = emitted("cubic", value=False)
    assert [e.params["grows"] for e in storages(graph)] == [True]
    assert "alloc" not in print_graph(graph)


@pytest.mark.parametrize("name", ["newton", "newtons"])
def test_a_while_of_few_numbers_carries_tangents(name):
    graph = emitted(name)
    assert not any(e.params["grows"] for e in storages(graph))
    assert sum(e.primitive is while_ for e in graph.walk()) == 1


@pytest.mark.parametrize("name", ["lennard_jones", "rosenbrock"])
def test_an_order_free_reverse_loop_joins_the_forward_one(name):
    graph = emitted(name)
    depth = 2 if name == "lennard_jones" else 1
    assert sum(e.primitive in (for_, while_) for e in graph.walk()) == depth


def test_without_the_value_the_forward_loop_dies():
    graph = emitted("rosenbrock", value=False)
    loops = [e for e in graph.walk() if e.primitive is for_]
    assert [e.params["reversed"] for e in loops] == [False]  # the mirror, turned round


def stepped(last):
    """Storage for two buffers that change places, calculated anew up to a cell."""

    def program(x, steps):
        def body(t, u, new):
            def inner(i):
                drift = u[i] * (u[i] - u[i - 1])
                new[i] = u[i] - drift + 0.1 * (u[i - 1] * u[i + 1])

            loop(1, last(x), inner)
            return new, u

        u, _ = loop(0, steps, body, x.copy(), x.copy())
        return u[1] * u[2]

    graph = gradient(trace(program, ["f1", "i"]), (0,))
    return [tuple(map(str, e.params["cell"])) for e in storages(graph)]


def test_of_an_array_that_is_read_all_over_a_copy_is_kept():
    assert stepped(lambda x: x.shape[0] - 1) == [("x.shape[0]",)]


def test_of_an_array_that_is_read_in_part_no_copy_is_kept():
    """It would cost n numbers where the program reads three."""
    assert set(stepped(lambda x: 4)) == {()}


def test_two_reads_of_a_cell_that_is_overwritten_in_between_differ():
    """The clobber test must not take the later contents for the earlier."""

    def program(x):
        y = x.copy()

        def body(i, s):
            before = y[0]
            y[0] = before * np.sin(x[i])
            return s + before * y[0]

        return loop(0, x.shape[0], body, 0.0)

    assert storages(gradient(trace(program, ["f1"]), (0,)))


def test_an_index_that_may_be_negative_proves_nothing():
    """y[i - 2] wraps: for i = 1 it is the last cell, which is written later."""

    def program(x):
        y = x.copy()

        def body(i, s):
            t = y[i - 2] * s
            y[i] = np.sin(y[i] * t)
            return s + t

        return loop(1, x.shape[0], body, 1.0)

    assert storages(gradient(trace(program, ["f1"]), (0,)))


@pytest.mark.parametrize("name", ["early", "rowview", "newtons", "rk4", "burgers"])
def test_a_gradient_always_prints_the_same(name):
    assert len({print_graph(emitted(name)) for _ in range(4)}) == 1


def shown(graph):
    text = re.sub(r"\[sizes=.*?\)\]", "", print_graph(graph))
    text = text.replace("[step=1, reversed=False, stops=False]", "[up]")
    return text.replace("[step=1, reversed=True, stops=False]", "[down]")


def test_golden_recurrence():
    assert shown(emitted("recurrence")) == GOLDEN_RECURRENCE.strip()


def test_golden_lu():
    assert shown(emitted("lu", value=False)) == GOLDEN_LU.strip()


GOLDEN_RECURRENCE = """
graph recurrence_vjp(x: float64[x.shape[0]], out_bar: float64[]) {
  t1 = size[dim=x.shape[0]]
  t2 = alloc[shape=(x.shape[0],), dtype=float64, fill=0.0]
  t3 = load x 0
  store t2 t3 0
  trips = for_[up] 1 t1
  (i: int64[]) {
    t4 = subtract i 1
    t5 = load t2 t4
    t6 = sin t5
    t7 = load x i
    t8 = multiply t6 t7
    store t2 t8 i
    return
  }
  t9 = alloc[shape=(x.shape[0],), dtype=float64, fill=None]
  s trips_2 = for_[up] 0 t1 0.0
  (i_2: int64[], s_2: float64[]) {
    t10 = load t2 i_2
    t11 = multiply t10 t10
    t12 = add s_2 t11
    t13 = multiply out_bar t10
    t14 = multiply 2.0 t13
    store t9 t14 i_2
    return t12
  }
  x_bar = alloc[shape=(x.shape[0],), dtype=float64, fill=0.0]
  t15 = greater t1 1
  t16 = cond t15
  () {
    t17 = size[dim=x.shape[0] - 1]
    t18 = load t9 t17
    return t18
  }
  () {
    return 0.0
  }
  t19 t20 = for_[down] 1 t1 t16
  (i_3: int64[], t21: float64[]) {
    t22 = subtract i_3 1
    t23 = load t9 t22
    t24 = load x i_3
    t25 = load t2 t22
    t26 = sin t25
    t27 = multiply t21 t24
    t28 = multiply t21 t26
    accumulate x_bar t28 i_3
    t29 = cos t25
    t30 = multiply t27 t29
    t31 = add t23 t30
    store t9 0.0 i_3
    return t31
  }
  cond t15
  () {
    store t9 t19 0
    return
  }
  () {
    return
  }
  t32 = load t9 0
  store t9 0.0 0
  accumulate x_bar t32 0
  return s x_bar
}
"""


GOLDEN_LU = """
graph lu_vjp(A: float64[A.shape[0], A.shape[0]], out_bar: float64[]) {
  t1 = copy A
  t2 = size[dim=A.shape[0]]
  trips = for_[up] 0 t2
  (k: int64[]) {
    t3 = add k 1
    t4 = load t1 k k
    trips_2 = for_[up] t3 t2
    (i: int64[]) {
      t5 = load t1 i k
      t6 = divide t5 t4
      store t1 t6 i k
      t7 = negative t6
      trips_3 = for_[up] t3 t2
      (j: int64[]) {
        t8 = load t1 k j
        t9 = multiply t7 t8
        accumulate t1 t9 i j
        return
      }
      return
    }
    return
  }
  A_bar = alloc[shape=(A.shape[0], A.shape[0]), dtype=float64, fill=0.0]
  t10 = for_[up] 0 t2
  (i_2: int64[]) {
    t11 = load t1 i_2 i_2
    t12 = absolute t11
    t13 = zero_safe_div out_bar t12
    t14 = sign t11
    t15 = multiply t13 t14
    accumulate A_bar t15 i_2 i_2
    return
  }
  t16 = for_[down] 0 t2
  (k_2: int64[]) {
    t17 = add k_2 1
    t18 = load t1 k_2 k_2
    t19 = divide 1.0 t18
    t20 t21 = for_[down] t17 t2 0.0
    (i_3: int64[], t22: float64[]) {
      t23 = load t1 i_3 k_2
      t24 t25 = for_[up] t17 t2 0.0
      (j_2: int64[], t26: float64[]) {
        t27 = load t1 k_2 j_2
        t28 = load A_bar i_3 j_2
        t29 = multiply t28 t27
        t30 = multiply t28 t23
        t31 = negative t30
        accumulate A_bar t31 k_2 j_2
        t32 = add t26 t29
        return t32
      }
      t33 = load A_bar i_3 k_2
      t34 = subtract t33 t24
      t35 = zero_safe_mul t34 t19
      t36 = zero_safe_mul t35 t23
      store A_bar t35 i_3 k_2
      t37 = subtract t22 t36
      return t37
    }
    accumulate A_bar t20 k_2 k_2
    return
  }
  return A_bar
}
"""
