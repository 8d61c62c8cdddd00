"""The same random programs on PyTorch and on the tape: values, gradients, errors.

Left out is what PyTorch leaves open or does wrongly, and where the tape is right and
PyTorch raises. Each case was looked into:

- PyTorch's rules save other values, so that a write between is an error there and does
  no harm here. The converse is logaddexp alone, whose rule keeps the result.
- Where a gradient is zero all the way, PyTorch does not look at what was saved.
- A derivative that is infinite, times a cotangent of zero: zero here.
- A NaN in maximum and minimum: neither operand is the larger one.
- Several writes to one cell by one index: the last counts here, which is what the
  values say; there each gets the gradient.
- ``requires_grad_`` and ``detach_`` of what has views: PyTorch's views keep the state.
- ``x += x[:1]`` and its like: PyTorch reads what it has just written.
- Writes to expanded tensors, which the tape always refuses.
- The derivative of atan2 at the origin: 0 there, NaN here; that of the standard
  deviation of equal numbers, where rounding decides.
- ``.data``, whose writes the tape counts.

Skipped where PyTorch isn't installed.
"""

import warnings

import numpy as np
import pytest

import tracegrad.tape as tape

torch = pytest.importorskip("torch")
torch.set_default_dtype(torch.float64)

UNARY = (
    *("exp", "sin", "cos", "tanh", "sigmoid", "abs", "square", "sqrt", "neg"),
    *("log1p", "floor", "sign", "reciprocal", "expm1", "erf", "asinh", "rsqrt"),
)
BINARY = ("add", "sub", "mul", "maximum", "minimum", "hypot", "logaddexp")
IN_PLACE = ("add_", "sub_", "mul_", "exp_", "tanh_", "sqrt_", "neg_", "zero_")
WHOLE = ("sum", "prod", "max", "min", "norm", "mean", "var", "amax")
SHAPING = (
    *("first", "rest", "t", "flat", "unsqueeze", "unbind", "listed", "masked"),
    *("narrow", "flip", "expand", "split", "squeeze", "last", "select", "tril"),
)
FLAGS = ("detach", "clone", "retain_grad", "requires_grad_", "detach_")
ALONG = ("cumsum", "softmax", "log_softmax", "logsumexp", "cumprod")
# PyTorch refuses operands that overlap, what unbind made of memory that was since
# written to, and saved tensors that were detached; the tape computes them.
THEIRS = (
    *("single memory location", "function that returns multiple views"),
    *("has been modified by an inplace operation", "been detached in-place"),
    "moved into the graph interior",
)
OURS = ("share one place in memory", "output 0 of LogaddexpBackward0")
SHAPES = ((), (3,), (2, 3), (2, 1), (1, 3))


class Program:
    """Draws steps; each is carried out by both libraries on their own tensors."""

    def __init__(self, lib, rng):
        self.lib, self.rng = lib, rng
        self.pool = [self.leaf() for _ in range(4)]
        self.leaves = list(self.pool)
        self.viewed = []

    def leaf(self):
        shape = SHAPES[self.rng.integers(len(SHAPES))]
        values = self.rng.uniform(0.3, 1.7, shape)
        return self.lib.tensor(values, requires_grad=bool(self.rng.random() < 0.7))

    def pick(self):
        x = self.pool[self.rng.integers(len(self.pool))]
        assert x.grad_fn is not self  # PyTorch's views notice writes when asked for it
        return x

    def shared(self, x):
        """Whether other tensors may share its memory."""
        return any(v is x for v in self.viewed)

    def draw(self, names):
        return names[self.rng.integers(len(names))]

    def step(self):
        kind = self.rng.integers(16)
        x, y = self.pick(), self.pick()
        if kind in (5, 9, 15) and (self.shared(x) or self.shared(y)):
            y = y * 1.0
        if kind <= 2:
            return getattr(x, self.draw(UNARY))()
        if kind <= 4:
            return getattr(self.lib, self.draw(BINARY))(x, y)
        if kind == 5:
            return self.in_place(x, y)
        if kind == 6:
            return self.reduce(x)
        if kind <= 8:
            return self.view(x)
        if kind == 9:
            return self.assign(x, y)
        if kind == 10:
            return self.flag(x)
        if kind == 11:
            with self.lib.no_grad():
                return x.mul_(0.75) if self.rng.random() < 0.3 else x * 2
        if kind == 12:
            return self.join(x, y)
        if kind == 13:
            return self.along(x)
        if kind == 14:
            return self.first_derivative(x)
        x += y
        return x

    def in_place(self, x, y):
        name = self.draw(IN_PLACE)
        takes_one = name in ("exp_", "tanh_", "sqrt_", "neg_", "zero_")
        return getattr(x, name)() if takes_one else getattr(x, name)(y)

    def flag(self, x):
        name = self.draw(FLAGS)
        if name in ("requires_grad_", "detach_") and self.shared(x):
            return x
        made = getattr(x, name)()
        if name == "detach":
            self.viewed += [x, made]
        return x if made is None else made

    def reduce(self, x):
        name = self.draw(WHOLE)
        if not x.ndim:
            return x.sum()
        if self.rng.random() < 0.5:
            out = getattr(x, name)(dim=0)
            return out.values if name in ("max", "min") else out
        return getattr(x, name)()

    def along(self, x):
        return getattr(x, self.draw(ALONG))(-1)

    def join(self, x, y):
        kind = self.rng.integers(5)
        if kind == 0:
            return self.lib.where(x > 0.6, x, y)
        if kind == 1:
            return self.lib.stack([x, x * 0.5])
        if kind == 2:
            return self.lib.cat([x, y])
        if kind == 3:
            return x.masked_fill(x > 0.9, 0.5)
        return (
            self.lib.matmul(x, y) * 1.0
        )  # PyTorch's product counts a write of its own

    def first_derivative(self, x):
        wanted = self.pick()
        total = (x * x).sum()
        (slope,) = self.lib.autograd.grad(total, wanted, create_graph=True)
        # Whether a gradient that is zero can be differentiated is left open.
        return slope + 0.0 * total

    def view(self, x):
        name = self.draw(SHAPING)
        if not x.ndim:
            name = "flat"
        self.viewed.append(x)
        view = {
            "first": lambda: x[0],
            "rest": lambda: x[min(1, x.shape[0] - 1) :],
            "t": lambda: x.t() if x.ndim < 3 else x,
            "flat": lambda: x.reshape(-1),
            "unsqueeze": lambda: x.unsqueeze(0),
            "unbind": lambda: x.unbind()[0],
            "listed": lambda: x[[0, -1, 0]],
            "masked": lambda: x[x > 0.5],
            "narrow": lambda: x.narrow(-1, 0, 1),
            "flip": lambda: x.flip(0),
            "expand": lambda: x.expand(2, *x.shape),
            "split": lambda: x.split(1)[-1],
            "squeeze": lambda: x.squeeze(),
            "last": lambda: x[..., -1],
            "select": lambda: x.select(0, 0),
            "tril": lambda: x.tril(),
        }[name]()
        self.viewed.append(view)
        return view

    def assign(self, x, y):
        kind = self.rng.integers(5)
        if not x.ndim:
            x.fill_(0.5)
        elif kind == 0:
            x[0] = y
        elif kind == 1:
            x[..., -1:] = 0.25
        elif kind == 2:
            x[x > 0.8] = 0.7
        elif kind == 3 and x.shape[0] > 1:  # PyTorch leaves it open which write wins
            x[[0, -1]] = y
        else:
            x.copy_(y)
        return x


def array(x):
    return np.array(x.detach().numpy())


def run(lib, seed):
    """What happens step by step, and the gradients in the end."""
    program, events = Program(lib, np.random.default_rng(seed)), []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for _ in range(14):
            try:
                made = program.step()
                seen = (array(made), made.requires_grad, made.is_leaf)
            except (RuntimeError, IndexError, TypeError, ValueError) as error:
                events.append(("raised", str(error)))
                if says(events[-1], (*THEIRS, *OURS)):
                    break
                continue
            events.append(seen)
            program.pool.append(made)
        for repeat in (False, True):
            try:
                # The factor keeps PyTorch from giving two leaves one memory for .grad.
                terms = (x.sum() * 1.5 for x in program.pool[-4:])
                total = sum(terms, lib.zeros(()))
                total.backward(retain_graph=not repeat)
                events.append("backward")
            except RuntimeError as error:
                # PyTorch leaves the gradients that it had so far; the tape leaves none.
                return [*events, ("raised", str(error))]
            for x in program.leaves:
                events.append(None if x.grad is None else array(x.grad))
        events.extend(x._version for x in program.pool)
    return events


def same(ours, theirs):
    if isinstance(ours, tuple):
        if isinstance(ours[0], str) or isinstance(theirs[0], str):
            return type(ours[0]) is type(theirs[0])
        return all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        return ours.shape == theirs.shape and np.allclose(
            ours, theirs, rtol=1e-9, atol=1e-12, equal_nan=True
        )
    return type(ours) is type(theirs) and ours == theirs


def says(event, parts):
    """Whether an event is an error with such a message."""
    raised = isinstance(event, tuple) and isinstance(event[0], str)
    return raised and any(part in event[1] for part in parts)


def is_nan(event):
    values = event[0] if isinstance(event, tuple) else event
    return isinstance(values, np.ndarray) and bool(np.isnan(values).any())


def disagreement(seed):
    """The first event that differs, or None."""
    ours, theirs = run(tape, seed), run(torch, seed)
    for place, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if says(b, THEIRS) or says(a, OURS) or is_nan(b):
            return None
        if says(a, THEIRS) and not isinstance(b, str) and not np.any(b[0]):
            return None
        if not same(a, b):
            return f"seed {seed}, event {place}:\n{a}\n{b}"
    return None


@pytest.mark.parametrize("block", range(8))
def test_random_programs_agree(block):
    for seed in range(100 * block, 100 * block + 100):
        assert disagreement(seed) is None
