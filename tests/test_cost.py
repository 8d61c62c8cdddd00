"""Gradients of linear programs cost a constant times the function, at every size.

Numbers that the compiled graph makes, reads or writes are counted: an array-sized
operation for each element that is read or written would make them quadratic.
"""

from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from unittest.mock import patch

import numpy as np
import pytest

from codegen import jit as backend
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Assign,
    Fill,
    For,
    Grow,
    If,
    Op,
    Var,
    While,
    integer,
)
from tests.fuzz.kernels import running
from tests.transforms.test_cost import operations
from tracegrad import grad, jit, pytree

ROW = 4
RATIOS = {1: 4, 2: 12}


def recurrence(x):
    y = x.copy()
    for i in range(1, y.shape[0]):
        y[i] = np.sin(y[i - 1]) * y[i]
    return y[-1]


def rows_by_views(x):
    a = x.reshape(-1, ROW).copy()
    for i in range(1, a.shape[0]):
        row, before = a[i], a[i - 1]
        for j in range(1, ROW):
            row[j] = row[j - 1] * before[j] + np.cos(row[j])
    return np.sum(a)


def windows_in_a_loop(x):
    y = x.copy()
    for i in range(0, y.shape[0] - ROW, ROW):
        y[i + 1 : i + ROW] += np.sin(y[i : i + ROW - 1]) * 0.5
    return np.sum(y * y)


def gather_in_a_loop(x, p):
    y = np.zeros_like(x)
    total = 0.0
    for i in range(x.shape[0]):
        y[p[i]] += x[i] * x[p[i]]
        total += y[i] * x[i]
    return total


def temporaries(x):
    total = 0.0
    for i in range(0, x.shape[0] - ROW, ROW):
        t = np.exp(x[i : i + ROW] * 0.1)
        u = t / np.sum(t)
        total += u[0] * x[i]
    return total


def scratch(x):
    z = np.zeros(ROW)
    total = 0.0
    for i in range(x.shape[0]):
        z[i % ROW] = x[i] * z[(i + 1) % ROW] + x[i]
        total += z[0] * z[1]
    return total


def read_elsewhere(x):
    y = x.copy()
    total = 0.0
    for i in range(x.shape[0]):
        total += y[0] * y[i] + y[-1]
        y[i // 2] = total * 1e-3
    return total


def nested_while(x):
    total = 0.0
    for i in range(x.shape[0]):
        v = 1.0 + x[i] * x[i]
        k = 0
        while v > 0.1 and k < 3:
            v = v * 0.5 + 0.01 * total
            k += 1
        total += v
    return total


def exchanged(x):
    u, v = x.copy(), np.zeros_like(x)
    for _ in range(3):
        for i in range(1, x.shape[0] - 1):
            v[i] = u[i] * u[i] + 0.1 * (u[i - 1] + u[i + 1])
        u, v = v, u
    return np.sum(u)


def written_into(x):
    def helper(out, i):
        out[i] = np.sin(out[i]) * out[i - 1]

    y = x.copy()
    for i in range(1, x.shape[0]):
        helper(y, i)
    return y[-1] + y[0]


PROGRAMS = [
    recurrence,
    rows_by_views,
    windows_in_a_loop,
    gather_in_a_loop,
    temporaries,
    scratch,
    read_elsewhere,
    nested_while,
    exchanged,
    written_into,
]


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("order", [1, 2])
def test_linear_stays_linear(function, order):
    gradient = grad(function)
    if order == 2:
        gradient = grad(lambda *args: np.sum(grad(function)(*args) * args[0]))
    with running():
        small, middle, large = (counted(gradient, function, n) for n in (64, 128, 256))
        primal = counted(jit(function), function, 256)
    assert large - middle == pytest.approx(2 * (middle - small), rel=0.1)
    assert large <= RATIOS[order] * primal


def counted(gradient, function, n):
    """How many numbers the graph of a gradient touches."""
    rng = np.random.default_rng(0)
    arguments = [rng.uniform(0.5, 1.0, n)]
    if function is gather_in_a_loop:
        arguments.append(rng.permutation(n))
    spec = gradient.specialised(tuple(arguments), {})
    return operations(spec.graph, spec.inputs(pytree.leaves((tuple(arguments), {}))))


# --- compiled, at sizes that an evaluated graph takes too long for -------------------

COUNT = Var("count", "int64")


@pytest.mark.parametrize(
    "function", [recurrence, gather_in_a_loop, exchanged], ids=lambda f: f.__name__
)
def test_linear_stays_linear_when_compiled(function):
    rng = np.random.default_rng(0)
    gradient = grad(function)
    counts = []
    with counting() as found:
        for n in (1_000, 10_000, 100_000):
            arguments = [rng.uniform(0.5, 1.0, n)]
            if function is gather_in_a_loop:
                arguments.append(rng.permutation(n))
            gradient(*arguments)
            counts.append(found.pop())
    small, middle, large = counts
    assert small > 3_000
    assert large - middle == pytest.approx(10 * (middle - small), rel=0.01)


@contextmanager
def counting():
    """Kernels that count their statements; the counts of calls, the latest last."""
    found, build = [], backend.build

    def built(kernel):
        body = (Assign(COUNT, integer(0)), *statements_counted(kernel.body))
        counted = replace(kernel, body=body, results=(*kernel.results, COUNT))
        made = build(counted, options=backend.Options(keep=False))

        def entry(*args):
            returned = made.entry(*args)
            *results, count = returned if kernel.results else [returned]
            found.append(count)
            return tuple(results) if len(results) != 1 else results[0]

        return replace(made, function=entry, entry=entry)

    with patch.object(backend, "build", built):
        yield found


def statements_counted(body):
    """Statements that add to the count what they cost, one each, or a size."""
    sizes = [
        reduce(times, stmt.array.shape[len(getattr(stmt, "prefix", ())) :])
        for stmt in body
        if isinstance(stmt, Fill) or (isinstance(stmt, Allocate) and stmt.zero)
    ]
    sizes += [stmt.size for stmt in body if isinstance(stmt, Grow)]
    cost = reduce(plus, sizes, integer(len(body)))
    result = [Accumulate(COUNT, "add", cost, reassociate=False)]
    for stmt in body:
        match stmt:
            case For() | While():
                stmt = replace(stmt, body=tuple(statements_counted(stmt.body)))
            case If(_, then, otherwise):
                then = tuple(statements_counted(then))
                stmt = replace(stmt, then=then, otherwise=statements_counted(otherwise))
        result.append(stmt)
    return tuple(result)


def plus(a, b):
    return Op("add", (a, b), "int64")


def times(a, b):
    return Op("multiply", (a, b), "int64")
