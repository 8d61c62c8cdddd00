"""Elementwise maths that LLVM vectorises: the functions a Numba kernel calls.

Each is branch-free float64 arithmetic, forced inline into the calling loop, so that the
loop becomes vector instructions; Numba's own `math.exp` is a scalar call that keeps its
whole loop scalar. A kernel imports any name of `codegen.reference_math.reference` from
here; nothing is compiled until a kernel that uses it is, and then it is kept on disk.
Float32 arguments give a float32 result: computed in float64 and rounded once.

Largest error in ulp seen in several runs against mpmath (hundreds to thousands of
random points over the whole range; logaddexp for arguments of 0 to 700), and ns per
element for n = 1e5, arguments of order 1, float64, one core of a Zen 5 with AVX-512;
in brackets, libm:

| function | ulp | ns | function | ulp | ns |
|---|---|---|---|---|---|
| exp | 1.0 | 0.5 (2.9) | arccosh | 1.4 | 1.3 (9.1) |
| exp2 | 1.0 | 0.7 | arctanh | 1.3 | 1.1 (16.6) |
| expm1 | 1.8 | 0.5 (6.9) | hypot | 1.1 | 0.3 (14.3) |
| log | 0.8 | 0.6 (2.7) | cbrt | 0.7 | 0.7 |
| log2 | 0.7 | 0.7 (2.6) | pow | 1.1 | 2.7 (8.1) |
| log10 | 0.7 | 0.8 (5.4) | erf | 1.2 | 1.1 (10.1) |
| log1p | 0.8 | 0.7 (8.9) | erfc | 2.8 | 1.4 (10.7) |
| sin | 0.7 | 1.0 (8.0) | erfinv | 3.0 | 2.5 |
| cos | 0.7 | 1.0 (11.0) | gammaln | 1.5 | 12.1 (11.9) |
| tan | 1.8 | 1.0 (13.3) | digamma | 6.6 | 3.3 |
| arcsin | 0.8 | 0.6 (10.4) | trigamma | 4.1 | 1.9 |
| arccos | 0.9 | 0.6 (10.6) | polygamma | 5.8 | 321 |
| arctan | 1.0 | 0.6 (7.5) | expit | 1.9 | 0.5 |
| arctan2 | 1.2 | 1.2 (12.1) | log_expit | 1.3 | 1.8 |
| sinh | 1.5 | 0.6 (9.9) | logaddexp | 0.6 | 2.0 |
| cosh | 1.3 | 0.5 (4.8) | xlogy | 1.4 | 0.6 |
| tanh | 1.2 | 0.7 (10.1) | xlog1py | 1.2 | 0.8 |
| arcsinh | 1.4 | 1.7 (16.0) |  | |  |

With AVX2 (x86-64-v3) the times double. Without FMA (generic x86-64) the errors stay
(erfinv 3.5) and the times are five to eight times these: log, log2, pow and arccosh are
then slower than libm's.

`gammaln` is libm's, and `polygamma` above order 1 a scalar loop (NaN for x < -10000).
Beyond |x| = 2**40, sin, cos and tan call libm, 50 ns. At negative x the errors of
digamma and trigamma are 7 eps of the larger of 1 and the result. logaddexp cancels
where its result is near 0. Of two zeros of unequal sign, maximum and minimum give the
one that their name says.
"""

from importlib import import_module
from typing import Any

from codegen.reference_math import home


def __getattr__(name: str) -> Any:
    """The function of that name, from the module that defines it, loaded on demand."""
    try:
        module = home(name)
    except KeyError:
        raise AttributeError(f"{__name__} has no {name!r}") from None
    return getattr(import_module(module), name)
