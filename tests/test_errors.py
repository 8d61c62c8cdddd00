"""Every error says what happened, at which of the user's lines, and what to do."""

import heapq
import math
import re
from collections import deque
from functools import partial

import numba
import numpy as np
import pytest

import tracegrad
from tracegrad import hvp, jacobian, jvp, vjp
from tracegrad.errors import (
    ArgumentError,
    ControlFlowError,
    DifferentiationError,
    DTypeError,
    ShapeError,
    TracegradError,
    TracingError,
)

# What can't be traced is an error here, not a reason to run on the tape.
grad = partial(tracegrad.grad, mode="compiled")
value_and_grad = partial(tracegrad.value_and_grad, mode="compiled")
jit = partial(tracegrad.jit, mode="compiled")

X = np.array([1.0, 2.0, 3.0])
WEIGHTS = np.ones(3)
STATE = {"count": 0, "log": []}
COUNT = 0
QUEUE = deque([1.0])
NUMBERS = iter([1.0, 2.0])
BYTES = np.zeros(3, np.uint64)


def message(kind, function, *args, **kwargs):
    """The text of the error that a call raises; it is located by its second line."""
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def located(text, function, line):
    """Whether the second line of a message names a line of this file."""
    pattern = rf"\n  at test_errors\.py:\d+ in {re.escape(function)}: {re.escape(line)}"
    return re.search(pattern, text) is not None


# --- what is differentiated --------------------------------------------------------


def test_non_scalar_output():
    def doubled(x):
        y = 2.0 * x
        return y

    text = message(DifferentiationError, grad(doubled), X)
    assert "doubled returned an array of shape (x.shape[0],)" in text
    assert located(text, "doubled", "return y")
    assert "use jacobian or vjp" in text


def test_output_that_is_a_pair():
    text = message(DifferentiationError, grad(lambda x: (x[0], x)), X)
    assert "returned a tuple" in text
    assert "has_aux=True" in text


def test_auxiliary_result_that_is_missing():
    text = message(DifferentiationError, grad(lambda x: x[0], has_aux=True), X)
    assert "didn't return a pair" in text


def test_integer_output():
    text = message(DifferentiationError, grad(lambda x: np.argmax(x)), X)
    assert "needs a floating-point number" in text
    assert "int64" in text


def test_no_output():
    text = message(DifferentiationError, grad(lambda x: None), X)
    assert "returned a None" in text


def test_jacobian_of_integers():
    text = message(DifferentiationError, jacobian(lambda x: x > 0), X)
    assert "jacobian needs floating-point results" in text


@pytest.mark.parametrize(
    ("value", "dtype", "advice"),
    [
        (3, "int64", "float(x)"),
        (np.arange(3), "int64", "x.astype(float)"),
        (np.arange(3, dtype=np.int32), "int32", "x.astype(float)"),
        (np.int64(3), "int64", "float(x)"),
        (np.array([True]), "bool", "x.astype(float)"),
    ],
)
def test_integer_argument(value, dtype, advice):
    text = message(DTypeError, grad(lambda x: np.sum(x * 2.0)), value)
    assert f"argument x is differentiated, but its dtype is {dtype}" in text
    assert advice in text


def test_bool_argument_has_no_gradient():
    assert message(DTypeError, grad(lambda x: 2.0 * x), True).startswith("argument x")


def test_argument_without_numbers():
    text = message(DTypeError, grad(lambda name, x: x), "a", 1.0)
    assert "argument name is differentiated, but is a str" in text
    assert "argnums" in text


def test_integers_of_more_than_64_bits():
    assert "more than 64 bits" in message(DTypeError, jit(lambda n: n), 2**64)


def test_vjp_of_comparisons():
    _, pull = vjp(lambda x: x > 0, X)
    assert "vjp needs a floating-point result" in message(DifferentiationError, pull, X)


def test_integer_inside_a_nested_argument():
    text = message(DTypeError, grad(lambda p: p["w"] * p["n"]), {"w": 1.0, "n": 2})
    assert "argument p_n" in text


@pytest.mark.parametrize("dtype", [np.complex128, np.float16, np.uint64, object])
def test_unsupported_dtype(dtype):
    text = message(DTypeError, grad(lambda x: np.sum(x)), np.ones(3, dtype))
    assert f"x has dtype {np.dtype(dtype).name}, which is not supported" in text
    assert "Use float64" in text


def test_complex_number():
    assert "complex128" in message(DTypeError, grad(lambda x: x), 1j)


def test_unsupported_dtype_of_a_global_array():
    def f(x):
        return np.sum(x * BYTES)

    text = message(DTypeError, grad(f), X)
    assert "BYTES has dtype uint64" in text
    assert located(text, "f", "return np.sum(x * BYTES)")


# --- arguments ---------------------------------------------------------------------


def test_unknown_argnums():
    text = message(ArgumentError, grad(lambda x: x, argnums=2), 1.0)
    assert "argnums=2, but <lambda> was called with 1 argument." in text


def test_unknown_argnames():
    def loss(x, k):
        return k * x

    text = message(ArgumentError, grad(loss, argnames="z"), 1.0, 2.0)
    assert "argnames='z', but loss has no such argument" in text
    assert "x, k" in text


@pytest.mark.parametrize("argnums", ["x", 1.5, (0, "x")])
def test_argnums_that_are_no_integers(argnums):
    assert "argnums" in message(ArgumentError, grad, lambda x: x, argnums=argnums)


def test_calls_that_do_not_fit_the_signature():
    def loss(x, k):
        return k * x

    assert "missing" in message(TypeError, grad(loss), 1.0)
    assert "missing" in message(TypeError, jit(loss))


def test_transforming_what_is_no_function():
    assert "takes a function, not a float" in message(ArgumentError, grad, 3.0)


def test_unknown_mode():
    text = message(ArgumentError, grad, lambda x: x, mode="fast")
    assert "mode='fast' is not a mode" in text


def test_containers_that_are_no_arrays():
    class Series:
        def __array__(self, *args, **kwargs):
            return X

    text = message(ArgumentError, grad(lambda x: np.sum(x)), Series())
    assert "argument x is a Series, not a NumPy array" in text
    masked = np.ma.masked_array(X)
    assert "MaskedArray" in message(ArgumentError, grad(lambda x: np.sum(x)), masked)


def test_tangents_and_cotangents_that_do_not_fit():
    text = message(ShapeError, jvp, lambda x: x * 2.0, (X,), (np.ones(2),))
    assert "the tangent of x has shape (x_dot.shape[0],), x has shape" in text
    _, pull = vjp(lambda x: x * 2.0, X)
    assert "cotangent" in message(ShapeError, pull, np.ones(4))
    assert "cotangent's structure" in message(ArgumentError, pull, (X, X))
    assert "tangents' structure" in message(
        ArgumentError, jvp, lambda x: x, (X,), (X, X)
    )


def test_out_that_does_not_fit():
    f = grad(lambda x: np.sum(x**2))
    assert "is float64[2]" in message(ArgumentError, f, X, out=np.empty(2))
    assert "float32" in message(ArgumentError, f, X, out=np.empty(3, np.float32))
    assert "doesn't fit the gradient" in message(ArgumentError, f, X, out=[0.0] * 3)
    assert "overlaps an argument" in message(ArgumentError, f, X, out=X)
    assert "contiguous" in message(ArgumentError, f, X, out=np.empty(6)[::2])


def test_looking_at_what_is_not_compiled():
    text = message(ArgumentError, lambda: grad(lambda x: x).source)
    assert "has not been compiled yet" in text
    assert ".compile(" in text


def test_wrong_signature_text():
    text = message(ArgumentError, grad(lambda x: x).compile, "float65[:]")
    assert "'float65[:]' is not a signature" in text


# --- shapes ------------------------------------------------------------------------


def test_broadcast_mismatch_names_both_operands():
    def total(a, b):
        joined = a + b
        return np.sum(joined)

    text = message(ShapeError, grad(total), np.ones(3), np.ones(4))
    assert "(a.shape[0],)" in text
    assert "(b.shape[0],)" in text
    assert located(text, "total", "joined = a + b")


def test_matmul_mismatch_names_both_operands():
    def predict(X, w):
        return np.sum(X @ w)

    text = message(ShapeError, grad(predict), np.ones((3, 2)), np.ones(3))
    assert "X.shape" in text
    assert "w.shape" in text
    assert located(text, "predict", "return np.sum(X @ w)")


@pytest.mark.parametrize("mode", ["compiled", "tape"])
def test_iterators_that_are_too_short(mode):
    with pytest.raises(ValueError, match="too short"):
        tracegrad.grad(lambda x: np.fromiter((v for v in x), float, 9)[0], mode=mode)(X)


def test_items_of_arrays_that_are_not_one_number():
    with pytest.raises(ValueError, match="array of size 1") as caught:
        grad(lambda x: x.item())(X)
    assert "test_errors.py" in caught.value.__notes__[0]
    with pytest.raises(ControlFlowError, match="5000 steps would be unrolled"):
        grad(lambda x: x.tolist()[0])(np.ones(5000))


def test_shape_errors_are_value_errors_as_in_numpy():
    with pytest.raises(ValueError, match="shape"):
        grad(lambda a, b: np.sum(a + b))(np.ones(3), np.ones(4))


# --- control flow ------------------------------------------------------------------


def branch(x):
    if x > 0.0:
        return x
    return -x


def loop(x):
    while x > 1.0:
        x = x / 2.0
    return x


def choice(x):
    return x if x > 0.0 else -x


def conjunction(x):
    return x * (x > 0.0 and x < 1.0)


def negation(x):
    return x * (not x)


def assertion(x):
    assert x > 0.0
    return x


def counted(x):
    return [x * k for k in range(int(x))][-1]


@pytest.mark.parametrize(
    ("program", "construct", "line"),
    [
        (branch, "the branch", "if x > 0.0:"),
        (loop, "the loop", "while x > 1.0:"),
        (choice, "a conditional expression", "return x if x > 0.0 else -x"),
        (conjunction, "'and'", "return x * (x > 0.0 and x < 1.0)"),
        (negation, "'not'", "return x * (not x)"),
        (assertion, "an assertion", "assert x > 0.0"),
    ],
)
def test_control_flow_on_arrays(program, construct, line):
    text = message(ControlFlowError, grad(program), X)
    assert f"{construct} depends on a traced value" in text
    assert located(text, program.__name__, line)
    assert "np.where" in text


def test_a_list_whose_length_is_data():
    text = message(ControlFlowError, grad(counted), 2.0)
    assert located(text, "counted", "return [x * k for k in range(int(x))][-1]")


def test_long_loops_are_not_unrolled():
    def collected(x):
        parts = []
        for value in x:
            parts.append(value * 2.0)
        return sum(parts)

    text = message(TracingError, grad(collected), np.ones(5000))
    assert ".append() changes a list in a branch or loop" in text
    assert located(text, "collected", "parts.append(value * 2.0)")


# --- what can't be traced ----------------------------------------------------------


def writes_what_is_outside(x):
    WEIGHTS[0] = 1.0
    return np.sum(x * WEIGHTS)


def writes_through_a_reshaped_view(x):
    y = x * 2.0
    y.reshape(-1, 1)[0] = 1.0
    return np.sum(y)


def writes_what_a_branch_chose(x):
    y = x * 2.0 if x[0] > 0 else x
    y[0] = 1.0
    return np.sum(y)


def writes_to_a_number(x):
    y = x[0] * 2.0
    y[0] = 1.0
    return y


def reshapes_in_place(x):
    y = x * 2.0
    y.shape = (3, 1)
    return y[0, 0]


def test_numbers_have_no_items_and_arrays_keep_their_shape():
    text = message(TracingError, grad(writes_to_a_number), X)
    assert "the array that is written in place is a number" in text
    assert located(text, "writes_to_a_number", "y[0] = 1.0")
    text = message(TracingError, grad(reshapes_in_place), X)
    assert "the attribute .shape of an array is assigned" in text
    assert located(text, "reshapes_in_place", "y.shape = (3, 1)")


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (writes_what_is_outside, "WEIGHTS[0] = 1.0"),
        (writes_through_a_reshaped_view, "y.reshape(-1, 1)[0] = 1.0"),
        (writes_what_a_branch_chose, "y[0] = 1.0"),
    ],
)
def test_arrays_that_must_not_be_written(program, line):
    text = message(TracingError, grad(program), X)
    assert "written" in text
    assert located(text, program.__name__, line)


def counts(x):
    STATE["count"] += 1
    return x


def logs(x):
    STATE["log"].append(x)
    return x


def queues(x):
    QUEUE.append(x)
    return x


def pushes(x):
    heapq.heappush(STATE["log"], x)
    return x


def draws_the_next(x):
    return x * next(NUMBERS)


def sets_a_global(x):
    global COUNT
    COUNT = COUNT + 1
    return x


def defines_a_class(x):
    class Inner:
        pass

    return x


def matches(x):
    match (x, 3):
        case (_, 3):
            return x


def generates(x):
    def values():
        yield x

    return sum(values())


def evaluates(x):
    return eval("x * 2.0")


def draws(x):
    return x * np.random.default_rng(0).normal()


def prints(x):
    print("x is", x)
    return x


def sorts(x):
    return sorted([x, 2.0 * x])[0]


@pytest.mark.parametrize(
    ("program", "what", "line"),
    [
        (counts, "from outside", 'STATE["count"] += 1'),
        (logs, "from outside", 'STATE["log"].append(x)'),
        (queues, "from outside", "QUEUE.append(x)"),
        (pushes, "from outside", 'heapq.heappush(STATE["log"], x)'),
        (draws_the_next, "from outside", "return x * next(NUMBERS)"),
        (sets_a_global, "global variable 'COUNT'", "COUNT = COUNT + 1"),
        (defines_a_class, "a class definition", "class Inner:"),
        (matches, "a match statement", "match (x, 3):"),
        (generates, "generator", "return sum(values())"),
        (evaluates, "eval", 'return eval("x * 2.0")'),
        (draws, "random numbers", "return x * np.random.default_rng(0).normal()"),
        (prints, "print()", 'print("x is", x)'),
        (sorts, "sorted()", "return sorted([x, 2.0 * x])[0]"),
    ],
)
def test_unsupported_constructs(program, what, line):
    text = message(TracingError, grad(program), 2.0)
    assert what in text
    assert located(text, program.__name__, line)


def test_values_that_leave_a_differentiated_function():
    def f(x):
        seen = []

        def inner(y):
            doubled = 2.0 * y
            seen.append(doubled)
            return doubled**2

        return grad(inner)(x) + seen[0]

    text = message(TracingError, jit(f), 3.0)
    assert "doubled was computed inside a function that is differentiated" in text
    assert located(text, "f", "return grad(inner)(x) + seen[0]")
    assert "has_aux=True" in text


def test_refused_programs_left_no_trace():
    assert STATE == {"count": 0, "log": []}
    assert COUNT == 0
    assert list(QUEUE) == [1.0]


def test_numpy_function_without_a_rule():
    def f(x):
        return np.sum(np.fft.fft(x).real)

    text = message(TracingError, grad(f), X)
    assert "fft" in text
    assert located(text, "f", "return np.sum(np.fft.fft(x).real)")


def test_scipy_function_without_a_rule():
    import scipy.signal

    def f(x):
        return np.sum(scipy.signal.hilbert(x))

    text = message(TracegradError, grad(f), X)
    assert "hilbert" in text


def test_array_attribute_that_is_not_supported():
    text = message(TracingError, grad(lambda x: x.strides[0] * x[0]), X)
    assert "'strides' is not supported" in text
    text = message(TracingError, grad(lambda x: getattr(x, "strides", (8,))[0]), X)
    assert "'strides' is not supported" in text
    assert "test_errors.py" in text


def test_errors_in_callees_name_the_callees_line():
    def helper(y):
        z = y + 1.0
        return z @ np.ones((7, 2, 9))[0]

    text = message(TracegradError, grad(lambda x: np.sum(helper(x))), X)
    assert located(text, "helper", "return z @ np.ones((7, 2, 9))[0]")


def test_the_users_own_exceptions_come_through():
    class Refused(Exception):
        pass

    def f(x):
        if x.shape[0] > 2:
            raise Refused("too long")
        return np.sum(x)

    with pytest.raises(Refused, match="too long") as caught:
        grad(f)(X)
    assert 'in f: raise Refused("too long")' in caught.value.__notes__[0]
    assert grad(f)(X[:2]).tolist() == [1.0, 1.0]


def test_pythons_own_errors_name_the_line():
    def f(x):
        return x + "one"

    with pytest.raises(TypeError, match="unsupported operand") as caught:
        grad(f)(X)
    assert 'in f: return x + "one"' in str(caught.value)

    def g(x):
        return x * int("one")

    with pytest.raises(ValueError, match="invalid literal") as caught:
        grad(g)(X)
    assert 'in g: return x * int("one")' in caught.value.__notes__[0]


def test_a_failed_call_leaves_no_trace_in_progress():
    with pytest.raises(ControlFlowError):
        grad(branch)(X)
    assert grad(lambda x: x * x)(3.0) == 6.0


def test_every_transformation_names_the_argument():
    for transformation in (grad, value_and_grad, jacobian):
        with pytest.raises(DTypeError, match="argument x"):
            transformation(lambda x: 2.0 * x)(1)
    with pytest.raises(DTypeError, match="argument x"):
        hvp(lambda x: 2.0 * x)(1, 1.0)


# --- in classes of the user's ------------------------------------------------------


class Spectrum:
    def __init__(self, values):
        self.values = values

    def __matmul__(self, other):
        return np.sum(np.fft.fft(self.values) * other.values)

    def __abs__(self):
        return np.unique(self.values)

    def __lt__(self, other):
        return NotImplemented

    def __sub__(self, other):
        return NotImplemented

    def __setitem__(self, k, value):
        STATE["log"] = [k, value]


def multiplies(x):
    return Spectrum(x) @ Spectrum(x)


def measures(x):
    return abs(Spectrum(x))


def assigns(x):
    Spectrum(x)[0] = x[1]
    return x[0]


@pytest.mark.parametrize(
    ("program", "method", "line"),
    [
        (multiplies, "__matmul__", "return np.sum(np.fft.fft(self.values)"),
        (measures, "__abs__", "return np.unique(self.values)"),
        (assigns, "__setitem__", 'STATE["log"] = [k, value]'),
    ],
)
def test_errors_in_special_methods_name_their_line(program, method, line):
    assert located(message(TracingError, grad(program), X), method, line)


@pytest.mark.parametrize(
    "program", [lambda x: Spectrum(x) - 1.0, lambda x: Spectrum(x) < Spectrum(x)]
)
def test_operators_that_a_class_has_not_raise_as_in_python(program):
    with pytest.raises(TypeError) as expected:
        program(X)
    assert message(TypeError, grad(program), X) == str(expected.value)


# --- what Python says of stand-ins -------------------------------------------------


def halved(x):
    return x if x < 1.0 else halved(x / 2.0)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x + "a", "a traced value and 'str'"),
        (lambda x: {x[0]: 1}, "unhashable"),
        (lambda x: x.sum() + float(f"{x[0]:.2f}"), "convert string"),
        (lambda x: x.real_part, "no attribute 'real_part'"),
        (lambda x: np.abs(x * 1j), "complex numbers"),
        (lambda x: halved(x[0]), "recursion"),
        (lambda x: {1: 2}[x.astype(int)[0]], "dict"),
        (lambda x: x[0] in "abc", "'in'"),
        (lambda x: complex(x[0], x[1]).real, "complex numbers"),
        (lambda x: max((x[0], 1), (x[1], 2))[0], "max() needs to know"),
        (lambda x: max([x], key=np.sum)[0], "max() with a traced key"),
        (lambda x: math.nextafter(x[0], 2.0) or x[0], "math.nextafter has no"),
        (lambda x: math.fsum(v for v in x), "Use sum()"),
        (lambda x: math.fsum(x), "Use sum()"),
        (lambda x: [1.0, 2.0].index(x[0]), "index() needs to know"),
        (lambda x: numba.typed.List([x[0], x[1]])[0], "typed list"),
    ],
)
def test_what_python_says_of_stand_ins_is_refused_at_its_line(function, reason):
    text = message(TracingError, jit(function), np.ones(3))
    assert reason in text
    assert "test_errors.py" in text
    assert "Tracer" not in text


def test_arguments_of_unknown_dtypes_name_the_function():
    def loss(z):
        return z

    text = message(DTypeError, jit(loss), np.ones(2, complex))
    assert "in loss: def loss(z):" in text


def test_a_defect_of_ours_is_called_one(monkeypatch):
    def loss(x):
        return x * x

    monkeypatch.setattr("tracegrad.lower.lower.tidy", lambda *args: None)
    with pytest.raises(TracegradError, match=r"defect") as caught:
        jit(loss)(1.0)
    assert isinstance(caught.value.__cause__, TypeError)
    assert "in loss: def loss(x):" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x[x > 0], "returns what a mask selects"),
        (lambda x: np.sort(x[x > 0])[0], "numpy.sort"),
        (lambda x: x[x > 0][1:].sum(), "an index"),
        (lambda x: np.sum(x[x > 0] * x[x < 0]), "another mask"),
        (lambda x: np.sum(x[x > 0] * x), "another length"),
        (lambda x: sum(v for v in x[x > 0]), "a loop"),
        (lambda x: x[x > 0].cumsum()[0], "'cumsum'"),
        (lambda x: np.where(x > 0, x[x > 0], x), "another length"),
    ],
)
def test_uses_of_masks_that_need_a_length(function, reason):
    text = message(TracingError, jit(function), np.ones(3))
    assert reason in text
    assert "test_errors.py" in text


def test_a_mask_is_assigned_what_the_same_mask_selects():
    def f(x):
        y = x.copy()
        y[y > 0] = x[x < 1]
        return y

    assert "another mask" in message(TracingError, jit(f), np.ones(3))

    def g(x):
        y = x.copy()
        y[y > 0] = 2.0 * x
        return y

    assert "one element per selected" in message(TracingError, jit(g), np.ones(3))


@pytest.mark.parametrize(
    "wraps",
    [
        lambda image, x: np.sum(x * (image + image)),
        lambda image, x: np.sum(x * (image * 2)),
        lambda image, x: np.sum(x * -image),
        lambda image, x: np.sum(x * np.sqrt(image)),
    ],
)
def test_narrow_integers_are_not_calculated_with(wraps):
    image = np.arange(3, dtype=np.uint8)
    text = message(DTypeError, grad(wraps, argnums=1), image, np.ones(3))
    assert "NumPy would calculate in uint8 here" in text
    assert "astype(np.int64)" in text


def test_an_error_on_the_tape_says_why_the_function_ran_there():
    def generated(x):
        for k in range(3):
            yield k * x

    def fails(x):
        if len(list(generated(x))) == 3:
            raise ValueError("the function's own")
        return x

    with pytest.raises(ValueError, match="the function's own") as caught:
        tracegrad.grad(fails)(2.0)
    (note,) = caught.value.__notes__
    assert "as it can't be compiled" in note
    assert "generated is a generator" in note


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: np.divmod(x, 2.0, x.copy(), x.copy()), "several outputs"),
        (lambda x: np.nan_to_num(x, False), "copy=False"),
    ],
)
def test_writing_to_arguments_of_functions(function, reason):
    text = message(TracingError, jit(function), np.ones(3))
    assert reason in text
    assert "test_errors.py" in text
