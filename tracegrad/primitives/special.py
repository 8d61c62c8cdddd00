"""Special functions, as scipy.special names them.

Their NumPy implementations are SciPy's, imported at the first eager call: SciPy takes
a third of a second to import, and compiled kernels don't need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracegrad.ir.primitive import Primitive, elementwise
from tracegrad.primitives.comparisons import zero_safe_div
from tracegrad.primitives.elementwise import POSITIVE, REAL, exp, log, log1p


def _scipy(name: str) -> Callable[..., Any]:
    def call(*operands: Any) -> Any:
        import scipy.special  # slow to import, see above

        return getattr(scipy.special, name)(*operands)

    call.__name__ = name
    return call


erf = elementwise(
    _scipy("erf"),
    source="erf(x)",
    sympy="erf(x)",
    partials=lambda out, x: (2.0 / math.sqrt(math.pi) * exp(-(x * x)),),
    cost=30,
    domain=(REAL,),
)
erfc = elementwise(
    _scipy("erfc"),
    source="erfc(x)",
    sympy="erfc(x)",
    partials=lambda out, x: (-2.0 / math.sqrt(math.pi) * exp(-(x * x)),),
    cost=40,
    domain=(REAL,),
)
erfinv = elementwise(
    _scipy("erfinv"),
    source="erfinv(x)",
    sympy="erfinv(x)",
    partials=lambda out, x: (0.5 * math.sqrt(math.pi) * exp(out * out),),
    singular=(0,),
    cost=60,
    domain=((-0.8, 0.8),),
    kink="inf at the ends",
)
gammaln = elementwise(
    _scipy("gammaln"),
    source="gammaln(x)",
    sympy="loggamma(x)",
    partials=lambda out, x: (digamma(x),),
    singular=(0,),
    cost=60,
    domain=(POSITIVE,),
)
digamma: Primitive = elementwise(
    _scipy("digamma"),
    source="digamma(x)",
    sympy="digamma(x)",
    partials=lambda out, x: (polygamma(1.0, x),),
    singular=(0,),
    cost=60,
    domain=(POSITIVE,),
)
polygamma: Primitive = elementwise(
    _scipy("polygamma"),
    source="polygamma(n, x)",
    sympy="polygamma(n, x)",
    partials=lambda out, n, x: (None, polygamma(n + 1.0, x)),
    singular=(1,),
    cost=100,
    domain=((1.0, 1.0), POSITIVE),
    kink="the order is an integer and has no derivative",
)
expit = elementwise(
    _scipy("expit"),
    source="expit(x)",
    sympy="1 / (1 + exp(-x))",
    partials=lambda out, x: (out * (1.0 - out),),
    cost=25,
    domain=(REAL,),
)
log_expit = elementwise(
    _scipy("log_expit"),
    source="log_expit(x)",
    sympy="-log(1 + exp(-x))",
    partials=lambda out, x: (expit(-x),),
    cost=40,
    domain=(REAL,),
)
logit = elementwise(
    _scipy("logit"),
    source="log(x / (1.0 - x))",
    sympy="log(x / (1 - x))",
    partials=lambda out, x: (1.0 / (x * (1.0 - x)),),
    singular=(0,),
    cost=25,
    domain=((0.1, 0.9),),
    kink="inf at 0 and 1",
)
xlogy = elementwise(
    _scipy("xlogy"),
    source="xlogy(x, y)",
    sympy="x * log(y)",
    partials=lambda out, x, y: (log(y), zero_safe_div(x, y)),
    singular=(0,),
    cost=22,
    domain=(REAL, POSITIVE),
)
xlog1py = elementwise(
    _scipy("xlog1py"),
    source="xlog1py(x, y)",
    sympy="x * log(1 + y)",
    partials=lambda out, x, y: (log1p(y), zero_safe_div(x, 1.0 + y)),
    singular=(0,),
    cost=22,
    domain=(REAL, POSITIVE),
)
