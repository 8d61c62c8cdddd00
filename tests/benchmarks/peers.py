"""Every contestant: by hand, tracegrad, and the peers that are installed.

A contestant turns a workload and its inputs into a call without arguments that gives
value and gradients, finished, in its own kind of array. A peer differentiates the
workload's own objective: `rebind` gives that function's code other globals, so that
its `np` is the peer's.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from tests.benchmarks.workload import Inputs, Workload

Call = Callable[[], Any]


@dataclass(frozen=True)
class Contestant:
    """A way to compute gradients; `module` is what must be installed for it."""

    name: str
    module: str
    prepare: Callable[[Workload, Inputs], Call]
    to_numpy: Callable[[Any], np.ndarray] = np.asarray

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    def result(self, call: Call) -> tuple[float, tuple[np.ndarray, ...]]:
        """Value and gradients as NumPy has them."""
        value, grads = call()
        return float(value), tuple(self.to_numpy(grad) for grad in grads)


def rebind(objective: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """The same function, and those of its module that it calls, with other globals."""
    namespace = {**objective.__globals__, **names}

    def moved(function: Callable[..., Any]) -> Callable[..., Any]:
        return FunctionType(function.__code__, namespace, function.__name__)

    for name, value in objective.__globals__.items():
        ours = getattr(value, "__module__", None) == objective.__module__
        if ours and isinstance(value, FunctionType):
            namespace[name] = moved(value)
    return moved(objective)


def by_hand(workload: Workload, inputs: Inputs) -> Call:
    from tests.benchmarks.maths import vector

    value_and_grad = workload.hand(vector())
    return lambda: value_and_grad(*inputs)


def by_hand_stock(workload: Workload, inputs: Inputs) -> Call:
    from tests.benchmarks.maths import stock

    value_and_grad = workload.hand(stock())
    return lambda: value_and_grad(*inputs)


def by_tracegrad(workload: Workload, inputs: Inputs) -> Call:
    from tracegrad import value_and_grad

    compiled = value_and_grad(workload.objective, argnums=workload.argnums)
    return lambda: compiled(*inputs)


def by_jax(workload: Workload, inputs: Inputs, tuned: bool = False) -> Call:
    import jax
    import jax.numpy as jnp
    from jax.scipy import special

    jax.config.update("jax_enable_x64", True)
    objective = workload.tuned["jax"] if tuned else workload.objective
    objective = rebind(
        objective,
        np=jnp,
        erf=special.erf,
        gammaln=special.gammaln,
        logsumexp=special.logsumexp,
    )
    compiled = jax.jit(jax.value_and_grad(objective, argnums=workload.argnums))
    arrays = tuple(jnp.asarray(value) for value in inputs)
    return lambda: jax.block_until_ready(compiled(*arrays))


def by_tuned_jax(workload: Workload, inputs: Inputs) -> Call:
    return by_jax(workload, inputs, tuned=True)


def by_torch(workload: Workload, inputs: Inputs) -> Call:
    import torch

    torch.set_num_threads(1)

    def logsumexp(x, axis, keepdims=False):
        return torch.logsumexp(x, dim=axis, keepdim=keepdims)

    objective = rebind(
        workload.objective,
        np=torch,
        erf=torch.special.erf,
        gammaln=torch.special.gammaln,
        logsumexp=logsumexp,
    )
    tensors = [torch.tensor(value, dtype=dtype_of(torch, value)) for value in inputs]
    wrt = [tensors[i].requires_grad_() for i in workload.argnums]

    def call():
        value = objective(*tensors)
        return value.detach(), torch.autograd.grad(value, wrt)

    return call


def dtype_of(library: Any, value: Any) -> Any:
    """The library's dtype for an input: integers stay integers."""
    return getattr(library, str(np.asarray(value).dtype))


def by_autograd(workload: Workload, inputs: Inputs) -> Call:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy import special

    objective = rebind(
        workload.objective,
        np=anp,
        erf=special.erf,
        gammaln=special.gammaln,
        logsumexp=special.logsumexp,
    )
    value_and_grad = autograd.value_and_grad(objective, argnum=workload.argnums)
    return lambda: value_and_grad(*inputs)


def by_pytensor(workload: Workload, inputs: Inputs) -> Call:
    import pytensor
    import pytensor.tensor as pt

    arrays = [np.asarray(value) for value in inputs]
    symbols = [pt.tensor(dtype=str(a.dtype), shape=(None,) * a.ndim) for a in arrays]
    objective = rebind(
        workload.objective,
        np=pt,
        erf=pt.erf,
        gammaln=pt.gammaln,
        logsumexp=pt.logsumexp,
    )
    value = objective(*symbols)
    grads = pytensor.grad(value, [symbols[i] for i in workload.argnums])
    compiled = pytensor.function(symbols, [value, *grads], on_unused_input="ignore")
    compiled.trust_input = True

    def call():
        value, *grads = compiled(*arrays)
        return value, grads

    return call


def by_casadi(workload: Workload, inputs: Inputs) -> Call:
    import casadi

    def total(x):
        return casadi.sum2(casadi.sum1(x))

    face = SimpleNamespace(
        **{n: getattr(casadi, n) for n in ("exp", "log", "log1p", "sqrt", "sin")},
        sum=total,
        mean=lambda x: total(x) / x.numel(),
    )
    objective = rebind(workload.objective, np=face, erf=casadi.erf)
    data = [casadi.DM(value) for value in inputs]
    symbols = [casadi.MX.sym(f"x{i}", *d.shape) for i, d in enumerate(data)]
    value = objective(*symbols)
    grads = [casadi.gradient(value, symbols[i]) for i in workload.argnums]
    compiled = casadi.Function("value_and_grad", symbols, [value, *grads])

    def call():
        value, *grads = compiled(*data)
        return value, grads

    return call


HAND = Contestant("hand", "numba", by_hand)
OURS = Contestant("tracegrad", "tracegrad", by_tracegrad)
CONTESTANTS = (
    HAND,
    OURS,
    Contestant("hand with libm", "numba", by_hand_stock),
    Contestant("jax", "jax", by_jax),
    Contestant("tuned jax", "jax", by_tuned_jax),
    Contestant("torch", "torch", by_torch, lambda x: x.detach().numpy()),
    Contestant("autograd", "autograd", by_autograd),
    Contestant("casadi", "casadi", by_casadi, lambda x: x.full()),
    Contestant("pytensor", "pytensor", by_pytensor),
)


def why_not(contestant: Contestant, workload: Workload) -> str | None:
    """Why a contestant does not run a workload, if so."""
    library = contestant.module
    if not contestant.installed:
        return f"{library} is not installed"
    if contestant.prepare is by_tuned_jax and "jax" not in workload.tuned:
        return "no better formulation is known than the plain one"
    return workload.without.get(library)
