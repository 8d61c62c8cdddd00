"""The README's Python blocks run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
PRINTED = ("def energy", "tensor([2., 4.])")  # by each block, in order


@pytest.mark.parametrize(
    ("block", "text"), list(zip(BLOCKS, PRINTED, strict=True)), ids=PRINTED
)
def test_block(block, text, tmp_path):
    # From a file: what is traced is the function's own source.
    script = tmp_path / "quickstart.py"
    script.write_text(block)
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert text in run.stdout
