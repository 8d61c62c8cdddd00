"""Every primitive of the table, through every check."""

from __future__ import annotations

import pytest

from tests.primitives.checks import CHECKS
from tracegrad.ir.primitive import Primitive, Scalar, elementwise
from tracegrad.primitives import TABLE
from tracegrad.primitives.comparisons import select
from tracegrad.primitives.elementwise import absolute, sign

# A size is no function of operands: it is tested with the shapes it comes from.
SWEPT = {name: p for name, p in TABLE.items() if name != "size"}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", SWEPT)
def test_primitive(name: str, check: str) -> None:
    CHECKS[check](SWEPT[name])


@pytest.mark.parametrize("name", SWEPT)
def test_a_primitive_says_where_to_sample_it(name: str) -> None:
    primitive = SWEPT[name]
    kinds = ("bool", "integer")
    assert primitive.samples or primitive.domain or primitive.operands in kinds


@pytest.mark.parametrize("name", SWEPT)
def test_a_primitive_with_infinite_partials_states_its_convention(name: str) -> None:
    primitive = SWEPT[name]
    if isinstance(primitive.lower, Scalar) and primitive.domain:
        assert len(primitive.domain) == len(primitive.lower.names)


# --- adding a primitive is one record -----------------------------------------------

softsign = elementwise(
    lambda x: x / (1.0 + abs(x)),
    "softsign",
    source="x / (1.0 + absolute(x))",
    sympy="x / (1 + Abs(x))",
    partials=lambda out, x: (1.0 / ((1.0 + absolute(x)) * (1.0 + absolute(x))),),
    domain=((-2.0, 2.0),),
    cost=6,
)


@pytest.mark.parametrize("check", CHECKS)
def test_a_new_record_gets_the_whole_sweep(check: str) -> None:
    CHECKS[check](softsign)


wrong_softsign = elementwise(
    lambda x: x / (1.0 + abs(x)),
    "wrong_softsign",
    source="x / (1.0 + absolute(x))",
    sympy="x / (1 + Abs(x))",
    partials=lambda out, x: (select(x > 0.0, 1.0, -1.0) * sign(x) / (1.0 + abs(x)),),
    domain=((-2.0, 2.0),),
)


@pytest.mark.parametrize("check", ["derivatives", "proved"])
def test_the_sweep_notices_a_wrong_partial(check: str) -> None:
    with pytest.raises(AssertionError):
        CHECKS[check](wrong_softsign)


def test_primitives_are_part_of_the_table_and_not_pickled() -> None:
    import pickle

    with pytest.raises(TypeError, match="part of the table"):
        pickle.dumps(TABLE["add"])
    assert all(isinstance(p, Primitive) for p in TABLE.values())
