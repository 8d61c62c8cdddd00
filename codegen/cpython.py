"""What native code has to know of CPython and NumPy: where their objects keep things.

Nothing here is guessed silently: ``supported`` compares every offset with live objects
once, and where one differs, or the interpreter is of another kind, nobody writes native
code and calls go through Python.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

TYPE = 8
"""Offset of an object's type."""
NUMBER = 16
"""Offset of the value of a float and of a NumPy scalar."""
TUPLE = tuple.__basicsize__
"""Offset of a tuple's first item."""
LENGTH = 16
"""Offset of the length of a tuple or list."""
LIST = 24
"""Offset of the address of a list's first item."""
BYTES = bytes.__basicsize__ - 1
"""Offset of the first byte of a bytes object."""
DATA, RANK, SHAPE, STRIDES, DTYPE, FLAGS = 16, 24, 32, 40, 56, 64
"""Offsets within an array."""
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
"""Flags of an array."""

_NEW_ARRAY, _NEW_SCALAR = 94, 60
"""Places in NumPy's table of functions, which never change."""
_KEYWORD_METHOD = 0x80 | 0x02
_LATEST = (3, 14)
_kept: list[Any] = []


class _Method(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@lru_cache
def supported() -> bool:
    """Whether native code may read the objects of this interpreter."""
    return (
        platform.python_implementation() == "CPython"
        and sys.version_info[:2] <= _LATEST
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and sys.platform != "win32"
        and struct.calcsize("P") == 8
        and object.__basicsize__ == NUMBER
        and _objects_are_as_expected()
        and _arrays_are_as_expected()
    )


def _objects_are_as_expected() -> bool:
    pair, text = (1.5, "a"), b"12345678"
    items = [*pair]
    numbers: list[Any] = [1.5, np.float64(2.5), np.float32(3.5), np.int64(-4)]
    kinds: list[Any] = [ctypes.c_double, ctypes.c_double, ctypes.c_float]
    kinds.append(ctypes.c_int64)
    return (
        all(_word(x, TYPE) == id(type(x)) for x in (*numbers, pair, text))
        and all(
            kind.from_address(id(x) + NUMBER).value == x
            for kind, x in zip(kinds, numbers, strict=True)
        )
        and _word(pair, LENGTH) == 2
        and [_word(pair, TUPLE), _word(pair, TUPLE + 8)] == list(map(id, pair))
        and _word(items, LENGTH) == 2
        and ctypes.c_uint64.from_address(_word(items, LIST) + 8).value == id(pair[1])
        and ctypes.string_at(id(text) + BYTES, 8) == text
    )


def _arrays_are_as_expected() -> bool:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    flags = C_CONTIGUOUS | ALIGNED | WRITEABLE
    for array, expected in ((x, flags), (x.T, ALIGNED | WRITEABLE)):
        words = [_word(array, offset) for offset in (DATA, DTYPE)]
        shape, strides = _word(array, SHAPE), _word(array, STRIDES)
        if (
            words != [array.ctypes.data, id(array.dtype)]
            or ctypes.c_int.from_address(id(array) + RANK).value != 2
            or ctypes.c_int.from_address(id(array) + FLAGS).value & flags != expected
            or tuple((ctypes.c_int64 * 2).from_address(shape)) != array.shape
            or tuple((ctypes.c_int64 * 2).from_address(strides)) != array.strides
        ):
            return False
    return True


def _word(thing: object, offset: int) -> int:
    return ctypes.c_uint64.from_address(id(thing) + offset).value


@lru_cache
def new_array() -> int:
    """The address of NumPy's ``PyArray_NewFromDescr``."""
    return _numpy(_NEW_ARRAY)


@lru_cache
def new_scalar() -> int:
    """The address of NumPy's ``PyArray_Scalar``."""
    return _numpy(_NEW_SCALAR)


def _numpy(place: int) -> int:
    """A function of the table that NumPy offers to C extensions."""
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    open_capsule = ctypes.pythonapi.PyCapsule_GetPointer
    open_capsule.restype = ctypes.c_void_p
    open_capsule.argtypes = (ctypes.py_object, ctypes.c_char_p)
    table = open_capsule(capsule, None)
    return ctypes.c_uint64.from_address(table + 8 * place).value


def function(text: str, table: list[int], keep: tuple[Any, ...]) -> Callable[..., Any]:
    """A built-in function whose machine code is LLVM text.

    Args:
        text: defines ``ptr @entry(ptr self, ptr args, i64 nargs, ptr kwnames)``. Its
            ``self`` is a bytes object that holds the table.
        table: words, such as the addresses of objects.
        keep: the objects, which live as long as the function.
    """
    words = struct.pack(f"={len(table)}Q", *table)
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    # What CPython calls the function's module is just another reference.
    made: Callable[..., Any] = create(ctypes.addressof(_method(text)), words, keep)
    return made


@lru_cache
def _method(text: str) -> _Method:
    """Compiled text. It is never freed: a function may be dropped while it runs."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=0)
    # An engine each: a second module in one engine would read wrong constants.
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    address = engine.get_function_address("entry")
    method = _Method(b"call", address, _KEYWORD_METHOD, None)
    _kept.append((engine, method))
    return method
