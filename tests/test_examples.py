"""Each example runs as a newcomer would run it, and says that it succeeded."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import tracegrad.tape as torch

EXAMPLES = Path(__file__).parents[1] / "examples"

CLOSING_LINE = {
    "dask_gradient.py": "the workers' gradient is that of one process",
    "logistic_regression.py": "agrees with scikit-learn",
    "lynx_hare.py": "the compiled gradient fits",
    "nist_misra1a.py": "agrees with NIST",
}


TAPE = sorted(path.name for path in (EXAMPLES / "tape").glob("*.py"))


@pytest.mark.parametrize("name", TAPE)
def test_tape_example(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "tape" / name), run_name="__main__")
    assert torch.is_grad_enabled()


def test_every_example_is_listed():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(CLOSING_LINE)


@pytest.mark.parametrize("name", sorted(CLOSING_LINE))
def test_example(name):
    run = subprocess.run(
        [sys.executable, EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith(CLOSING_LINE[name])
