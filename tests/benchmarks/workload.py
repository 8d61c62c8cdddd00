"""What a workload is, and where they are found.

A workload's `objective` is plain NumPy. It is what tracegrad differentiates, and, with
the names of its module rebound, what the peers differentiate too: the formula is
written once. Its `hand` gradient is the yardstick.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from tests.benchmarks import workloads

Inputs = tuple[Any, ...]
ValueAndGrad = Callable[..., tuple[Any, tuple[Any, ...]]]


@dataclass(frozen=True)
class Workload:
    """A function to differentiate, its inputs, and its gradient written by hand.

    Attributes:
        name: what the tables call it.
        sizes: the sizes measured, by label; a size is what `make_inputs` understands.
        quick: the label of the size that `--quick` measures.
        tiny: a size small enough for finite differences.
        make_inputs: (size, seed) → arguments of the objective.
        objective: plain NumPy.
        argnums: what it is differentiated with respect to.
        hand: the maths helpers → a value-and-gradient function like tracegrad's.
        without: peers that cannot run it, with the reason.
        tuned: other formulations of the objective, by peer: the best we know for it.
        by_scan: the objective for peers without loops or arrays written in place: with
            array expressions and `scan`. Its reason in `without` where a peer can't.
        own: contestants that do it in a way of their own: inputs → call.
        from_jacobian: what makes the gradient of what a call gives instead.
        spellings: other ways to write the objective, by name, as users also would;
            tracegrad's gradients of them are measured against the same yardstick.
        rtol: how far, relative to its largest element, a gradient may differ.
    """

    name: str
    sizes: Mapping[str, Any]
    quick: str
    tiny: Any
    make_inputs: Callable[[Any, int], Inputs]
    objective: Callable[..., Any]
    argnums: tuple[int, ...]
    hand: Callable[[Any], ValueAndGrad]
    without: Mapping[str, str] = field(default_factory=dict)
    tuned: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    by_scan: Callable[..., Any] | None = None
    own: Mapping[str, Callable[[Inputs], Callable[[], Any]]] = field(
        default_factory=dict
    )
    from_jacobian: Callable[[Any], Any] = lambda gradient: gradient
    spellings: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    rtol: float = 1e-9

    @property
    def formula(self) -> Callable[..., Any]:
        """What peers differentiate."""
        return self.by_scan or self.objective


def load_workloads() -> dict[str, Workload]:
    """Every workload, by name."""
    modules: list[ModuleType] = [
        importlib.import_module(f"{workloads.__name__}.{info.name}")
        for info in pkgutil.iter_modules(workloads.__path__)
    ]
    return {module.WORKLOAD.name: module.WORKLOAD for module in modules}
