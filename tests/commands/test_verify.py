"""``verify`` from the command line: its output and exit codes."""

import json

import pytest

from tracegrad.__main__ import main

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
