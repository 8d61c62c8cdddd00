"""Random region programs: nested loops, branches, writes in place, swaps, whiles.

A program is nested tuples, generated from a seed and staged by ``run``. Its state is
two scalars, an integer, an array value and three Refs, which every loop carries on.
"""

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.transforms.staging import (
    Array,
    W,
    branch,
    copy_of,
    loop,
    while_loop,
    zeros,
)
from tracegrad.ir.shapes import Dim
from tracegrad.primitives import structural
from tracegrad.primitives.indexing import gather

N = 6


@dataclass
class State:
    a: Any
    b: Any
    c: Any  # an integer between 1 and n - 2
    v: Any  # an array value
    x: Any
    y: Any
    w: Any
    m: Any  # a matrix
    p: Any  # an integer array
    n: Any

    @property
    def carried(self):
        return self.a, self.b, self.c, self.v

    def after(self, a, b, c, v):
        return replace(self, a=a, b=b, c=c, v=v)


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def program(self):
        return self.block([], 0, False, 3, 6)

    def block(self, loops, depth, swapped, least, most):
        count = self.random.randint(least, most)
        return [self.statement(loops, depth, swapped) for _ in range(count)]

    def index(self, loops):
        r = self.random
        chance = r.random()
        if loops and chance < 0.7:
            return ("loop", r.choice(loops), r.randint(-1, 1))
        if chance < 0.76:
            return ("c",)
        if chance < 0.82:
            return ("p", r.randint(0, 3))
        if chance < 0.88:
            return ("end", r.randint(1, 2))
        return ("fixed", r.randint(0, 3))

    def atom(self, loops):
        r = self.random
        chance = r.random()
        if chance < 0.25:
            return (r.choice("ab"),)
        if chance < 0.4:
            return ("get", "x", self.index(loops))
        if chance < 0.75:
            return ("get", r.choice("yyw"), self.index(loops))
        if chance < 0.82:
            return ("get", "v", self.index(loops))
        if chance < 0.9:
            return ("matrix", self.index(loops), self.index(loops))
        if chance < 0.93:
            return ("sum", r.choice(["v", "y"]))
        return ("number", round(r.uniform(-1, 1), 2))

    def expression(self, loops, depth=2):
        r = self.random
        if depth == 0 or r.random() < 0.2:
            return self.atom(loops)
        kind = r.choice(["add", "add", "sub", "mul", "mul", "mul", "sin", "div"])
        parts = 1 if kind == "sin" else 2
        return (kind, *(self.expression(loops, depth - 1) for _ in range(parts)))

    def statement(self, loops, depth, swapped):
        r = self.random
        chance = r.random()
        if chance < 0.2:
            return ("let", r.choice("ab"), self.expression(loops))
        if chance < 0.36:
            return ("set", r.choice("yw"), self.index(loops), self.expression(loops))
        if chance < 0.47:
            return ("add", r.choice("yw"), self.index(loops), self.expression(loops))
        if chance < 0.53:
            kind = r.choice(["setm", "addm"])
            pair = (self.index(loops), self.index(loops))
            return (kind, *pair, self.expression(loops))
        if chance < 0.58:
            kinds = ["window", "row", "array", "step", "shift", "gather", "part"]
            return (r.choice(kinds),)
        if chance < 0.61:
            return ("exchange",)
        if chance < 0.72:
            then = self.block(loops, depth + 1, True, 1, 2)
            other = self.block(loops, depth + 1, True, 0, 2)
            return ("if", self.atom(loops), self.atom(loops), then, other)
        if depth < 3 and len(loops) < 3:
            return self.looping(loops, depth, swapped)
        return ("let", "a", ("sin", self.expression(loops, 1)))

    def looping(self, loops, depth, swapped):
        r = self.random
        if r.random() < 0.15:
            trips = r.randint(0, 3)
            return ("while", trips, self.block(loops, depth + 1, True, 1, 2))
        ranges = ["up", "down", "skip", "short", "skipdown", "empty"]
        if loops:
            ranges += ["before", "after"] * 2
        kind = r.choice(ranges)
        outer = loops[-1] if loops else None
        swaps = not swapped and r.random() < 0.3
        inner = [*loops, len(loops)]
        body = self.block(inner, depth + 1, True, 1, 3)
        stop = self.atom(inner) if r.random() < 0.2 else None
        return ("for", kind, outer, r.random() < 0.2, swaps, stop, body)


def index(entry, s, loops):
    match entry:
        case ("loop", k, offset):
            return loops[k] + offset if offset else loops[k]
        case ("c",):
            return s.c
        case ("p", k):
            return s.p[k]
        case ("end", k):
            return s.n - k
        case ("fixed", k):
            return k


OPERATIONS = {
    "add": lambda p, q: p + q,
    "sub": lambda p, q: p - q,
    "mul": lambda p, q: p * q,
    "sin": np.sin,
    "div": lambda p, q: p / (2.5 + np.cos(q)),
}


def value(e, s, loops):
    def go(e):
        return value(e, s, loops)

    match e:
        case ("a" | "b" as name,):
            return getattr(s, name)
        case ("get", "v", i):
            return Array(s.v.operand)[index(i, s, loops)]
        case ("get", name, i):
            return getattr(s, name)[index(i, s, loops)]
        case ("matrix", i, j):
            return s.m[index(i, s, loops), index(j, s, loops)]
        case ("sum", "v"):
            return (s.v * s.v).sum() * 0.1
        case ("sum", _):
            return s.y.tracer_of().sum() * 0.1
        case ("number", number):
            return number
        case (name, *parts):
            return OPERATIONS[name](*map(go, parts))


def run(block, s, loops):
    """Stage a block; the state after it."""
    for statement in block:
        s = stage(statement, s, loops)
    return s


def stage(statement, s, loops):
    match statement:
        case ("let", name, e):
            return replace(s, **{name: np.sin(value(e, s, loops)) + 0.0})
        case ("array",):
            return replace(s, v=np.sin(s.v * s.y.tracer_of()) + 0.3 * s.v)
        case ("shift",):
            return replace(s, v=s.v * s.b + s.m[W(0, s.n), s.c])
        case ("gather",):
            found = gather(s.v, s.p.tracer_of(), axes=(0,), position=0)
            return replace(s, a=np.sin((found * s.b).sum()))
        case ("part",):
            window = {"starts": (1,), "steps": (2,), "sizes": (Dim.constant(2),)}
            found = structural.slice_(s.v, **window) * s.x[W(0, 2)]
            return replace(s, b=np.sin(found.sum()) * s.a)
        case ("step",):
            return replace(s, c=(s.c * 2 + 1) % (s.n - 2) + 1)
        case ("exchange",):
            return replace(s, a=s.b, b=s.a)
        case ("if" | "while" as kind, *rest):
            return (stage_if if kind == "if" else stage_while)(rest, s, loops)
        case ("for", *rest):
            return stage_for(rest, s, loops)
        case _:
            write(statement, s, loops)
    return s


def write(statement, s, loops):
    match statement:
        case ("set", name, i, e):
            getattr(s, name)[index(i, s, loops)] = np.sin(value(e, s, loops))
        case ("add", name, i, e):
            getattr(s, name).add(index(i, s, loops), 0.5 * np.sin(value(e, s, loops)))
        case ("setm", i, j, e):
            s.m[index(i, s, loops), index(j, s, loops)] = np.sin(value(e, s, loops))
        case ("addm", i, j, e):
            place = index(i, s, loops), index(j, s, loops)
            s.m.add(place, 0.5 * np.sin(value(e, s, loops)))
        case ("window",):
            s.y[W(1, s.n - 2)] = np.sin(s.w[W(2, s.n - 2)] * s.y[W(0, s.n - 2)])
        case ("row",):
            s.m.add((s.c, W(0, s.n)), 0.3 * np.sin(s.y[W(0, s.n)]) * s.a)


def stage_if(rest, s, loops):
    p, q, then, other = rest
    test = value(p, s, loops) > value(q, s, loops)
    if not hasattr(test, "operand"):
        return run(then if test else other, s, loops)
    arms = (lambda block=block: run(block, s, loops).carried for block in (then, other))
    return s.after(*branch(test, *arms))


def stage_while(rest, s, loops):
    trips, body = rest

    def step(k, a, b, c, v):
        return (k + 1, *run(body, s.after(a, b, c, v), loops).carried)

    found = while_loop(
        lambda k, a, b, c, v: (k < trips) & (a * a < 0.95), step, 0, *s.carried
    )
    return s.after(*found[1:])


def stage_for(rest, s, loops):
    kind, outer, reversed_, swaps, stop, body = rest
    n = s.n
    lo, hi, step = {
        "up": (1, n - 1, 1),
        "down": (n - 2, 0, -1),
        "skip": (1, n - 1, 2),
        "short": (1, 3, 1),
        "skipdown": (n - 2, 0, -3),
        "empty": (3, 1, 1),
        "before": (1, loops[outer] if outer is not None else 1, 1),
        "after": (loops[outer] if outer is not None else 1, n - 1, 1),
    }[kind]

    def iterate(i, a, b, c, v, *buffers):
        inner = s.after(a, b, c, v)
        if buffers:
            inner = replace(inner, y=buffers[0], w=buffers[1])
        inner = run(body, inner, [*loops, i])
        found = inner.carried
        if buffers:
            found = (*found, inner.w, inner.y)
        if stop is not None:
            found = (value(stop, inner, [*loops, i]) + inner.a * 0.0 > 0.5, *found)
        return found

    initial = (*s.carried, s.y, s.w) if swaps else s.carried
    params = {"step": step, "reversed": reversed_, "stops": stop is not None}
    found = loop(lo, hi, iterate, *initial, **params)
    if swaps:
        s = replace(s, y=found[4], w=found[5])
    return s.after(*found[:4])


def program(seed):
    """A function of an array and an integer array."""
    block = Generator(seed).program()

    def generated(x, p):
        n = x.shape[0]
        s = State(
            a=x[1] * 0.7,
            b=x[0],
            c=p[0] * 0 + 1,
            v=x.tracer * 0.5,
            x=x,
            y=x.copy(),
            w=zeros(n),
            m=zeros(n, n, fill=0.1),
            p=p,
            n=n,
        )
        s = run(block, s, [])

        def total(q, t):
            return t + s.y[q] * (q + 1) + s.w[q] * s.w[q] * 0.3 + s.m[q, 1]

        t = loop(0, n, total, s.a + 2.0 * s.b)
        return t + (s.v * s.v).sum(), s.m

    return generated


__all__ = ["N", "copy_of", "program"]
