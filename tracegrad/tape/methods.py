"""Methods of tensors: the functions, and their in-place variants."""

from __future__ import annotations

from typing import Any

from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.tape import functions as fn
from tracegrad.tape import shaping as sh
from tracegrad.tape.inplace import in_place
from tracegrad.tape.operators import Operators


class Methods(Operators):
    """A value with PyTorch's methods."""

    __slots__ = ()

    # elementwise
    exp, log, sin, cos, tan, tanh = fn.exp, fn.log, fn.sin, fn.cos, fn.tan, fn.tanh
    sinh, cosh, sqrt, exp2, expm1 = fn.sinh, fn.cosh, fn.sqrt, fn.exp2, fn.expm1
    log2, log10, log1p, rsqrt = fn.log2, fn.log10, fn.log1p, fn.rsqrt
    asin, acos, atan = fn.asin, fn.acos, fn.atan
    asinh, acosh, atanh = fn.asinh, fn.acosh, fn.atanh
    abs, sign, floor, ceil = fn.abs_, fn.sign, fn.floor, fn.ceil
    trunc, round, neg, square = fn.trunc, fn.round_, fn.neg, fn.square
    absolute, negative, reciprocal = fn.abs_, fn.neg, fn.reciprocal
    sigmoid, relu, erf, erfc = fn.sigmoid, fn.relu, fn.erf, fn.erfc
    lgamma, digamma, logit, logsigmoid = fn.lgamma, fn.digamma, fn.logit, fn.logsigmoid
    isnan, isinf, isfinite = fn.isnan, fn.isinf, fn.isfinite
    logical_not, logical_and, logical_or = fn.logical_not, fn.logical_and, fn.logical_or
    add, sub, mul, div, pow = fn.add, fn.sub, fn.mul, fn.div, fn.pow_
    subtract, multiply, divide, true_divide = fn.sub, fn.mul, fn.div, fn.div
    remainder, fmod, floor_divide = fn.remainder, fn.fmod, fn.floor_divide
    maximum, minimum, atan2, hypot = fn.maximum, fn.minimum, fn.atan2, fn.hypot
    logaddexp, lerp = fn.logaddexp, fn.lerp
    eq, ne, lt, le, gt, ge = fn.eq, fn.ne, fn.lt, fn.le, fn.gt, fn.ge
    clamp, clip = fn.clamp, fn.clamp
    isclose, allclose, equal = fn.isclose, fn.allclose, fn.equal

    # reductions and products
    sum, mean, prod, var, std = fn.sum_, fn.mean, fn.prod, fn.var, fn.std
    amax, amin, max, min = fn.amax, fn.amin, fn.max_, fn.min_
    argmax, argmin, all, any = fn.argmax, fn.argmin, fn.all_, fn.any_
    norm, logsumexp, softmax = fn.norm, fn.logsumexp, fn.softmax
    log_softmax, cumsum, cumprod = fn.log_softmax, fn.cumsum, fn.cumprod
    dot, matmul, mm, mv, bmm, outer = fn.dot, fn.matmul, fn.mm, fn.mv, fn.bmm, fn.outer
    nonzero = fn.nonzero

    # shapes
    reshape, view, flatten, squeeze = sh.reshape, sh.view, sh.flatten, sh.squeeze
    unsqueeze, transpose, permute, t = sh.unsqueeze, sh.transpose, sh.permute, sh.t
    swapaxes, movedim, expand = sh.transpose, sh.movedim, sh.expand
    expand_as, broadcast_to, repeat = sh.expand_as, sh.broadcast_to, sh.repeat
    split, chunk, unbind, narrow = sh.split, sh.chunk, sh.unbind, sh.narrow
    select, index_select, gather = sh.select, sh.index_select, sh.gather
    masked_select, masked_fill = sh.masked_select, sh.masked_fill
    flip, roll, tril, triu = sh.flip, sh.roll, sh.tril, sh.triu
    diag, trace, sort = sh.diag, sh.trace, sh.sort

    def where(self, condition: Any, other: Any) -> Any:
        """Itself where a condition is true, else the other."""
        return fn.where(condition, self, other)

    def clone(self) -> Any:
        """A copy through which gradients flow."""
        copy = cmp.convert(self, dtype=str(self._array.dtype))
        return fn.named("Clone", copy)

    def contiguous(self) -> Any:
        """Itself, if its elements lie in order; else a copy that has them so."""
        flags = getattr(self._array, "flags", None)
        return self if flags is None or flags.c_contiguous else self.clone()

    def double(self) -> Any:
        """In float64."""
        return self.type("float64")

    def float(self) -> Any:
        """In float32."""
        return self.type("float32")

    def long(self) -> Any:
        """In int64."""
        return self.type("int64")

    def int(self) -> Any:
        """In int32."""
        return self.type("int32")

    def bool(self) -> Any:
        """In bool."""
        return self.type("bool")

    def type(self, dtype: Any) -> Any:
        """With elements of another dtype."""
        same = self._array.dtype == dtype
        return self if same else cmp.convert(self, dtype=str(dtype))

    # in place
    add_, sub_ = in_place(fn.add), in_place(fn.sub)
    mul_, div_ = in_place(fn.mul), in_place(fn.div)
    pow_, neg_, abs_, exp_ = map(in_place, (fn.pow_, fn.neg, fn.abs_, fn.exp))
    log_, sqrt_, sin_, cos_ = map(in_place, (fn.log, fn.sqrt, fn.sin, fn.cos))
    tanh_, relu_, sigmoid_ = map(in_place, (fn.tanh, fn.relu, fn.sigmoid))
    clamp_, square_ = map(in_place, (fn.clamp, fn.square))
    reciprocal_, floor_ = map(in_place, (fn.reciprocal, fn.floor))
    masked_fill_, lerp_ = map(in_place, (sh.masked_fill, fn.lerp))

    __iadd__ = in_place(ew.add)
    __isub__ = in_place(ew.subtract)
    __imul__ = in_place(ew.multiply)
    __itruediv__ = in_place(ew.divide)
    __ipow__ = in_place(ew.raise_to)
