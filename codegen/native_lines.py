"""The lines of a native entry: LLVM text, and the table of constants that it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from codegen import cpython

_DECLARATIONS = """
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyObject_CallOneArg(ptr, ptr)
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare ptr @PyCell_Get(ptr)
declare ptr @PyFunction_GetCode(ptr)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyLong_FromLongLong(i64)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare ptr @PyTuple_New(i64)
declare ptr @PyList_New(i64)
declare ptr @PyDict_New()
declare i64 @PyDict_Size(ptr)
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i64 @llvm.smax.i64(i64, i64)
declare void @PyErr_Clear()
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""

_BIND = """
; Puts the arguments of a call, and the defaults, at the places of their parameters.
define internal i1 @bind(ptr %args, i64 %nargs, ptr %kwnames, ptr %names,
                         ptr %defaults, i64 %positional, i64 %count, ptr %slots) {
  %many = icmp sgt i64 %nargs, %positional
  br i1 %many, label %no, label %fill
fill:
  %k = phi i64 [0, %0], [%k.next, %filled]
  %fill.done = icmp sge i64 %k, %count
  br i1 %fill.done, label %named, label %one
one:
  %given = icmp slt i64 %k, %nargs
  %from = select i1 %given, ptr %args, ptr %defaults
  %from.k = getelementptr ptr, ptr %from, i64 %k
  %value = load ptr, ptr %from.k
  %to.k = getelementptr ptr, ptr %slots, i64 %k
  store ptr %value, ptr %to.k
  br label %filled
filled:
  %k.next = add i64 %k, 1
  br label %fill
named:
  %plain = icmp eq ptr %kwnames, null
  br i1 %plain, label %yes, label %keywords
keywords:
  %length.at = getelementptr i8, ptr %kwnames, i64 LENGTH
  %length = load i64, ptr %length.at
  %items = getelementptr i8, ptr %kwnames, i64 TUPLE
  br label %each
each:
  %j = phi i64 [0, %keywords], [%j.next, %found]
  %each.done = icmp sge i64 %j, %length
  br i1 %each.done, label %yes, label %search
search:
  %name.at = getelementptr ptr, ptr %items, i64 %j
  %name = load ptr, ptr %name.at
  br label %compare
compare:
  %p = phi i64 [%nargs, %search], [%p.next, %next]
  %unknown = icmp sge i64 %p, %count
  br i1 %unknown, label %no, label %look
look:
  %known.at = getelementptr ptr, ptr %names, i64 %p
  %known = load ptr, ptr %known.at
  %same = icmp eq ptr %known, %name
  br i1 %same, label %found, label %next
next:
  %p.next = add i64 %p, 1
  br label %compare
found:
  %at = add i64 %nargs, %j
  %keyword.at = getelementptr ptr, ptr %args, i64 %at
  %keyword = load ptr, ptr %keyword.at
  %slot = getelementptr ptr, ptr %slots, i64 %p
  store ptr %keyword, ptr %slot
  %j.next = add i64 %j, 1
  br label %each
yes:
  ret i1 true
no:
  ret i1 false
}
""".replace("LENGTH", str(cpython.LENGTH)).replace("TUPLE", str(cpython.TUPLE))


class Lines:
    """The text of a function, written line by line.

    Attributes:
        table: the words that the text reads.
        objects: those whose addresses are in the table.
        block: the block that is being written.
        temporaries: where references are that the function owns.
    """

    def __init__(self) -> None:
        self.top: list[str] = []
        self.lines: list[str] = []
        self.block = "start"
        self.temporaries: list[str] = []
        self.table: list[int] = []
        self.objects: list[Any] = []
        self._count = 0
        self.ndarray = self.object(np.ndarray)

    def module(self) -> str:
        """The whole text."""
        head = "define ptr @entry(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) {"
        body = ["start:", *self.top, *self.lines]
        return "\n".join((_DECLARATIONS, _BIND, head, *body, "}", ""))

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append(text)

    def fresh(self, title: str) -> str:
        """A name that nothing has."""
        self._count += 1
        return f"{title}{self._count}"

    def value(self, text: str) -> str:
        """A new value."""
        name = f"%{self.fresh('v')}"
        self.line(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        """Start a block."""
        self.lines.append(f"{name}:")
        self.block = name

    def branch(self, test: str, then: str, otherwise: str) -> None:
        """End the block with a choice."""
        self.line(f"br i1 {test}, label %{then}, label %{otherwise}")

    def require(self, test: str, otherwise: str = "other") -> None:
        """Go on only if a condition holds: a value, or the text of one."""
        if not test.startswith("%"):
            test = self.value(test)
        on = self.fresh("on")
        self.branch(test, on, otherwise)
        self.label(on)

    def at(self, base: str, offset: int, kind: str = "ptr") -> str:
        """What is in memory at an offset."""
        place = self.value(f"getelementptr i8, ptr {base}, i64 {offset}")
        return self.value(f"load {kind}, ptr {place}")

    def alloca(self, kind: str) -> str:
        """Memory on the stack."""
        name = f"%{self.fresh('m')}"
        self.top.append(f"{name} = alloca {kind}")
        return name

    def temporary(self) -> str:
        """A place for a reference that we own; at first there is none."""
        name = self.alloca("ptr")
        self.top.append(f"store ptr null, ptr {name}")
        self.temporaries.append(name)
        return name

    def release(self, places: list[str]) -> None:
        """Give references back."""
        for place in places:
            thing = self.value(f"load ptr, ptr {place}")
            self.line(f"call void @Py_DecRef(ptr {thing})")

    # --- objects -------------------------------------------------------------------

    def is_type(self, thing: str, kind: int) -> None:
        """Go on only with an object of a type."""
        found = self.at(thing, cpython.TYPE)
        self.require(f"icmp eq ptr {found}, {self.constant(kind)}")

    def is_array(self, thing: str, dtype: str, rank: int) -> None:
        """Go on only with an array of a dtype and rank."""
        self.is_type(thing, self.ndarray)
        expected = self.constant(self.object(np.dtype(dtype)))
        found = self.at(thing, cpython.DTYPE)
        self.require(f"icmp eq ptr {found}, {expected}")
        axes = self.at(thing, cpython.RANK, "i32")
        self.require(f"icmp eq i32 {axes}, {rank}")

    def has_flags(self, array: str, wanted: int) -> str:
        """Whether an array has all of some flags."""
        flags = self.at(array, cpython.FLAGS, "i32")
        found = self.value(f"and i32 {flags}, {wanted}")
        return self.value(f"icmp eq i32 {found}, {wanted}")

    def call_one(self, function: Callable[..., Any], argument: str) -> str:
        """What a Python function gives for an argument; null if it raises."""
        called = self.constant(self.object(function))
        return self.value(
            f"call ptr @PyObject_CallOneArg(ptr {called}, ptr {argument})"
        )

    # --- the table -----------------------------------------------------------------

    def word(self, word: int) -> int:
        """The position of a new word."""
        self.table.append(word)
        return len(self.table) - 1

    def object(self, thing: Any) -> int:
        """The position of an object's address."""
        self.objects.append(thing)
        return self.word(id(thing))

    def constant(self, position: int) -> str:
        """A word of the table."""
        return self.at("%self", cpython.BYTES + 8 * position)

    def address(self, positions: list[int]) -> str:
        """Where successive words of the table are."""
        offset = cpython.BYTES + 8 * positions[0]
        return self.value(f"getelementptr i8, ptr %self, i64 {offset}")
