"""Pickles of compiled functions: by name, made again, or by value."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tests import pickled
from tracegrad import grad, vjp

ROOT = Path(__file__).parent.parent


def test_by_name():
    assert pickle.loads(pickle.dumps(pickled.slope)) is pickled.slope


def test_made_again_with_its_options():
    made = grad(pickled.scaled, argnums=1)
    data = pickle.dumps(made)
    assert len(data) < 500  # no machine code
    again = pickle.loads(data)
    assert again is not made
    assert again(3.0, 2.0) == made(3.0, 2.0) == 12.0


def test_by_value_of_what_has_no_name():
    pytest.importorskip("cloudpickle")
    power = 3
    made = grad(lambda x: x**power)
    assert pickle.loads(pickle.dumps(made))(2.0) == 12.0


def test_a_pullback_is_not_pickled():
    _, pull = vjp(pickled.scaled, 1.0, 2.0)
    with pytest.raises(pickle.PicklingError, match="pickle the function"):
        pickle.dumps(pull)


def test_workers_take_them():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        xs = [np.full(3, float(k)) for k in range(4)]
        found = list(pool.map(pickled.slope, xs))
    for x, x_bar in zip(xs, found, strict=True):
        np.testing.assert_array_equal(x_bar, 2.0 * x)


def test_joblib_takes_them():
    joblib = pytest.importorskip("joblib")
    offset = 1.0
    slope = grad(lambda x: np.sum((x + offset) ** 2))  # by value
    xs = [np.full(3, float(k)) for k in range(4)]
    for function, shift in ((pickled.slope, 0.0), (slope, offset)):
        found = joblib.Parallel(2)(joblib.delayed(function)(x) for x in xs)
        for x, x_bar in zip(xs, found, strict=True):
            np.testing.assert_array_equal(x_bar, 2.0 * (x + shift))


def test_main_is_taken_along_by_value():
    pytest.importorskip("cloudpickle")
    script = "\n".join(
        (
            "import pickle, sys",
            "from tracegrad import grad",
            "offset = 1.0",
            "@grad",
            "def slope(x):",
            "    return (x + offset) ** 2",
            "sys.stdout.buffer.write(pickle.dumps(slope))",
        )
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    data = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout
    # A function of -c has no source to read: it runs on tracers.
    assert pickle.loads(data)(2.0) == 6.0


def test_the_source_comes_along_so_that_loops_stay_loops(tmp_path):
    pytest.importorskip("cloudpickle")
    script = tmp_path / "model.py"
    script.write_text(
        "import pickle, sys\n"
        "from tracegrad import grad\n"
        "def square(x):\n"
        "    total = 0.0\n"
        "    for i in range(x.shape[0]):\n"
        "        total += x[i] ** 2\n"
        "    return total\n"
        "@grad\n"
        "def slope(x):\n"
        "    return square(x)\n"
        "sys.stdout.buffer.write(pickle.dumps(slope))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, script]
    data = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout
    script.unlink()
    slope = pickle.loads(data)
    np.testing.assert_array_equal(slope(np.ones(5000)), np.full(5000, 2.0))
    assert "model.py:6" in slope.source
