"""Checkpointing: the gradient of the loop as it is, in a given number of snapshots."""

from functools import partial
from math import comb

import numpy as np
import pytest

from tests.transforms.checkpoint_programs import ALL, in_place, scalars, swapped
from tracegrad import checkpoint, grad, hessian, jit, jvp, pytree, value_and_grad, vmap
from tracegrad.arguments import Selection
from tracegrad.derivatives import gradient
from tracegrad.errors import TracingError
from tracegrad.traces import evaluate as interpreter
from tracegrad.traces.inputs import describe
from tracegrad.traces.source import trace
from tracegrad.transforms.pipeline import OPTIMISE, run

RNG = np.random.default_rng(4)


def as_it_is(steps):
    return steps


def functions(program, snapshots):
    mark = partial(checkpoint, snapshots=snapshots)
    return (
        lambda x, n: program(x, n, mark),
        lambda x, n: program(x, n, as_it_is),
    )


@pytest.mark.parametrize("program", ALL, ids=lambda f: f.__name__)
def test_gradients_are_those_of_the_loop(program):
    marked, plain = functions(program, 3)
    found, expected = value_and_grad(marked), value_and_grad(plain)
    for n in (0, 1, 2, 4, 11, 30):
        x = RNG.uniform(0.2, 0.9, 3)
        value, slope = found(x, n)
        assert value == expected(x, n)[0] == pytest.approx(plain(x, n), rel=1e-12)
        assert np.allclose(slope, expected(x, n)[1], rtol=1e-10, atol=1e-13)
    assert len(found.signatures) <= 2


# --- what it costs -----------------------------------------------------------------


class Counting(interpreter._Run):
    """Counts sines, and numbers in arrays that are allocated."""

    sines = 0

    def equation(self, equation):
        results = super().equation(equation)
        self.sines += equation.primitive.name == "sin"
        if equation.primitive.effect == "allocate":
            known = self.__dict__.setdefault("largest", {})
            (size,) = map(np.size, results)
            known[equation] = max(size, known.get(equation, 0))
        return results

    @property
    def words(self):
        """What is allocated in a loop is the same in each iteration."""
        return sum(self.largest.values())


def costs(function, *arguments):
    """What evaluating a function's gradient costs."""
    leaves, tree = pytree.flatten((arguments, {}))
    described = [describe(x, f"x{k}") for k, x in enumerate(leaves)]
    derived = gradient(function, Selection.of(None, None), has_aux=False)
    graph = run(OPTIMISE, trace(derived, described, tree).graph)
    sizes = interpreter.sizes_of(graph, arguments)
    counting = Counting(dict(zip(graph.params, arguments, strict=True)), sizes)
    counting.block(graph)
    return counting


def revolve(steps, snapshots):
    """The least number of forward steps: Griewank and Walther (2000), equation 4."""
    runs = 0
    while comb(snapshots + runs, snapshots) < steps:
        runs += 1
    return runs * steps - comb(snapshots + runs, snapshots + 1)


@pytest.mark.parametrize("snapshots", [1, 2, 3, 6])
def test_no_schedule_runs_fewer_steps(snapshots):
    def f(x, n):
        u = x
        for _ in checkpoint(range(n), snapshots=snapshots):
            u = np.sin(u) * x
        return u

    for n in (1, 2, 3, 5, 10, 28, 60):
        # The primal runs all steps, not all but the last; and each is run once more
        # as it is pulled back.
        expected = revolve(n, snapshots) + 1 + n
        assert costs(f, 0.7, n).sines == expected, n


def test_memory_is_that_of_the_snapshots():
    x = np.array([0.4, 0.5, 0.6])

    def words(program, snapshots, n):
        return costs(functions(program, snapshots)[0], x, n).words

    for program, state in ((scalars, 2), (in_place, 3), (swapped, 6)):
        few, more = words(program, 2, 9), words(program, 5, 9)
        assert words(program, 2, 90) == few
        assert words(program, 5, 90) == more
        # The state and where it is from, for each further snapshot.
        assert more - few == 3 * (state + 1)
        assert costs(functions(program, 2)[1], x, 90).words > 90


# --- composition -------------------------------------------------------------------


@pytest.mark.parametrize("program", [scalars, in_place])
def test_second_order(program):
    marked, plain = functions(program, 2)
    x = RNG.uniform(0.2, 0.9, 3)
    assert np.allclose(hessian(marked)(x, 7), hessian(plain)(x, 7), atol=1e-12)

    def along(f):
        return lambda x, v: jvp(lambda x: f(x, 7), (x,), (v,))[1]

    v = RNG.normal(size=3)
    # Reverse over forward: the loop that carries tangents is marked as well.
    found, expected = grad(along(marked)), grad(along(plain))
    assert np.allclose(found(x, v), expected(x, v), atol=1e-12)


def test_reverse_over_reverse_and_batches():
    marked, plain = functions(scalars, 2)
    x = RNG.uniform(0.2, 0.9, (4, 3))

    def norm(f):
        return grad(lambda x, n: np.sum(grad(f)(x, n) ** 2))

    assert np.allclose(norm(marked)(x[0], 6), norm(plain)(x[0], 6), atol=1e-12)
    rows = vmap(grad(marked), in_axes=(0, None))(x, 6)
    assert np.allclose(rows, [grad(plain)(row, 6) for row in x])
    assert np.allclose(
        grad(lambda x, n: np.sum(vmap(marked, in_axes=(0, None))(x, n)))(x, 6), rows
    )


# --- the mark ----------------------------------------------------------------------


def test_untraced_code_gets_the_steps_themselves():
    steps = range(3)
    assert checkpoint(steps, snapshots=1) is steps
    with pytest.raises(ValueError, match="at least one snapshot, not 0"):
        checkpoint(steps, snapshots=0)


def refused(body):
    def f(x):
        return body(x)

    with pytest.raises(TracingError) as caught:
        grad(f)(0.5)
    return str(caught.value)


def test_what_can_not_be_marked():
    def leaves(x):
        for _ in checkpoint(range(100), snapshots=3):
            x = x * 0.5
            if x < 0.1:
                break
        return x

    text = refused(leaves)
    assert "may be left by break or return" in text
    assert "test_checkpoint.py" in text

    def grows(x):
        found = []
        for _ in checkpoint(range(100), snapshots=3):
            found.append(x)
        return found[0]

    assert "list" in refused(grows)

    def within(x):
        for i, _ in enumerate(checkpoint(range(100), snapshots=3)):
            x = x * i
        return x

    assert "Put it around the whole" in refused(within)

    def of_a_list(x):
        for _ in checkpoint([1, 2], snapshots=3):
            x = x * x
        return x

    assert "marks a range or an array, not a list" in refused(of_a_list)
    with pytest.raises(ValueError, match="at least one snapshot"):
        jit(lambda x: [x for _ in checkpoint(range(3), snapshots=0)])(1.0)
