"""What control flow and writes can't be staged: refused at the line, with advice."""

import heapq
from collections import deque

import numpy as np
import pytest

from tests.traces.running import run, traced
from tracegrad import grad
from tracegrad.errors import ControlFlowError, TracingError

X = np.array([0.5, -1.5, 2.0])


class Counter:
    total = 0.0


def joins_what_a_mask_selects(x):
    return np.concatenate((x[x > 0], x)).sum()


def writes_by_a_mask_of_columns(x):
    out = np.zeros((2, 3))
    out[:, x > 0] = 1.0
    return x + out[0]


def listed_over_data(x):
    return sorted([x[0] * k for k in range(int(x[2]))])[0]


def stepped_by_data(x):
    s = 0.0
    for i in range(0, 10, int(x[2])):
        s += i
    return s


def prints_in_a_branch(x):
    if x[0] > 0:
        print(x[0])
    return x


def prints_in_a_loop(x):
    for _ in range(int(x[2])):
        print("step")
    return x


def appends_under_a_branch(x):
    parts = []
    if x[0] > 0:
        parts.append(x[0])
    return parts


def appends_as_often_as_data_says(x):
    parts = []
    for k in range(int(x[2])):
        parts.append(k * x[0])
    return sum(parts)


def changes_an_object(x):
    counter = Counter()
    if x[0] > 0:
        counter.total = x[0]
    return counter.total


def changes_a_dict(x):
    found = {"n": 0}
    while x[0] < 10.0:
        found["n"] += 1
        x = x * 2.0
    return found["n"]


def changes_an_object_by_name(x):
    counter = Counter()
    if x[0] > 0:
        setattr(counter, "total", 2.0)  # noqa: B010
    return counter.total


def pushes_natively(x):
    heap = [1.0]
    if x[0] > 5:
        heapq.heappush(heap, 0.0)
    return heap[0] * x


def appends_to_a_deque(x):
    found = deque([1.0])
    for k in range(int(x[2])):
        found.append(k)
    return len(found) * x


def advances_an_iterator(x):
    numbers = iter([1.0, 2.0])
    if x[0] > 5:
        next(numbers)
    return next(numbers) * x


def runs_over_an_iterator(x):
    numbers = iter([1.0, 2.0])
    s = 0.0
    for _ in range(int(x[2])):
        for v in numbers:
            s += v
    return s


def rebinds_outside(x):
    count = 0.0

    def add(v):
        nonlocal count
        count += v

    if x[0] > 0:
        add(x[0])
    return count


def starts_as_none(x):
    best = None
    k = 0.0
    while k < x[2]:
        if best is None or k > best:
            best = k
        k += 1.0
    return best


def none_until_a_loop(x):
    best = None
    for v in x:
        if v > 0.0:
            best = v
    for v in x:
        if v > 1.0:
            best = v * v
    return best


def different_objects(x):
    mode = "up" if x[0] > 0 else "down"
    return x if mode == "up" else -x


def different_shapes(x):
    y = x if x[0] > 0 else x[:2]
    return y * 2.0


def value_or_none(x):
    if x[0] > 0:
        return x
    return None


def value_or_nothing(x):
    for v in x:
        if v > 1.0:
            return v


def writes_in_a_condition(x):
    y = x.copy()

    def more():
        y[0] += 1.0
        return y[0]

    while more() < 3.0:
        pass
    return y


def exchanges_with_another(x):
    u, v, w = x.copy(), x.copy(), x.copy()
    for i in range(int(x[2])):
        u[0] = v[1] = w[2] = x[i]
        u, v = v, w
    return u


def exchanges_other_dtypes(x):
    u, v = x.astype(np.float32), x * 2.0
    for _ in range(int(x[2])):
        u[0] = v[1]
        u, v = v, u
    return u


def exchanges_other_shapes(x):
    u, v = x[:2].copy(), x * 2.0
    for _ in range(int(x[2])):
        u[0] = v[1]
        u, v = v, u
    return u


def uses_an_exchanged_array(x):
    u, v = x.copy(), x * 2.0
    first = u
    for _ in range(int(x[2])):
        u[0] = v[1] = 1.0
        u, v = v, u
    return first


def slices_by_data(x):
    return np.median(x[: int(x[2])])


def slices_backwards_by_data(x):
    return x[int(x[2]) :: -1].sum()


def uses_a_slice_after_its_loop(x):
    for k in range(int(x[2])):
        part = x[int(x[k]) :]
    return part.sum()


def calculates_before_a_write(x):
    y = x.copy()
    doubled = 2 * y[int(x[2]) :]
    y[2] = 0.0
    return doubled.sum()


def calculates_before_a_loop_writes(x):
    y = x.copy()
    doubled = 2 * y[int(x[0]) :]
    s = 0.0
    for k in range(len(x)):
        s += doubled.sum()
        y[k] = 0.0
    return s


def shifts_by_data(x):
    y = x.copy()
    k = int(x[1])
    y[k:] = y[k - 1 : -1]
    return y


def updates_what_it_calculated(x):
    doubled = 2 * x[int(x[2]) :]
    same = doubled
    doubled += 1.0
    return same.sum()


def either_slice(x):
    part = x[: int(x[1])] if x[0] > 0 else x[int(x[1]) :]
    return part.sum()


def scatters_by_data(x):
    j = np.array([0, 1, 1])
    y = x.copy()
    y[j[: int(x[1])]] += 1.0
    return y


def catches_at_run_time(x):
    s = 0.0
    for k in range(int(x[2]) + 3):
        try:
            s += x[k]
        except IndexError:
            s += 1.0
    return s


def writes_a_carried_array(x):
    y = x
    for _ in range(int(x[2])):
        y[0] = 1.0
        y = y * 2.0
    return y


def reads_a_stale_alias(x):
    a, b = x.copy(), x * 2.0
    a[1] = b[1] = 0.0
    c = a if x[0] > 0 else b
    a[0] = 100.0
    return c


def writes_an_alias(x):
    y = x.copy()
    y.reshape(3, 1)[0, 0] = 1.0
    return y


def list_of_arrays_by_data(x):
    return [x, x * 2.0][int(x[2]) - 1]


def is_numpy_truth(x):
    return x[1] if (x[0] > 0.5) is True else x[0]


def is_number_or_truth(x):
    found = False
    if x[0] > 0:
        found = x[1]
    return 1.0 if found is False else found * 1.0


def array_condition(x):
    while x > 0:
        x = x - 1.0
    return x


REFUSED = [
    (listed_over_data, "for k in range(int(x[2]))", "length of a sequence"),
    (stepped_by_data, "range(0, 10, int(x[2]))", "step of a range"),
    (prints_in_a_branch, "print(x[0])", "print()"),
    (prints_in_a_loop, 'print("step")', "print()"),
    (appends_under_a_branch, "parts.append(x[0])", "changes a list"),
    (appends_as_often_as_data_says, "parts.append(k * x[0])", "changes a list"),
    (changes_an_object, "counter.total = x[0]", "changes a Counter"),
    (changes_an_object_by_name, 'setattr(counter, "total"', "changes a Counter"),
    (pushes_natively, "heapq.heappush(heap, 0.0)", "heappush() changes a list"),
    (appends_to_a_deque, "found.append(k)", "append() changes a deque"),
    (advances_an_iterator, "next(numbers)", "next() changes a list_iterator"),
    (runs_over_an_iterator, "for v in numbers:", "iterating changes a list_iterator"),
    (changes_a_dict, 'found["n"] += 1', "changes a dict"),
    (rebinds_outside, "count += v", "nonlocal variable 'count'"),
    (is_numpy_truth, "is True", "the object True or False"),
    (is_number_or_truth, "is False", "the object True or False"),
    (starts_as_none, "if best is None", "best is a different object"),
    (none_until_a_loop, "return best", "best is a different object"),
    (different_objects, 'mode = "up" if x[0] > 0', "the value is a different object"),
    (different_shapes, "x if x[0] > 0 else x[:2]", "has shape"),
    (value_or_none, "if x[0] > 0", "the returned value is a different object"),
    (value_or_nothing, "for v in x:", "a value on one path and None on another"),
    (writes_in_a_condition, "while more() < 3.0", "condition of a loop writes"),
    (exchanges_with_another, "for i in range", "exchanged in a loop"),
    (exchanges_other_dtypes, "for _ in range", "u: float32[x.shape[0]], v: float64"),
    (exchanges_other_shapes, "for _ in range", "of different dtypes or shapes"),
    (uses_an_exchanged_array, "return first", "that a loop exchanges"),
    (slices_by_data, "np.median(", "numpy.median of a slice needs its length"),
    (slices_backwards_by_data, ":: -1]", "length of a slice depends on"),
    (uses_a_slice_after_its_loop, "return part.sum", "in which it was made"),
    (calculates_before_a_write, "return doubled", "may have been written"),
    (calculates_before_a_loop_writes, "s += doubled", "may have been written"),
    (shifts_by_data, "y[k:] =", "an assignment from the same array"),
    (updates_what_it_calculated, "doubled += 1.0", "an update in place"),
    (either_slice, "part = ", "or slice of unknown length"),
    (scatters_by_data, "+= 1.0", "positions whose number"),
    (catches_at_run_time, "s += x[k]", "raised, and caught, is decided"),
    (writes_a_carried_array, "y[0] = 1.0", "another array from one iteration"),
    (reads_a_stale_alias, "return c", "read through one name after it was written"),
    (writes_an_alias, "y.reshape(3, 1)[0, 0] = 1.0", "through a reshaped view"),
    (list_of_arrays_by_data, "int(x[2]) - 1", "is indexed by a traced integer"),
    (array_condition, "while x > 0:", "depends on a traced value"),
    (joins_what_a_mask_selects, "np.concatenate((", "numpy.concatenate needs to know"),
    (writes_by_a_mask_of_columns, "out[:, x > 0] = 1.0", "along with slices before it"),
]


@pytest.mark.parametrize(
    ("function", "line", "why"), REFUSED, ids=[f.__name__ for f, _, _ in REFUSED]
)
def test_refused(function, line, why):
    with pytest.raises(TracingError) as caught:
        traced(function, X)
    text = str(caught.value)
    assert why in text
    assert (
        f"in {function.__name__}: " in text or "in more: " in text or "in add: " in text
    )
    assert line in text
    assert len(text.splitlines()) == 3  # what, where, what to do


def containers_of_a_branch(x):
    s = 0.0
    for v in x:
        if v > 0:
            parts = deque([v, 2.0])
            parts.append(v * v)
            numbers = iter(parts)
            s += next(numbers) * sum(numbers)
            s += max(a * b for a, b in zip(parts, sorted([3.0, 1.0]), strict=False))
    return s


def test_what_a_branch_makes_it_may_change():
    assert run(containers_of_a_branch, X) == containers_of_a_branch(X)


def test_what_is_raised_at_run_time():
    def beyond(x, k):
        return x[k[0]]

    with pytest.raises(IndexError, match="out of bounds"):
        run(beyond, X, np.array([3]))

    def ragged(x, k):
        s = 0.0
        for i in range(k[0]):
            s += x[i : i + 2].sum()
        return s

    assert run(ragged, X, np.array([2])) == ragged(X, [2])
    with pytest.raises(NotImplementedError, match="runs past the end"):
        run(ragged, X, np.array([3]))


def test_messages_are_the_programs_own():
    class Refused(ValueError):
        pass

    def f(x):
        if x[0] < 0:
            raise Refused("negative start")
        return x

    with pytest.raises(ValueError, match="negative start"):
        run(f, -X)
    assert np.array_equal(run(f, X), X)


def test_a_loop_without_source_is_not_unrolled_without_end():
    scope = {}
    text = (
        "def f(x):\n    s = 0.0\n    for i in range(x.shape[0]):\n        s += x[i]\n"
    )
    exec(text + "    return s\n", scope)
    slope = grad(scope["f"], mode="compiled")
    np.testing.assert_array_equal(slope(np.ones(3)), np.ones(3))
    with pytest.raises(ControlFlowError, match=r"source of f .* 5000 steps"):
        slope(np.ones(5000))
