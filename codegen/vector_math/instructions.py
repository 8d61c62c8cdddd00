"""Instructions: LLVM operations that Python code in a kernel has no name for.

Each is an intrinsic of Numba. The bodies of the vector maths are written in them, and
kernels accumulate with ``radd``, ``rmul``, ``maximum`` and ``minimum``.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic


def instruction(typed: Callable[..., Any]) -> Callable[..., Any]:
    """Numba's `intrinsic`, whose result is called without the typing context."""
    return cast("Callable[..., Any]", intrinsic(typed))


@cache
def has_fma() -> bool:
    """Whether the machine that Numba compiles for has a fused multiply-add.

    LLVM is asked, not a list of processors: without the instruction it compiles
    `llvm.fma` to a call of libm's `fma`, and costs 18 ns instead of a fraction of one.
    """
    module = llvm.parse_assembly(
        "declare double @llvm.fma.f64(double, double, double)\n"
        "define double @probe(double %a, double %b, double %c) {\n"
        "  %r = call double @llvm.fma.f64(double %a, double %b, double %c)\n"
        "  ret double %r\n}"
    )
    settings = vars(config)  # NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, if set
    features = settings["CPU_FEATURES"]
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=settings["CPU_NAME"] or llvm.get_host_cpu_name(), features=features
    )
    return re.search(r"\W_?fma\b", machine.emit_assembly(module)) is None


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    if has_fma():
        return builder.fma(a, b, c)
    return builder.fadd(builder.fmul(a, b), c)


@instruction
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once where the machine can, twice where it cannot."""

    def generate(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        return _multiply_add(builder, *arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


def _split(builder: Any, value: Any) -> tuple[Any, Any]:
    """Veltkamp's splitting of a float64 into two halves of 26 bits."""
    scaled = builder.fmul(value, ir.Constant(value.type, 134217729.0))
    high = builder.fsub(scaled, builder.fsub(scaled, value))
    return high, builder.fsub(value, high)


@instruction
def product_error(typing: Any, a: Any, b: Any) -> Any:
    """`a * b` minus its rounded value, exactly (Dekker 1971; one instruction with FMA).

    Without FMA the factors must be below 1e300.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        product = builder.fmul(a, b)
        if has_fma():
            return builder.fma(a, b, builder.fneg(product))
        a_high, a_low = _split(builder, a)
        b_high, b_low = _split(builder, b)
        error = builder.fsub(builder.fmul(a_high, b_high), product)
        error = builder.fadd(error, builder.fmul(a_high, b_low))
        error = builder.fadd(error, builder.fmul(a_low, b_high))
        return builder.fadd(error, builder.fmul(a_low, b_low))

    return types.float64(types.float64, types.float64), generate


@instruction
def float_bits(typing: Any, x: Any) -> Any:
    """The bit pattern of a float64 as an int64."""

    def generate(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@instruction
def bits_float(typing: Any, bits: Any) -> Any:
    """The float64 that has the bit pattern `bits`."""

    def generate(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@instruction
def polynomial(typing: Any, x: Any, coefficients: Any) -> Any:
    """The polynomial in `x` with a constant tuple of coefficients, lowest first.

    Estrin's scheme: neighbours are paired, then pairs of pairs, so that multiply-adds
    do not all wait for each other as they do in Horner's.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        power, values = arguments
        terms = [builder.extract_value(values, i) for i in range(coefficients.count)]
        while len(terms) > 1:
            pairs = [
                _multiply_add(builder, terms[i + 1], power, terms[i])
                for i in range(0, len(terms) - 1, 2)
            ]
            terms = pairs + terms[2 * len(pairs) :]
            power = builder.fmul(power, power)
        return terms[0]

    return types.float64(types.float64, coefficients), generate


def _call_llvm(builder: Any, name: str, arguments: Any) -> Any:
    kind = arguments[0].type
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    function = builder.module.declare_intrinsic(name, [kind], function_type)
    return builder.call(function, arguments)


def _floating(typing: Any, x: Any) -> Any:
    return x if isinstance(x, types.Float) else types.float64


@instruction
def sqrt(typing: Any, x: Any) -> Any:
    """The square root, in the precision of `x`."""

    def generate(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        return _call_llvm(builder, "llvm.sqrt", arguments)

    kind = _floating(typing, x)
    return kind(kind), generate


@instruction
def floor(typing: Any, x: Any) -> Any:
    """The largest integer not above `x`, as a float."""

    def generate(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        return _call_llvm(builder, "llvm.floor", arguments)

    kind = _floating(typing, x)
    return kind(kind), generate


@instruction
def copysign(typing: Any, x: Any, sign: Any) -> Any:
    """The magnitude of `x` with the sign bit of `sign`."""

    def generate(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        return _call_llvm(builder, "llvm.copysign", arguments)

    kind = _floating(typing, typing.unify_types(x, sign))
    return kind(kind, kind), generate


@instruction
def lgamma(typing: Any, x: Any) -> Any:
    """The logarithm of |gamma(x)|, by libm: a scalar call."""

    def generate(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()])
        libm = builder.module.globals.get("lgamma")
        libm = libm or ir.Function(builder.module, kind, "lgamma")
        return builder.call(libm, arguments)

    return types.float64(types.float64), generate


def _extremum(a: Any, b: Any, typing: Any, name: str, comparison: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right = arguments
        if isinstance(signature.return_type, types.Float):
            return _call_llvm(builder, f"llvm.{name}", arguments)
        signed = getattr(signature.return_type, "signed", False)
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return builder.select(compare(comparison, left, right), left, right)

    kind = typing.unify_types(a, b)
    return kind(kind, kind), generate


@instruction
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """The larger of two numbers of one type; NaN if either is (`llvm.maximum`)."""
    return _extremum(a, b, typing, "maximum", ">")


@instruction
def minimum(typing: Any, a: Any, b: Any) -> Any:
    """The smaller of two numbers of one type; NaN if either is (`llvm.minimum`)."""
    return _extremum(a, b, typing, "minimum", "<")


def _accumulate(total: Any, term: Any, typing: Any, name: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(signature.return_type, types.Float):
            return getattr(builder, f"f{name}")(*arguments, flags=("reassoc",))
        return getattr(builder, name)(*arguments)

    kind = typing.unify_types(total, term)
    return kind(kind, kind), generate


@instruction
def radd(typing: Any, total: Any, term: Any) -> Any:
    """`total + term` in a sum whose order is free, so that LLVM may vectorise it.

    The single add carries `reassoc` and nothing else: NaN and infinities keep their
    meaning, and without `contract` no product is fused into it.
    """
    return _accumulate(total, term, typing, "add")


@instruction
def rmul(typing: Any, total: Any, factor: Any) -> Any:
    """`total * factor` in a product whose order is free, as `radd` for sums."""
    return _accumulate(total, factor, typing, "mul")
