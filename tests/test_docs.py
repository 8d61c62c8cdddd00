"""The examples in docstrings are true."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(
    path.relative_to(ROOT)
    for package in ("tracegrad", "codegen")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_docstrings(path):
    module = import_module(
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    )
    # Functions of the examples are a user's, not of the module that they document.
    result = doctest.testmod(
        module, extraglobs={"__name__": "__main__"}, optionflags=doctest.ELLIPSIS
    )
    assert result.attempted > 0
    assert result.failed == 0
