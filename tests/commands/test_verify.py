"""``verify`` from the command line: its output and exit codes."""

import json

import pytest

from tracegrad import commands
from tracegrad.__main__ import main
from tracegrad.proof.report import Report

RIGHT = "tests.proof.models:smooth"
WRONG = "tests.proof.models:missing_factor"
AT = ["--at", "x=[0.4, 0.9], k=2.0"]


def test_a_right_gradient(capsys):
    assert main(["verify", RIGHT, *AT, "--argnames", "x", "--points", "0"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("gradient of smooth(x: float64[2], k: float): proved")


def test_a_wrong_gradient_as_json(capsys):
    at = ["--at", "x=[0.4, 0.9]", "--points", "0", "--domain", "x=0.1:1"]
    assert main(["verify", WRONG, *at, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "differs"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--domain", "x"], "can't read the domain"),
        (["--argnames", "z"], "no argument z"),
        (["--order", "0"], "order"),
    ],
)
def test_mistakes_are_named(options, message, capsys):
    assert main(["verify", RIGHT, *AT, *options]) == 2
    assert message in capsys.readouterr().err


def test_an_error_is_no_verdict(tmp_path, capsys):
    def run(text, *options):
        path = tmp_path / "model.py"
        path.write_text(text)
        return main(["verify", f"{path}:f", *options]), capsys.readouterr().err

    code, message = run("def f(x: ...", "--at", "x=1.0")
    assert code == 2
    assert "SyntaxError" in message
    code, message = run("def f(x): return x", "--at", "y=1.0")
    assert (code, message) == (2, "f(): missing a required argument: 'x'\n")
    code, message = run("def f(x): raise ValueError('no')", "--at", "x=1.0")
    assert code == 2
    assert "ValueError: no" in message


def test_what_could_not_be_checked(monkeypatch, capsys):
    monkeypatch.setattr(commands.verify, "verify", lambda *_, **__: Report("f", "", ()))
    assert main(["verify", RIGHT, *AT]) == 3
    assert "could not be checked" in capsys.readouterr().out
