"""Slices whose length depends on data, or on an index cut to the array."""

import numpy as np

from tests.programs.record import program, square, vector


def borders(rng, n):
    """Where n + 1 segments of an array of 2 n begin and end; some are empty."""
    cuts = np.sort(rng.integers(0, 2 * n + 1, n))
    return np.concatenate([[0], cuts, [2 * n]])


def twice(rng, n):
    return rng.normal(size=2 * n)


def columns(rng, n):
    return rng.integers(0, n, 2 * n)


@program(twice, borders, columns, vector, sizes=(1, 4))
def sparse_product(data, starts, columns, v):
    y = np.zeros(len(starts) - 1)
    for i in range(len(y)):
        begin, end = starts[i], starts[i + 1]
        y[i] = data[begin:end] @ v[columns[begin:end]]
    return y


@program(twice, borders, sizes=(1, 4))
def statistics_of_segments(x, starts):
    out = np.zeros((len(starts) - 1, 3))
    for i in range(len(starts) - 1):
        part = x[starts[i] : starts[i + 1]]
        if len(part) > 0:
            out[i, 0] = np.std(part) + part[-1] * part[0]
            share = np.exp(part - part.max())
            out[i, 1] = np.sum(share / share.sum() * part)
        out[i, 2] = np.any(part > 1.0) * np.count_nonzero(part < 0.0)
    return out


@program(square, sizes=(1, 4))
def window_cut_at_the_border(image):
    height, width = image.shape
    out = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            rows = slice(max(i - 1, 0), min(i + 2, height))
            near = image[rows, max(j - 1, 0) : min(j + 2, width)]
            out[i, j] = near.mean() - (near**2).max()
    return out


@program(twice, borders, vector, sizes=(2, 4))
def segments_written(x, starts, v):
    y = x * 1.0
    for i in range(len(v)):
        begin, end = starts[i], starts[i + 1]
        y[begin:end] = x[begin:end] * v[i]
        y[begin:end] += 1.5 * x[begin:end]
        view = y[end:]
        view *= v[0]
    return y


@program(square, sizes=(3, 5))
def rows_from_a_largest(A):
    i = np.argmax(A[:, 0])
    tail = np.mean(A[i:], axis=0) + A[: i + 1].max(axis=0)
    return tail * A[:, i % 2 :].sum() - A[-i - 9 : i + 1 : 2, 1].prod()


@program(twice, borders, columns, vector, sizes=(1, 3))
def loops_over_segments(x, starts, columns, v):
    s = 0.0
    for i in range(len(starts) - 1):
        part = slice(starts[i], starts[i + 1])
        for k, e in enumerate(x[part]):
            s = 0.9 * s + k * e**2
        for j, e in zip(columns[part], x[part], strict=True):
            s += v[j] * e
    return s


@program(vector, sizes=(3, 4))
def a_slice_that_is_used_again_and_again(x):
    """Each use of a name within a calculation is asked for once, not 6**8 times."""
    s = 0.0
    for start, scale in np.array([[1, 2], [0, 1], [2, 0]]):
        y = x[start:] * x[scale]
        for _ in range(8):
            y = 0.5 * y + np.sin(y) * np.cos(y) ** 2 + y / (1.0 + y * y)
        s += np.sum(y)
    return s
