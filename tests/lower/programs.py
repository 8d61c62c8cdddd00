"""Random array programs: what clustering must get right whatever it decides."""

import numpy as np


def random_program(rng, steps):
    """A function of (x, y, A, B, s, k): x and y of one length, A a matrix.

    It keeps a list of values and adds to it; what it returns is several of them.
    """
    plan = [(int(rng.integers(0, len(_STEPS))), *rng.random(4)) for _ in range(steps)]
    count = int(rng.integers(1, 4))

    def program(x, y, A, B, s, k):
        values = [x, y, A, B, s]
        for which, *choices in plan:
            picked = iter(choices)

            def pick(suits=lambda v: True, picked=picked):
                fitting = [v for v in values if suits(v)]
                return fitting[int(next(picked) * len(fitting))]

            made = _STEPS[which](pick, k)
            if made is not None:
                values.append(made)
        kept = [v for v in values[5:] if v.ndim][-count:] + values[-1:]
        return tuple(kept)

    return program


def _some(v):
    return v.ndim > 0


def _binary(function):
    def step(pick, k):
        a = pick()
        b = pick(lambda v: (v.ndim == a.ndim and same(v, a)) or v.ndim == 0)
        return function(a, b)

    return step


def same(a, b):
    """Whether two arrays are known to have equal shapes."""
    left, right = getattr(a, "dims", a.shape), getattr(b, "dims", b.shape)
    return left == right


def _square(pick, k):
    v = pick()
    return v * v


def _outer(pick, k):
    a, b = pick(lambda v: v.ndim == 1), pick(lambda v: v.ndim == 1)
    return a[:, None] * b


def _row(pick, k):
    a = pick(lambda v: v.ndim == 2)
    return a - np.sum(a, axis=1, keepdims=True)


def _softmax(pick, k):
    a = np.tanh(pick(lambda v: v.ndim == 2))
    e = np.exp(a - np.max(a, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def _product(pick, k):
    a = pick(lambda v: v.ndim == 2)
    return np.dot(np.tanh(a), np.tanh(a).T)


def _vector_product(pick, k):
    a = pick(lambda v: v.ndim == 2)
    return np.dot(a, np.sum(a, axis=0))


def _stencil(pick, k):
    v = pick(lambda v: v.ndim == 1)
    return v[1:] - 0.5 * v[:-1]


def _padded(pick, k):
    v = pick(lambda v: v.ndim == 1)
    return np.concatenate([v[:1] * 2.0, v, -v[-1:]])


def _gathered(pick, k):
    v = pick(lambda v: v.ndim == 1)
    return v[k] if isinstance(k, np.ndarray) or k.ndim else None


def _spread(pick, k):
    a, b = pick(lambda v: v.ndim == 2), pick(lambda v: v.ndim == 2)
    return a * np.sum(b) + np.sum(a, axis=0)


_STEPS = [
    lambda pick, k: np.tanh(pick()),
    lambda pick, k: np.exp(np.tanh(pick())),
    lambda pick, k: -pick(),
    _square,
    _square,
    _binary(lambda a, b: a + b),
    _binary(lambda a, b: a - b),
    _binary(lambda a, b: a * b),
    _binary(lambda a, b: a * b),
    _binary(lambda a, b: np.maximum(a, b)),
    _binary(lambda a, b: np.where(a > b, np.sin(a), 2.0 * b)),
    lambda pick, k: np.sum(pick(_some)),
    lambda pick, k: np.sum(pick(_some), axis=0),
    lambda pick, k: np.sum(pick(lambda v: v.ndim == 2), axis=1),
    lambda pick, k: np.cumsum(pick(_some), axis=0),
    lambda pick, k: pick(_some)[::-1],
    lambda pick, k: pick(_some)[::2],
    lambda pick, k: pick(lambda v: v.ndim == 2).T,
    lambda pick, k: pick(lambda v: v.ndim == 2).reshape(-1),
    lambda pick, k: pick(lambda v: v.ndim == 1)[:, None] + 1.0,
    lambda pick, k: np.roll(pick(lambda v: v.ndim == 1), 1),
    _outer,
    _row,
    _softmax,
    _product,
    _vector_product,
    _stencil,
    _stencil,
    _padded,
    _gathered,
    _spread,
]


def random_arguments(rng, n, m):
    """Arguments of a random program."""
    return {
        "x": rng.normal(size=n),
        "y": rng.normal(size=n),
        "A": rng.normal(size=(n, m)),
        "B": rng.normal(size=m),
        "s": np.asarray(rng.normal()),
        "k": rng.integers(0, 1, size=3),
    }
