"""Texts of traced values: they say something, and decide nothing."""

# ruff: noqa: F504, F505, F507, F524, SIM300, UP031, UP032

import logging
import pickle
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pytest

from tests.traces.running import agree, run, traced
from tracegrad import grad, jit, value_and_grad
from tracegrad.errors import (
    ControlFlowError,
    DifferentiationError,
    TapeWarning,
    TracingError,
)

TABLE = {"w": np.array([1.0, 2.0])}


@dataclass
class Point:
    x: float
    name: str = "p"


class Named:
    def __init__(self, x):
        self.x = x

    def __repr__(self):
        return f"Named({self.x:.2f})"


class Formatted(Named):
    def __format__(self, spec):
        return "%s with %s" % (self.x, spec)


class StepError(ValueError):
    def __init__(self, k, x):
        super().__init__(f"step {k}: {x:.2f}")
        self.x = x


def caught(x):
    try:
        raise StepError(3, x)
    except StepError as error:
        return str(error)


def listed(x):
    found = defaultdict(float)
    found[f"{x:.0f}"] += 3.0
    return found


def matched(x):
    match f"{x:.0f}":
        case "2":
            return 3.0
    return 1.0


def ordered(points):
    points.sort(key=lambda p: f"{p.x:.1f} m")
    return points[0].x


# Each gives a factor that depends on the text of x, and is constant around 2.0.
DECIDING = {
    "compared": lambda x: 3.0 if f"{x:.1f}" == "2.0" else 1.0,
    "compared from the right": lambda x: 3.0 if "2.0" == str(x) else 1.0,
    "unequal": lambda x: 3.0 if f"x: {x:.1f}" != "x: 2.0" else 1.0,
    "less": lambda x: 3.0 if f"{x:.1f}" < "3" else 1.0,
    "contained": lambda x: 3.0 if "-" in str(x) else 1.0,
    "containing": lambda x: 3.0 if f"{x:.0f}" in "123" else 1.0,
    "among": lambda x: 3.0 if f"{x:.0f}" in ("1", "2") else 1.0,
    "repr": lambda x: 3.0 if repr(x) == "2.0" else 1.0,
    "ascii": lambda x: float(len(ascii(x))),
    "length": lambda x: float(len(f"{x:.3f}")),
    "parsed": lambda x: float(f"{x:.3f}"),
    "whole": lambda x: float(int(str(x)[0])),
    "sliced": lambda x: 3.0 if f"{x:.2f}"[:2] == "2." else 1.0,
    "iterated": lambda x: float(sum(1 for c in f"{x:.2f}")),
    "unpacked": lambda x: float(len([*f"{x:.1f}"])),
    "begins": lambda x: 3.0 if str(x).startswith("-") else 1.0,
    "begins another": lambda x: 3.0 if "2.00".startswith(f"{x:.1f}") else 1.0,
    "split": lambda x: float(f"{x:.2f}".split(".")[0]),
    "looked up": lambda x: {"2.0": 3.0}.get(f"{x:.1f}", 1.0),
    "item": lambda x: {"2.0": 3.0}[f"{x:.1f}"],
    "key": lambda x: listed(x)["2"],
    "counted": lambda x: float(Counter([f"{x:.0f}"])["2"]),
    "in a set": lambda x: float(len({f"{x:.1f}", "2.0"})),
    "matched": matched,
    "percent": lambda x: 3.0 if "%.1f" % x == "2.0" else 1.0,
    "percent of several": lambda x: 3.0 if "%d: %.1f" % (3, x) == "3: 2.0" else 1.0,
    "percent of names": lambda x: 3.0 if "%(x)g" % {"x": x} == "2" else 1.0,
    "format": lambda x: 3.0 if format(x, ".1f") == "2.0" else 1.0,
    "template": lambda x: 3.0 if "{:.1f}".format(x) == "2.0" else 1.0,
    "template of parts": lambda x: float(len("{0[0]}{p.x}".format([x], p=Point(x)))),
    "template of a mapping": lambda x: float(len("{x}".format_map({"x": x}))),
    "specification": lambda x: float(len(f"{1.5:{x:.0f}}")),
    "joined": lambda x: 3.0 if ",".join([f"{x:.1f}", "a"]) == "2.0,a" else 1.0,
    "joined by the class": lambda x: float(len(str.join(",", map(str, [x, "a"])))),
    "added": lambda x: 3.0 if "x=" + str(x) == "x=2.0" else 1.0,
    "repeated": lambda x: float(len(2 * f"{x:.1f}")),
    "padded": lambda x: 3.0 if f"{x:.1f}".rjust(5) == "  2.0" else 1.0,
    "upper": lambda x: 3.0 if str.upper(f"{x:.1e}") == "2.0E+00" else 1.0,
    "method": lambda x: 3.0 if x.__format__(".1f") == "2.0" else 1.0,
    "list": lambda x: 3.0 if f"{[x * 0 + 1]}" == "[1.0]" else 1.0,
    "outside": lambda x: 0.0 * x + len(str(TABLE)),
    "dataclass": lambda x: 3.0 if str(Point(x)) == "Point(x=2.0, name='p')" else 1.0,
    "class": lambda x: 3.0 if str(Named(x)) == "Named(2.00)" else 1.0,
    "class with a format": lambda x: float(len(f"{Formatted(x):a}")),
    "error": lambda x: 3.0 if "2.00" in caught(x) else 1.0,
    "sorted": lambda x: ordered([Point(3.0), Point(x)]) * 0.0 + 1.0,
    "array": lambda x: 3.0 if np.array2string(x * np.ones(2)) == "[2. 2.]" else 1.0,
    "positional": lambda x: float(len(np.format_float_positional(x))),
}


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_is_refused_and_right_on_the_tape(name):
    factor = DECIDING[name]

    def scaled(x):
        return x * x * factor(x)

    with pytest.raises(ControlFlowError, match="text of a traced value") as caught:
        grad(scaled, mode="compiled")(2.0)
    assert __file__.endswith(caught.value.where.file.rsplit("/", 1)[-1])
    gradient = value_and_grad(scaled)
    with pytest.warns(TapeWarning, match="text of a traced value") as warned:
        value, slope = gradient(2.0)
    assert len(warned) == 1
    assert value == scaled(2.0)
    assert slope == 4.0 * factor(2.0)


def test_all_digits_of_a_number_are_the_number():
    for spell in (str, repr, format, lambda x: f"{x}"):
        with pytest.raises((DifferentiationError, TracingError)):
            grad(lambda x, spell=spell: x * float(spell(x)))(2.0)


def test_what_is_returned_has_no_stand_in():
    with pytest.warns(TapeWarning, match="text of a traced value"):
        (_, aux), _ = value_and_grad(lambda x: (x * x, f"at {x}"), has_aux=True)(2.0)
    assert aux == "at 2.0"


# --- what texts are for ------------------------------------------------------------


def checked(x, k):
    total = 0.0
    for i in range(len(x)):
        if x[i] > 3.0:
            raise ValueError("%s is %6.2f (%d%%)" % ("x", x[i], k))
        assert x[i] > -3.0, f"x is {x[i]:.2f}, {Named(x)!r:>9}, {x.shape}, {k}"
        total += x[i] ** 2
    if total > 100.0:
        raise StepError(k, total)
    message = "total {:.2f} of {}, ".format(total, [x, k]) + str(total)
    warnings.warn(message, UserWarning, stacklevel=2)
    logging.getLogger("tests").debug(message)
    return total if message else 0.0


@pytest.mark.filterwarnings("ignore:total")
def test_texts_of_exceptions_and_warnings():
    gradient = grad(checked, mode="compiled")
    x = np.array([0.5, -1.5, 2.0])
    np.testing.assert_allclose(gradient(x, 3), 2 * x)
    with pytest.raises(ValueError, match="x is <traced"):
        gradient(2.0 - x, 3)
    with pytest.raises(AssertionError, match="x is <traced"):
        gradient(-2.0 * x, 3)
    with pytest.raises(ValueError, match="step 3: <traced"):
        gradient(np.full(12, 2.95), 3)


def fails(x):
    if x.shape[0] > 2:
        raise KeyError("too long", x.shape, f"{x}", "%.1f" % x[0], x[1])
    return np.sum(x)


def test_an_exception_of_every_call_says_the_values():
    x = np.array([1.0, 2.0, 3.0])
    with pytest.raises(KeyError) as expected:
        fails(x)
    for function in (grad(fails), grad(fails, mode="compiled"), jit(fails)):
        with pytest.raises(KeyError) as found:
            function(x)
        assert found.value.args == expected.value.args


def test_a_text_is_an_ordinary_one_after_the_trace():
    def raises(x):
        raise ValueError(f"x is {x[0]}")

    with pytest.raises(ValueError, match="x is") as caught:
        traced(raises, np.ones(2))
    (text,) = caught.value.args
    assert text == "x is <traced value: float64[]>"
    assert text.startswith("x is")
    assert type(pickle.loads(pickle.dumps(text))) is str


def test_texts_of_known_values_decide():
    def known(x):
        n = f"{len(x)}" + "%d" % x.shape[0] + "{}".format(x.ndim)
        found = {"331": 2.0}[n] * len(str([1.5, "a"])) + ("%5.2f%%" % 1.5 == " 1.50%")
        weights = {f"w{i}": i * x for i in range(3)}
        return sorted(weights, reverse=True)[0] == "w2" and found * weights["w2"]

    agree(known, np.array([1.0, 2.0, 3.0]))
    assert run(lambda x: f"{x.ndim} {x.dtype} {Named(2.0)} {1.5:6.2f}", np.ones(2)) == (
        "1 float64 Named(2.00)   1.50"
    )


def test_wrong_templates_are_errors_of_the_program():
    for wrong in (
        lambda x: "%s %s" % (x,),
        lambda x: "%s" % (x, 1),
        lambda x: "%(a)s" % {"b": x},
        lambda x: "{} {}".format(x),
        lambda x: f"{[x]:.2f}",
    ):
        with pytest.raises((TypeError, KeyError, IndexError)) as expected:
            wrong(2.0)
        with pytest.raises(type(expected.value)):
            traced(wrong, 2.0)
