"""Programs that a generator found, made as small as they still failed."""

import numpy as np

from tests.programs.record import (
    count,
    indices,
    program,
    scalar,
    square,
    vector,
)


@program(vector, scalar, sizes=(3, 5))
def number_that_an_array_repeats(x, c):
    """The array is told by its number, which a loop went on to change."""
    a = c + 1.0
    z = np.full(x.shape[0], a)
    b = x * z[0]
    for t in range(x.shape[0]):
        a = 0.5 * z[t] * x[t]
    return a, b


@program(vector, scalar, sizes=(3, 5))
def row_that_repeats_a_number(x, c):
    a = c + 1.0
    z = np.full((x.shape[0], x.shape[0]), a)
    b = c * z[0]
    for t in range(1, x.shape[0]):
        a = 0.5 * z[t, t] + x[t]
    return a, b


@program(vector, vector, sizes=(1, 3))
def new_name_for_an_alias(x, y):
    """A name that a loop binds first is no part of an exchange."""
    first = x
    second = x
    for t, e in enumerate(y):
        new = second
        new[t] = e * e
        first = second
    return first


@program(vector, count, sizes=(0, 1, 3), smooth=False)
def integers_divided_by_zero(x, n):
    q = 7
    for i in range(x.shape[0]):
        q = q // (n - i - 1) + 3 % (n - i)
    return q * 1.0, 5 % n


@program(vector, vector, scalar, indices, sizes=(1, 3))
def repeated_and_negative_indices_in_a_branch(x, y, c, p):
    """Cotangents that leave a branch go to places counted from the front."""
    peak = np.max(y)
    if c:
        y[p] *= x
    return peak * y


@program(square, scalar, indices, sizes=(1, 3))
def rows_by_negative_indices_in_a_branch(a, c, p):
    b = a * c
    if c != 0.5:
        rows = b[p]
        b[0] += rows[-1] * rows[0]
    return b


# Loops that are unrolled, for their slices have steps, over arrays they write to.


@program(vector, vector, sizes=(1, 3))
def elements_written_by_their_own_loop(x, out):
    i = 0
    for e in x:
        out[i::2] += e * x[0]
        x[(i + 1) % x.shape[0]] *= e
        i += 1
    return out


@program(vector, vector, sizes=(1, 3))
def reversed_elements_written_by_their_own_loop(x, out):
    i = 0
    for e in reversed(x):
        out[i::2] += e * x[0]
        x[i - 1] *= e
        i += 1
    return out


@program(vector, vector, sizes=(3, 4))
def elements_kept_in_a_list_while_they_change(x, out):
    kept = [x[0]]
    for i, e in enumerate(x):
        kept.append(e)
        x[(i + 1) % 3] *= e
    return out * kept[3] + kept[2] * kept[0]


@program(vector, vector, sizes=(3,))
def generators_read_when_they_are_asked(x, out):
    doubled = (e * 2 for e in x)
    squared = map(lambda e: e * e, x)
    x[1] = out[0] * 5.0
    a, b, c = doubled
    x[2] = a * b
    d, e, f = squared
    return out * a * b + c * d * e + f


# Values that a branch exchanges, one of them computed by a loop of its own.


@program(vector, scalar, sizes=(1, 3))
def exchanged_with_a_reduction_in_a_branch(x, b):
    """The new ``b`` was written to its place before ``a`` had taken the old one."""
    a = 0.0
    for i in range(x.shape[0]):
        for e in x:
            if e < b + i:
                a, b = b, np.max(x) - 0.5 * a
    return a + 2.0 * b


@program(vector, scalar, sizes=(1, 3))
def only_exchanged_until(x, b):
    u, v, s = x * b, np.sin(x), b
    for i in range(len(x)):
        k = 0
        while k < i + 2 and u[0] < 2.0:
            k += 1
            u, v = v, u
        s += u[0] * v[-1]
    return s, u


@program(vector, square, sizes=(3, 5))
def objects_that_may_be_bound(x, a):
    n = x.shape[0]
    for i in range(0, n, 2):
        for j in range(i, n):
            if i:
                library = np
                whole = a
                scale = x[j]
    return library.sin(scale) * whole[0]


# An array of one row is a loop of one turn, in which the loop inside has none.


@program(vector, square, sizes=(1, 3))
def a_turn_in_which_nothing_is_before(x, a):
    for k, row in enumerate(a):
        for j in range(k):
            if x[j] < a[k, k - 1]:
                break
            x[j] *= 1.5
        if k > int(a[0, 0] * 0.0) and x[k - 1] > 0.0:
            x[k] *= a[k, k - 1] + row[k]
    return x


# Naming a view that may not be read any more had failed once the loop was recorded: it
# was unrolled then, after itself.


@program(vector, square, sizes=(5, 6))
def a_view_that_may_be_bound_before_an_exchange(x, a):
    v = a[-1]
    for i in range(len(x) - 1, -1, -2):
        for _ in x:
            if i < 2:
                v[i], v[i - 1] = v[i - 1], v[i]
            elif a[i, 0] < v[0]:
                view = a.T
            x[-i - 1] /= 1.6
    return x, v
