"""The command line: what it prints, and its exit codes."""

import shutil

import pytest

from tracegrad.__main__ import main

MODEL = """
import numpy as np

def loss(x, k):
    return k * np.sum(x * x)
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "command_model.py"
    path.write_text(MODEL)
    return f"{path}:loss"


def test_source_of_a_gradient(model, capsys):
    assert main(["source", model, "float64[:], float64"]) == 0
    assert "def loss_value_and_grad(x, k" in capsys.readouterr().out


def test_graph_of_a_gradient_by_name(model, capsys):
    at = ["--at", "x=[1.0, 2.0], k=3.0", "--of", "grad", "--argnames", "k"]
    assert main(["graph", model, *at]) == 0
    out = capsys.readouterr().out
    assert out.startswith("graph loss_grad(x: float64[x.shape[0]], k: float64[])")


def test_source_of_a_hessian(model, capsys):
    assert main(["source", model, "float64[:], float64", "--of", "hessian"]) == 0
    assert "def loss_hessian" in capsys.readouterr().out


BRANCH = """
def hinge(x):
    total = 0.0
    for i in range(x.shape[0]):
        if x[i] > 1.0:
            total += 0.5 * x[i]
    return total
"""


def test_text_of_a_picture(tmp_path, capsys):
    (tmp_path / "hinge.py").write_text(BRANCH)
    path = tmp_path / "new" / "hinge.dot"
    target = f"{tmp_path / 'hinge.py'}:hinge"
    assert main(["graph", target, "float64[:]", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    text = path.read_text()
    assert text.startswith("digraph")
    assert "label=for" in text
    assert "label=if" in text
    assert "greater(·, 1.0)" in text
    # A box stands where it belongs: the argument outside of the loop that reads it.
    assert text.index("float64[x.shape[0]]") < text.index("subgraph")


def test_pictures_need_dot(model, tmp_path, capsys, monkeypatch):
    types = "float64[:], float64"
    path = tmp_path / "loss.svg"
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        assert main(["graph", model, types, "-o", str(path)]) == 2
        assert "write -o" in capsys.readouterr().err
    if shutil.which("dot") is not None:
        assert main(["graph", model, types, "-o", str(path)]) == 0
        assert "<svg" in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["source", "no_such_module:f", "float64"], "there is no module"),
        (["source", "math:no_such", "float64"], "math has no no_such"),
        (["source", "math", "float64"], "names no function"),
        (["source", "math:pi", "float64"], "not a function"),
        (["source", "missing.py:f", "float64"], "there is no file"),
        (["source", "math:sin"], "needs arguments"),
        (["source", "math:sin", "--at", "x=="], "can't read the arguments"),
        (["source", "math:sin", "double"], "is not a signature"),
        (["graph", "math:sin", "float64", "-o", "a.txt"], "no kind of picture"),
    ],
)
def test_mistakes_are_named(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
