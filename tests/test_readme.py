"""The README's Python blocks run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_block(block, tmp_path):
    # From a file: what is traced is the function's own source.
    script = tmp_path / "quickstart.py"
    script.write_text(block)
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "def energy" in run.stdout


def test_there_is_a_block():
    assert BLOCKS
