"""Branches on values that are only known at run time."""

import math
from enum import Enum

import numpy as np

from tests.programs.record import count, positive, program, rate, scalar, vector


@program(scalar)
def relu(x):
    if x > 0:
        return x
    return 0.0


@program(vector)
def soft_threshold(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] > 0.5:
            s += x[i] - 0.5
        elif x[i] < -0.5:
            s += x[i] + 0.5
        else:
            s *= 0.5
    return s


@program(scalar)
def bound_in_one_arm(x):
    """Python raises where the other arm was taken."""
    if x > 0:
        y = x * x
    return y


@program(scalar)
def bound_in_both(x):
    if x > 0:
        y = np.log(x)
    else:
        y = np.exp(x)
    return y * x


@program(scalar)
def nothing_new(x):
    y = 1.0
    if x > 0:
        pass
    return x * y


@program(scalar, scalar)
def conditional_expressions(a, b):
    c = a if a > b else b
    d = np.sqrt(a) if a > 0 else b
    e = a * b if a * b > 0 else a - b if a > 1 else 0.0
    return c + d + e


@program(vector, sizes=(0, 1, 2, 5))
def short_circuit(x):
    s = 0.0
    for i in range(len(x)):
        if i > 0 and x[i - 1] > 0:
            s += x[i]
        if i == 0 or x[i - 1] < 0:
            s -= x[i] * 2
        if not (x[i] > 0):
            s *= 1.5
    return s


@program(scalar, scalar)
def chained(a, b):
    if -1 < a < b < 2:
        return a * b
    return a - b


@program(vector)
def chained_load(x):
    """The last link reads an element only if the first one holds."""
    s = 0.0
    for i in range(len(x) + 2):
        if 0 <= i < len(x):
            s += x[i]
    return s


@program(scalar)
def value_of_or(a):
    b = int(a) or 2
    return a * b


@program(scalar)
def value_of_and(a):
    flag = a > 0 and a < 1
    return a * flag + (3.0 if flag else 4.0)


@program(vector)
def arrays_from_branches(x):
    if x.sum() > 0:
        y = x * 2.0
    else:
        y = x - 1.0
    return y * x


@program(vector)
def array_kept(x):
    y = x * 3.0
    if x.sum() > 0:
        y = np.sin(y)
    return y.sum()


@program(rate)
def raises_sometimes(x):
    if x > 1.5:
        raise ValueError("too large")
    return x * x


@program(scalar)
def asserts(x):
    assert x > -0.5, "x is too small"
    return np.log(x + 0.6)


@program(vector)
def raises_in_a_loop(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] < -1.5:
            raise ArithmeticError("underflow")
        s += x[i]
    return s


@program(scalar)
def three_returns(x):
    if x < -1:
        return -1.0
    if x > 1:
        return 1.0
    return x


@program(scalar, scalar)
def nested(a, b):
    if a > 0:
        if b > 0:
            r = a * b
        else:
            r = a
    else:
        if b > 0:
            r = b
        else:
            return -1.0
    return r * 2


@program(scalar)
def integer_and_float(a):
    k = 1
    if a > 0:
        k = 2.5
    return a * k


@program(scalar)
def static_in_both(a):
    if a > 0:
        n = 3
    else:
        n = 3
    return a * np.ones(n).sum()


@program(vector)
def counts(x):
    inside = 0
    for i in range(len(x)):
        if abs(x[i]) < 1:
            inside += 1
    return inside * x.sum()


@program(positive, count)
def early_out(x, n):
    """A branch on a size is a guard, and no branch."""
    if n < 2:
        return 0.0
    return x[0] * x[1]


@program(vector)
def maximum_by_hand(x):
    best, at = -1e300, 0
    for i in range(len(x)):
        if x[i] > best:
            best, at = x[i], i
    return best * at


@program(scalar)
def walrus(a):
    if (b := a * a) > 0.5:
        return b
    return b + 1.0


@program(vector)
def function_made_in_a_branch(x):
    s = 0.0
    for v in x:
        if v > 0.0:

            def scaled(y, v=v):
                return y * v

            s += scaled(s + 1.0)
    return s


class Rule(Enum):
    FORWARD = 0
    MIDPOINT = 1


def slope(rule, v, h):
    match rule:
        case Rule.FORWARD | "forward":
            return math.sin(v)
        case Rule.MIDPOINT:
            return math.sin(v + 0.5 * h * math.sin(v))
        case None:
            return 0.0
        case float() | int() as scale if scale > 1:
            return scale * v
        case other:
            raise ValueError(other)


@program(vector)
def matched_options(x):
    s = 0.0
    for v in x:
        for rule in (*Rule, "forward", None, 3.0):
            s += slope(rule, v, 0.1)
    return s


@program(vector, count)
def matched_numbers(x, n):
    s = 0.0
    for i in range(n + 2):
        for v in x:
            match i % 3:
                case 0:
                    if v > 1.0:
                        break
                    s += v
                case 1 | 2 as k if v > 0.0:
                    s += k * v * v
                case _:
                    s -= v
    return s


@program(vector)
def truths_by_identity(x):
    total = 0.0
    for i in range(x.shape[0]):
        highest = True
        for j in range(x.shape[0]):
            if j != i and x[i] <= x[j]:
                highest = False
                break
        if highest is False:
            total += 0.5 * x[i] ** 2
        elif highest is not None:
            total += x[i] ** 3
    return total
