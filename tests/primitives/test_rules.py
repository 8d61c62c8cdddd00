"""The page of rules is what the proofs say today."""

from pathlib import Path

import pytest

from tests.primitives.rules import HEADER, differentiable, row, without_rule

PAGE = (Path(__file__).parents[2] / ".github" / "RULES.md").read_text()


@pytest.mark.parametrize("primitive", differentiable(), ids=repr)
def test_row_is_current(primitive):
    assert row(primitive) in PAGE.splitlines()


def test_the_page_has_no_other_rows():
    assert PAGE.startswith(HEADER)
    assert PAGE.endswith(without_rule())
    rows = PAGE.removeprefix(HEADER).split("\n\n")[0].splitlines()
    assert len(rows) == len(differentiable())
