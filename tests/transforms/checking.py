"""Gradients of region programs against central differences, and against each other."""

import numpy as np

from tests.transforms.staging import trace
from tracegrad.ir.graph import Builder, Graph
from tracegrad.ir.shapes import Assumptions
from tracegrad.ir.types import ArrayType
from tracegrad.ir.verifier import verify
from tracegrad.primitives.identities import filled
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.evaluate import evaluate
from tracegrad.transforms.jvp import jvp
from tracegrad.transforms.pipeline import OPTIMISE
from tracegrad.transforms.vjp import vjp


def optimised(graph):
    """The graph after every pass, each of which must leave it valid."""
    for pass_ in OPTIMISE:
        graph = verify(pass_(graph))
    return graph


def gradient(graph, wrt, *, value=False, optimise=True):
    """Cotangents of the parameters ``wrt``, from parameters and cotangents."""
    b = Builder(Graph(graph.name + "_vjp"), Assumptions(), simplify)
    params = [b.graph.add_param(p.type, p.name) for p in graph.params]
    seeds = [
        b.graph.add_param(ArrayType(r.type.dtype, r.type.shape), "out_bar")
        if r.type.differentiable
        else None
        for r in graph.results
    ]
    results, bars = vjp(b, graph, params, wrt, seeds)
    b.graph.results = [
        *(results if value else ()),
        *(
            filled(b, 0, graph.params[k].type) if bar is None else bar
            for k, bar in zip(wrt, bars, strict=True)
        ),
    ]
    return optimised(verify(b.graph)) if optimise else verify(b.graph)


def tangent(graph, wrt, *, optimise=True):
    """Tangents of the results, from parameters and tangents."""
    b = Builder(Graph(graph.name + "_jvp"), Assumptions(), simplify)
    params = [b.graph.add_param(p.type, p.name) for p in graph.params]
    dots = [
        b.graph.add_param(p.type, f"{p.name}_dot") if k in wrt else None
        for k, p in enumerate(graph.params)
    ]
    results, (found,) = jvp(b, graph, params, [dots])
    b.graph.results = [
        filled(b, 0, ArrayType(r.type.dtype, r.type.shape)) if t is None else t
        for r, t in zip(results, found, strict=True)
    ]
    return optimised(verify(b.graph)) if optimise else verify(b.graph)


def dot(xs, ys):
    return sum(float(np.sum(x * y)) for x, y in zip(xs, ys, strict=True))


def moved(arguments, wrt, direction, step):
    arguments = list(arguments)
    for k, d in zip(wrt, direction, strict=True):
        arguments[k] = arguments[k] + step * d
    return arguments


def difference(function, arguments, wrt, direction, step=1e-6):
    """The central difference of a list of arrays along a direction."""
    up = function(moved(arguments, wrt, direction, step))
    down = function(moved(arguments, wrt, direction, -step))
    return [(np.asarray(a) - b) / (2 * step) for a, b in zip(up, down, strict=True)]


def check(function, kinds, arguments, wrt=(0,), *, seed=0, second=True, tol=1e-6):
    """Both modes against differences, and both second orders, at two points."""
    graph = verify(trace(function, kinds))
    rng = np.random.default_rng(seed)
    here = evaluate(graph, arguments)
    floats = [r.type.differentiable for r in graph.results]
    weights = [
        np.asarray(rng.normal(size=np.shape(r)))
        for r, f in zip(here, floats, strict=True)
        if f
    ]
    reverse, forward = gradient(graph, wrt), tangent(graph, wrt)
    twice = (tangent(reverse, wrt), gradient(reverse, wrt)) if second else ()
    other = [rng.normal(size=np.shape(arguments[k])) for k in wrt]
    for point in (arguments, moved(arguments, wrt, other, 0.05)):
        along = [rng.normal(size=np.shape(arguments[k])) for k in wrt]
        before = [np.array(x) for x in point]
        check_first(graph, reverse, forward, point, wrt, weights, along, floats, tol)
        if second:
            check_second(reverse, twice, point, wrt, weights, along, tol)
        for x, y in zip(before, point, strict=True):
            np.testing.assert_array_equal(x, y)
    return reverse


def check_first(graph, reverse, forward, point, wrt, weights, along, floats, tol):
    bars = evaluate(reverse, [*point, *weights])
    again = evaluate(reverse, [*point, *weights])
    for x, y in zip(bars, again, strict=True):
        np.testing.assert_array_equal(x, y)
    dots = evaluate(forward, [*point, *along])
    dots = [d for d, f in zip(dots, floats, strict=True) if f]
    expected = difference(lambda xs: evaluate(graph, xs), point, wrt, along)
    expected = [e for e, f in zip(expected, floats, strict=True) if f]
    np.testing.assert_allclose(dot(weights, dots), dot(bars, along), 1e-9, 1e-11)
    np.testing.assert_allclose(dot(bars, along), dot(weights, expected), tol, tol)


def check_second(reverse, twice, point, wrt, weights, along, tol):
    over, under = twice
    products = evaluate(over, [*point, *weights, *along])
    pulled = evaluate(under, [*point, *weights, *along])
    expected = difference(
        lambda xs: evaluate(reverse, [*xs, *weights]), point, wrt, along
    )
    for a, b, e in zip(products, pulled, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-8, 1e-9)
        np.testing.assert_allclose(a, e, 30 * tol, 30 * tol)
