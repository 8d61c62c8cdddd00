"""Checkpointing: the gradient of the loop as it is, in a given number of snapshots."""

from functools import partial
from math import comb

import numpy as np
import pytest

from tests.transforms.checkpoint_programs import (
    ALL,
    branches,
    in_place,
    inside_a_loop,
    local_storage,
    scalars,
    swapped,
)
from tracegrad import checkpoint, grad, hessian, jit, jvp, pytree, value_and_grad, vmap
from tracegrad.errors import TracingError
from tracegrad.ir.verifier import verify
from tracegrad.traces import evaluate as interpreter
from tracegrad.traces.inputs import describe
from tracegrad.traces.source import trace
from tracegrad.transforms.pipeline import OPTIMISE, run

RNG = np.random.default_rng(4)
COMPILED = (scalars, branches, swapped, local_storage, inside_a_loop)


def as_it_is(steps):
    return steps


def functions(program, snapshots):
    mark = partial(checkpoint, snapshots=snapshots)
    return (
        lambda x, n: program(x, n, mark),
        lambda x, n: program(x, n, as_it_is),
    )


def traced(function, *arguments):
    """A function's graph, verified."""
    leaves, tree = pytree.flatten((arguments, {}))
    described = [describe(x, f"x{k}") for k, x in enumerate(leaves)]
    return verify(run(OPTIMISE, trace(function, described, tree).graph))


def evaluated(graph, *arguments):
    return interpreter.evaluate(graph, arguments)


@pytest.mark.parametrize("program", ALL, ids=lambda f: f.__name__)
def test_gradients_are_those_of_the_loop(program):
    marked, plain = functions(program, 3)
    found, example = value_and_grad(marked), (np.ones(3), 30)
    expected = traced(value_and_grad(plain), *example)
    if program not in COMPILED:
        graph = traced(found, *example)
        found = partial(evaluated, graph)
    for n in (0, 1, 2, 4, 11, 30):
        x = RNG.uniform(0.2, 0.9, 3)
        value, slope = found(x, n)
        assert value == pytest.approx(plain(x, n), rel=1e-12)
        reference = interpreter.evaluate(expected, [x, n])[1]
        assert np.allclose(slope, reference, rtol=1e-10, atol=1e-13)


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
    graph = traced(grad(function), *arguments)
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


def same(f, g, *arguments):
    """Whether two functions give the same, by their graphs."""
    found, expected = (
        interpreter.evaluate(traced(h, *arguments), arguments) for h in (f, g)
    )
    assert all(
        np.allclose(x, y, rtol=1e-10, atol=1e-12)
        for x, y in zip(found, expected, strict=True)
    )


def test_a_compiled_hessian():
    marked, plain = functions(scalars, 2)
    x = RNG.uniform(0.2, 0.9, 3)
    expected = interpreter.evaluate(traced(hessian(plain), x, 7), [x, 7])[0]
    assert np.allclose(hessian(marked)(x, 7), expected, atol=1e-12)


@pytest.mark.parametrize("program", [scalars, in_place, swapped])
def test_second_orders(program):
    marked, plain = functions(program, 2)
    x, v = RNG.uniform(0.2, 0.9, 3), RNG.normal(size=3)
    same(hessian(marked), hessian(plain), x, 7)

    def along(f):
        return lambda x, v: jvp(lambda x: f(x, 7), (x,), (v,))[1]

    def norm(f):
        return lambda x: np.sum(grad(f)(x, 7) ** 2)

    same(grad(along(marked)), grad(along(plain)), x, v)
    same(grad(norm(marked)), grad(norm(plain)), x)


def test_batches():
    marked, plain = functions(scalars, 2)
    x = RNG.uniform(0.2, 0.9, (4, 3))

    def rows(f):
        return vmap(grad(f), in_axes=(0, None))

    def total(f):
        return grad(lambda x, n: np.sum(vmap(f, in_axes=(0, None))(x, n)))

    same(rows(marked), rows(plain), x, 6)
    same(total(marked), total(plain), x, 6)


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
        grad(f, mode="compiled")(0.5)
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
