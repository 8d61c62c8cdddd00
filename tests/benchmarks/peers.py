"""Every contestant: by hand, tracegrad, and the peers that are installed.

A contestant turns a workload and its inputs into a call without arguments that gives
value and gradients, finished, in its own kind of array. A peer differentiates the
workload's own objective, or what the workload tells with `scan` in place of loops:
`rebind` gives that function's code other globals, so that its `np` is the peer's.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.benchmarks.rebinding import rebind
from tests.benchmarks.workload import Inputs, Workload
from tracegrad import pytree

Call = Callable[[], Any]


@dataclass(frozen=True)
class Contestant:
    """A way to compute gradients.

    Attributes:
        name: what the tables call it.
        module: what must be installed for it, and is imported before it is timed.
        make: how it turns a workload and inputs into a call.
        to_numpy: its arrays as NumPy's.
        unrolls: whether a loop costs it an operation of Python per step and operation;
            it runs only the quick size of a workload that loops.
    """

    name: str
    module: str
    make: Callable[[Workload, Inputs], Call]
    to_numpy: Callable[[Any], np.ndarray] = np.asarray
    unrolls: bool = False

    def prepare(self, workload: Workload, inputs: Inputs) -> Call:
        """A call, made the workload's way if it has one for this contestant."""
        own = workload.own.get(self.name)
        return self.make(workload, inputs) if own is None else own(inputs)

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    def result(self, call: Call) -> tuple[float, tuple[np.ndarray, ...]]:
        """Value and gradients as NumPy has them."""
        value, grads = call()
        return float(value), tuple(self.to_numpy(grad) for grad in grads)


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
    objective = workload.tuned["jax"] if tuned else workload.formula
    objective = rebind(
        objective,
        np=jnp,
        scan=jax.lax.scan,
        erf=special.erf,
        gammaln=special.gammaln,
        logsumexp=special.logsumexp,
    )
    gradient = jax.value_and_grad(objective, argnums=workload.argnums)
    static = [i for i, value in enumerate(inputs) if isinstance(value, int)]
    compiled = jax.jit(gradient, static_argnums=static)
    arrays = tuple(v if isinstance(v, int) else jnp.asarray(v) for v in inputs)
    return lambda: jax.block_until_ready(compiled(*arrays))


def by_tuned_jax(workload: Workload, inputs: Inputs) -> Call:
    return by_jax(workload, inputs, tuned=True)


def by_torch(workload: Workload, inputs: Inputs) -> Call:
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)

    def logsumexp(x, axis, keepdims=False):
        return torch.logsumexp(x, dim=axis, keepdim=keepdims)

    objective = rebind(
        workload.formula,
        np=torch,
        erf=torch.special.erf,
        gammaln=torch.special.gammaln,
        logsumexp=logsumexp,
    )
    tensors = [
        v if isinstance(v, int) else torch.tensor(v, dtype=dtype_of(torch, v))
        for v in inputs
    ]
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
        workload.formula,
        np=anp,
        erf=special.erf,
        gammaln=special.gammaln,
        logsumexp=special.logsumexp,
    )
    value_and_grad = autograd.value_and_grad(objective, argnum=workload.argnums)
    return lambda: value_and_grad(*inputs)


def _as_double(tensor):
    """A number among PyTensor's tensors is taken for single precision if it can be."""
    return tensor.astype("float64") if tensor.dtype == "float32" else tensor


def by_pytensor(workload: Workload, inputs: Inputs) -> Call:
    import pytensor
    import pytensor.tensor as pt

    def scan(step, carry, xs, length):
        first, nest = pytree.flatten(carry)

        def flat_step(*args):
            x = None if xs is None else args[0]
            values = args if xs is None else args[1:]
            return pytree.leaves(step(pytree.unflatten(nest, values), x)[0])

        outputs = pytensor.scan(
            flat_step,
            sequences=None if xs is None else [xs],
            outputs_info=[_as_double(pt.as_tensor(value)) for value in first],
            n_steps=length,
            return_updates=False,
        )
        outputs = outputs if isinstance(outputs, list) else [outputs]
        return pytree.unflatten(nest, [each[-1] for each in outputs]), None

    symbols, arrays = [], []
    for value in inputs:
        array = np.asarray(value)
        shape = (None,) * array.ndim
        known = isinstance(value, int)
        symbols.append(
            value if known else pt.tensor(dtype=str(array.dtype), shape=shape)
        )
        arrays += [] if known else [array]
    objective = rebind(
        workload.formula,
        np=pt,
        scan=scan,
        erf=pt.erf,
        gammaln=pt.gammaln,
        logsumexp=pt.logsumexp,
    )
    value = objective(*symbols)
    grads = pytensor.grad(value, [symbols[i] for i in workload.argnums])
    given = [symbol for symbol in symbols if not isinstance(symbol, int)]
    compiled = pytensor.function(given, [value, *grads], on_unused_input="ignore")
    compiled.trust_input = True

    def call():
        value, *grads = compiled(*arrays)
        return value, grads

    return call


def by_casadi(workload: Workload, inputs: Inputs) -> Call:
    """Matrix graphs of array programs, scalar graphs of unrolled loops."""
    import casadi

    def total(x):
        return casadi.sum2(casadi.sum1(x))

    names = ("exp", "log", "log1p", "sqrt", "sin", "tanh")
    face = SimpleNamespace(
        **{name: getattr(casadi, name) for name in names},
        sum=total,
        mean=lambda x: total(x) / x.numel(),
    )
    objective = rebind(workload.formula, np=face, erf=casadi.erf)
    kind = casadi.MX if workload.by_scan is None else casadi.SX
    data, symbols = [], []
    for i, value in enumerate(inputs):
        known = isinstance(value, int)
        data += [] if known else [casadi.DM(value)]
        symbols.append(value if known else kind.sym(f"x{i}", *data[-1].shape))
    value = objective(*symbols)
    grads = [casadi.gradient(value, symbols[i]) for i in workload.argnums]
    given = [symbol for symbol in symbols if not isinstance(symbol, int)]
    compiled = casadi.Function("value_and_grad", given, [value, *grads])

    def call():
        value, *grads = compiled(*data)
        return value, grads

    return call


HAND = Contestant("hand", "numba", by_hand)
HAND_STOCK = Contestant("hand with libm", "numba", by_hand_stock)
OURS = Contestant("tracegrad", "tracegrad.api", by_tracegrad)
CONTESTANTS = (
    HAND,
    OURS,
    HAND_STOCK,
    Contestant("jax", "jax", by_jax),
    Contestant("tuned jax", "jax", by_tuned_jax),
    Contestant("torch", "torch", by_torch, lambda x: x.detach().numpy(), unrolls=True),
    Contestant("autograd", "autograd", by_autograd, unrolls=True),
    Contestant("casadi", "casadi", by_casadi, lambda x: x.full(), unrolls=True),
    Contestant("pytensor", "pytensor", by_pytensor),
)


def why_not(contestant: Contestant, workload: Workload, size: str) -> str | None:
    """Why a contestant does not run a workload of a size, if so."""
    library = contestant.module
    if not contestant.installed:
        return f"{library} is not installed"
    if contestant.name in workload.own:
        return None
    if contestant.make is by_tuned_jax and "jax" not in workload.tuned:
        return "no better formulation is known than the plain one"
    if contestant.unrolls and workload.by_scan and size != workload.quick:
        return "it unrolls loops, and would take minutes"
    return workload.without.get(library)
