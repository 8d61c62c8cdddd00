"""``python -m tracegrad build``: what it writes, and what it says."""

import numpy as np
import pytest

from codegen.c import CompilerError
from codegen.c.compiler import find_compiler
from tracegrad import load_library
from tracegrad.__main__ import main

MODEL = """
import numpy as np

def energy(x, k):
    return 0.5 * k * np.sum(x * x)
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return f"{path}:energy"


def test_python_and_c_are_written(model, tmp_path, capsys):
    out = tmp_path / "dist"
    arguments = ["build", model, "--signature", "float64[:], float64", "-o", str(out)]
    assert main(arguments) == 0
    names = ["energy_gradient.py", "energy.c", "energy.h"]
    assert capsys.readouterr().out.splitlines() == [str(out / name) for name in names]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    source = (out / "energy_gradient.py").read_text()
    assert "def energy_value_and_grad(x, k):" in source


def test_a_library_by_examples(model, tmp_path, capsys):
    try:
        find_compiler()
    except CompilerError:
        pytest.skip("there is no C compiler")
    command = ["build", model, "--at", "x=[1.0, 2.0], k=3.0", "--of", "grad"]
    options = ["--as", "library", "--name", "spring", "-o", str(tmp_path)]
    assert main([*command, *options]) == 0
    files = capsys.readouterr().out.splitlines()
    assert len(files) == 4
    found = load_library(files[2]).energy_grad(np.array([1.0, -1.0]), 2.0)
    np.testing.assert_array_equal(found, [2.0, -2.0])


def test_what_is_wrong_is_said(model, tmp_path, capsys):
    assert main(["build", model]) == 2
    assert "needs arguments" in capsys.readouterr().err
    assert main(["build", model, "float64[:], float64", "--name", "a b"]) == 2
    assert "is no identifier" in capsys.readouterr().err
    command = ["build", model, "float64[:], float64", "-o", str(tmp_path)]
    assert main([*command, "--as", "library", "--cc", "nonesuch"]) == 2
    assert "no C compiler called nonesuch" in capsys.readouterr().err
