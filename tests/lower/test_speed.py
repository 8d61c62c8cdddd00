"""What LLVM needs to vectorise a loop, told by the printed source."""

import numpy as np

from tracegrad import jit, value_and_grad


def pairs(r):
    energy = 0.0
    for i in range(r.shape[0]):
        for j in range(i + 1, r.shape[0]):
            x, y = r[i, 0] - r[j, 0], r[i, 1] - r[j, 1]
            energy += 1.0 / (x * x + y * y)
    return energy


def test_an_axis_whose_elements_are_named_has_one_length():
    """The rows' distance is known then, for outputs too; other lengths still work."""
    gradient = value_and_grad(pairs)
    r = np.random.default_rng(0).normal(size=(5, 2))
    value, r_bar = gradient(r)
    source = str(gradient.source)
    assert "r.shape[1] != 2" in source
    assert "assume(r_bar.shape[1] == 2)" in source
    assert "assume(j >= 0)" in source
    assert "radd(energy, " in source
    wider = np.column_stack([r, np.ones(5)])
    value_3, r_bar_3 = gradient(wider)
    np.testing.assert_allclose(value_3, value, rtol=1e-14)
    expected = np.column_stack([r_bar, np.zeros(5)])
    np.testing.assert_allclose(r_bar_3, expected, rtol=1e-12)


def test_a_sum_that_the_loop_reads_keeps_its_order():
    def compensated(x):
        total, lost = 0.0, 0.0
        for i in range(x.shape[0]):
            y = x[i] - lost
            t = total + y
            lost = (t - total) - y
            total = t
        return total

    x = np.array([1.0, 1e100, 1.0, -1e100] * 100)
    compiled = jit(compensated)
    assert compiled(x) == compensated(x)
    assert "radd" not in str(compiled.source)
