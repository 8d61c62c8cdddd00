"""Every primitive's kernel, as users get it: both dtypes, all shapes, two orders.

Elementwise primitives share kernels, because compiling is what takes the time; a
failure names its primitive all the same.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.primitives.cases import Case, cases
from tests.primitives.joint import apart, together
from tests.primitives.sweep import Sweep
from tests.primitives.test_sweep import softsign, wrong_softsign
from tracegrad.ir.primitive import Primitive
from tracegrad.primitives import TABLE

TOGETHER = 8
SWEPT = [p for p in TABLE.values() if p.name not in ("size", "iota")]
ELEMENTWISE = [p for p in SWEPT if not p.samples]
GROUPS = [ELEMENTWISE[k : k + TOGETHER] for k in range(0, len(ELEMENTWISE), TOGETHER)]
OTHERS = [p for p in SWEPT if p.samples]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0].name)
def test_elementwise_primitives(group: list[Primitive]) -> None:
    sweep = Sweep(together(group, seed=1))
    sweep.check()
    sweep.check_empty()


@pytest.mark.parametrize("primitive", OTHERS, ids=str)
def test_other_primitives(primitive: Primitive) -> None:
    Sweep(apart(primitive, examples(primitive))).check()


def examples(primitive: Primitive) -> list[Case]:
    """The first sample, the first with a number, the first with an empty array."""
    found: dict[Any, Case] = {}
    for case in cases(primitive, 1):
        found.setdefault("first", case)
        for x in case.operands:
            if not x.ndim or not x.size:
                found.setdefault(x.ndim == 0, case)
    return list({id(case): case for case in found.values()}.values())


def test_a_new_record_is_swept_too_and_a_wrong_one_named() -> None:
    Sweep(together([softsign], seed=1)).check()
    sweep = Sweep(together([TABLE["absolute"], wrong_softsign], seed=1))
    with pytest.raises(AssertionError) as caught:
        sweep.check()
    named = {
        line.split()[2] for line in str(caught.value).split("\n") if " of " in line
    }
    assert named == {"wrong_softsign:"}
