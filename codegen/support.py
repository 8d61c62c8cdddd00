"""What printed kernels call besides NumPy and the vector maths.

Imports Numba, so only printed modules import it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, imputils
from numba.extending import intrinsic
from numba.np import arrayobj

# Numba's types are incomplete.
_TUPLES: Any = cgutils
_REFERENCES: Any = imputils
_ARRAYS: Any = arrayobj


@intrinsic
def assume(typing: Any, condition: Any) -> Any:
    """Let LLVM take a condition for true; no code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bit = builder.icmp_unsigned("!=", args[0], args[0].type(0))
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(1)])
        function = builder.module.globals.get("llvm.assume")
        function = function or ir.Function(builder.module, kind, "llvm.assume")
        builder.call(function, [bit])
        return context.get_dummy_value()

    return types.void(types.boolean), generate


@njit(forceinline=True, error_model="numpy")
def checked(index: Any, size: Any) -> Any:
    """An index into an axis of a size, or IndexError: compiled code checks nothing."""
    if index < -size or index >= size:
        raise IndexError("index out of bounds")
    return index


@intrinsic
def grown(typing: Any, array: Any, size: Any) -> Any:
    """A larger copy of a C-contiguous array: twice a size along the first axis.

    What is new is zero. Written in Python, it takes Numba 0.4 s to compile.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        make = _ARRAYS.make_array(array)
        old, larger = make(context, builder, args[0]), make(context, builder)
        shape = _TUPLES.unpack_tuple(builder, old.shape, array.ndim)
        shape[0] = builder.mul(args[1], args[1].type(2))
        strides = _strides(builder, old.itemsize, shape)
        filled = builder.mul(old.nitems, old.itemsize)
        taken = builder.mul(shape[0], strides[0])
        align = types.uint32, context.get_preferred_array_alignment(array.dtype)
        meminfo = context.nrt.meminfo_alloc_aligned(
            builder, taken, context.get_constant(*align)
        )
        data = context.nrt.meminfo_data(builder, meminfo)
        _TUPLES.raw_memcpy(builder, data, old.data, filled, filled.type(1))
        rest = builder.gep(data, [filled])
        _TUPLES.memset(builder, rest, builder.sub(taken, filled), 0)
        _ARRAYS.populate_array(
            larger,
            data=builder.bitcast(data, larger.data.type),
            shape=shape,
            strides=strides,
            itemsize=old.itemsize,
            meminfo=meminfo,
        )
        return _REFERENCES.impl_ret_new_ref(context, builder, array, larger._getvalue())

    return array(array, types.intp), generate


@intrinsic
def carve(typing: Any, arena: Any, start: Any, shape: Any, dtype: Any) -> Any:
    """An array of a shape and dtype in the arena's memory, from a word on.

    Slicing, viewing and reshaping come to the same, but take Numba 75 ms to compile
    instead of 6, and 20 ns to run instead of none. The caller keeps the arena, so its
    references are not counted: LLVM's pass that prunes the counting takes a minute for
    a hundred arrays in as many loops.
    """
    many = isinstance(shape, types.BaseTuple)
    rank = shape.count if many else 1
    result: Any = types.Array(dtype.dtype, rank, "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _ARRAYS.make_array(arena)(context, builder, args[0])
        sizes = _TUPLES.unpack_tuple(builder, args[2], rank) if many else [args[2]]
        kind = context.get_data_type(dtype.dtype)
        item = context.get_constant(types.intp, context.get_abi_sizeof(kind))
        strides = _strides(builder, item, sizes)
        array = _ARRAYS.make_array(result)(context, builder)
        first = _apart(builder, builder.gep(memory.data, [args[1]]))
        _ARRAYS.populate_array(
            array,
            data=builder.bitcast(first, array.data.type),
            shape=sizes,
            strides=strides,
            itemsize=item,
            meminfo=None,
        )
        return _REFERENCES.impl_ret_untracked(
            context, builder, result, array._getvalue()
        )

    return result(arena, start, shape, dtype), generate


def _apart(builder: Any, pointer: Any) -> Any:
    """A pointer to memory that no other pointer reaches, as LLVM shall know.

    Otherwise it tests before each loop that it vectorises whether the slices of one
    arena overlap. Only what a function returns can be said to be apart, so this calls
    one, which LLVM must neither inline nor see through.
    """
    name = "codegen.apart"
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(pointer.type, [pointer.type])
        function = ir.Function(builder.module, kind, name)
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        function.return_value.add_attribute("noalias")
        body = ir.IRBuilder(function.append_basic_block())
        body.ret(function.args[0])
    return builder.call(function, [pointer])


def _strides(builder: Any, item: Any, sizes: list[Any]) -> list[Any]:
    """The strides of a C-contiguous array, in bytes."""
    strides = [item]
    for size in sizes[:0:-1]:
        strides.insert(0, builder.mul(strides[0], size))
    return strides
