"""The examples in the docstrings of codegen are true."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    *("arena", "cache", "expressions", "layout", "loop_ir", "printer", "statements"),
    *("verifier", "workspace"),
)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    result = doctest.testmod(import_module(f"codegen.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
