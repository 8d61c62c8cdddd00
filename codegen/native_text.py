"""Print a kernel's native entry as LLVM text.

One function, whose blocks follow the call: bind arguments to parameters, look at what
is outside, take each argument apart, allocate, call, build the result. A check that
fails goes to ``other``, which hands the whole call on. Constants, such as the addresses
of types and functions, are in a table, so that kernels of one signature share the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from codegen import cpython
from codegen.arena import workspace_size
from codegen.loop_ir import (
    Array,
    Const,
    Expr,
    For,
    Kernel,
    Library,
    Op,
    Var,
    While,
    walk,
)
from codegen.native_call import (
    NOTHING,
    Call,
    Contiguous,
    Display,
    Filled,
    Kind,
    MachineCode,
    Nest,
    Number,
    Outside,
    Result,
    Returned,
    Same,
    Unsupported,
)
from codegen.native_lines import Lines
from codegen.workspace import give, take

_LLVM = {"float64": "double", "float32": "float", "int64": "i64", "int32": "i32"}
_SIZES = {"add": "add", "subtract": "sub", "multiply": "mul"}
_READY = cpython.C_CONTIGUOUS | cpython.ALIGNED


class Writer(Lines):
    """Writes the text of one entry, and collects its table."""

    def __init__(
        self,
        kernel: Kernel,
        call: Call,
        code: MachineCode,
        general: Callable[..., Any],
    ) -> None:
        super().__init__()
        self._kernel, self._call, self._code = kernel, call, code
        self._passed: list[tuple[str, str]] = []  # the kernel's arguments, typed
        self._sizes: dict[str, str] = {}
        self._ranges: list[tuple[str, str]] = []  # where each array starts and ends
        self._general = self.object(general)

    def text(self) -> str:
        """The module.

        Raises:
            Unsupported: if the kernel or call has parts that this doesn't print.
        """
        call, parameters = self._call, self._kernel.parameters
        inputs = [p for p in parameters if not _is_output(p)]
        outputs = [p for p in parameters if isinstance(p, Array) and _is_output(p)]
        slots, out = self._bound()
        hidden = [found for o in call.outside if (found := self._outside(o))]
        taken: list[list[tuple[str, str]]] = []
        for slot, argument in zip(slots, call.arguments, strict=True):
            taken += self._leaves(slot, argument.kind)
        given = [taken[k] for k in call.inputs] + hidden
        for parameter, values in zip(inputs, given, strict=True):
            self._pass(parameter, values)
        made = [
            self._output(k, array, out if call.out == Filled(k) else None)
            for k, array in enumerate(outputs)
        ]
        returned = self._run()
        result = self._build(call.result, returned, made)
        used = set(_filled(call.result))
        self.release([m for k, m in enumerate(made) if k not in used])
        self.release([t for t in self.temporaries if t not in made])
        self.line(f"ret ptr {result}")
        return self._module()

    def _module(self) -> str:
        self.label("other")
        self.line("call void @PyErr_Clear()")
        self.release(self.temporaries)
        handler = self.constant(self._general)
        arguments = f"ptr {handler}, ptr %args, i64 %nargs, ptr %kwnames"
        self.line(f"%instead = call ptr @PyObject_Vectorcall({arguments})")
        self.line("ret ptr %instead")
        self.label("failed")
        self.release(self.temporaries)
        self.line("ret ptr null")
        return self.module()

    # --- arguments and parameters --------------------------------------------------

    def _bound(self) -> tuple[list[str], str]:
        """Each parameter's argument, and the one of ``out=`` (null if there is none).

        A call by position with every argument needs no binding.
        """
        arguments = self._call.arguments
        count, total = len(arguments), len(arguments) + 1
        positional = sum(not a.keyword for a in arguments)
        names = [self.object(a.name) if a.name else self.word(0) for a in arguments]
        names += [self.word(0) if self._call.out is None else self.object("out")]
        defaults = [
            self.word(0) if a.default is NOTHING else self.object(a.default)
            for a in arguments
        ]
        defaults.append(self.word(0))
        slots = self.alloca(f"[{total} x ptr]")
        if positional == count:
            exact = self.value(f"icmp eq i64 %nargs, {count}")
            plain = self.value("icmp eq ptr %kwnames, null")
            self.branch(self.value(f"and i1 {exact}, {plain}"), "given", "binding")
        else:
            self.line("br label %binding")
        self.label("binding")
        bind = (
            f"ptr %args, i64 %nargs, ptr %kwnames, ptr {self.address(names)}, "
            f"ptr {self.address(defaults)}, i64 {positional}, i64 {total}, ptr {slots}"
        )
        self.require(self.value(f"call i1 @bind({bind})"))
        for k in range(count):
            self.require(f"icmp ne ptr {self.at(slots, 8 * k)}, null")
        out = self.at(slots, 8 * count)
        none = self.constant(self.object(None))
        is_none = self.value(f"icmp eq ptr {out}, {none}")
        out = self.value(f"select i1 {is_none}, ptr null, ptr {out}")
        before = self.block
        self.line("br label %given")
        self.label("given")
        if positional != count:
            return [self.at(slots, 8 * k) for k in range(count)], out
        given = self.value(f"phi ptr [%args, %start], [{slots}, %{before}]")
        out = self.value(f"phi ptr [null, %start], [{out}, %{before}]")
        return [self.at(given, 8 * k) for k in range(count)], out

    def _leaves(self, thing: str, kind: Kind) -> list[list[tuple[str, str]]]:
        """The machine values of each leaf of an argument."""
        if not isinstance(kind, Nest):
            return [self._take(thing, kind)]
        self.is_type(thing, self.object(kind.type))
        parts = self._items(thing, kind)
        if not issubclass(kind.type, tuple):
            for part in parts:  # another thread may take it out while the kernel runs
                self.line(f"call void @Py_IncRef(ptr {part})")
                self.line(f"store ptr {part}, ptr {self.temporary()}")
        leaves = []
        for part, inner in zip(parts, kind.parts, strict=True):
            leaves += self._leaves(part, inner)
        return leaves

    def _items(self, thing: str, kind: Nest) -> list[str]:
        """The parts of a container, of which it keeps the references."""
        if kind.keys is None:
            length = self.at(thing, cpython.LENGTH, "i64")
        else:
            length = self.value(f"call i64 @PyDict_Size(ptr {thing})")
        self.require(f"icmp eq i64 {length}, {len(kind.parts)}")
        if issubclass(kind.type, tuple):
            offsets = (cpython.TUPLE + 8 * k for k in range(len(kind.parts)))
            return [self.at(thing, offset) for offset in offsets]
        if kind.keys is None:
            items = self.at(thing, cpython.LIST)
            return [self.at(items, 8 * k) for k in range(len(kind.parts))]
        found = []
        for key in kind.keys:
            name = self.constant(self.object(key))
            arguments = f"ptr {thing}, ptr {name}"
            item = self.value(f"call ptr @PyDict_GetItemWithError({arguments})")
            self.require(f"icmp ne ptr {item}, null")
            found.append(item)
        return found

    def _take(self, thing: str, kind: Kind) -> list[tuple[str, str]]:
        """The machine values of a leaf; none for one that must be the same."""
        if isinstance(kind, Same):
            same = self.constant(self.object(kind.value))
            self.require(f"icmp eq ptr {thing}, {same}")
            return []
        if isinstance(kind, Contiguous):
            return self._take_array(thing, kind)
        assert isinstance(kind, Number)
        self.is_type(thing, self.object(kind.type))
        if kind.dtype not in _LLVM:
            raise Unsupported(f"numbers of {kind.dtype}")
        if kind.type is not int:
            return [self._number(thing, cpython.NUMBER, kind.dtype)]
        overflow = self.alloca("i32")
        value = self.value(
            f"call i64 @PyLong_AsLongLongAndOverflow(ptr {thing}, ptr {overflow})"
        )
        beyond = self.value(f"load i32, ptr {overflow}")
        self.require(f"icmp eq i32 {beyond}, 0")
        return [("i64", value)]

    def _number(self, thing: str, offset: int, dtype: str) -> tuple[str, str]:
        return _LLVM[dtype], self.at(thing, offset, _LLVM[dtype])

    def _take_array(self, thing: str, kind: Contiguous) -> list[tuple[str, str]]:
        self.is_array(thing, kind.dtype, kind.rank)
        own = self.temporary()
        ready, copied = self.fresh("ready"), self.fresh("copied")
        before = self.block
        self.branch(self.has_flags(thing, _READY), ready, copied)
        self.label(copied)
        copy = self.call_one(np.ascontiguousarray, thing)
        self.require(f"icmp ne ptr {copy}, null")
        self.line(f"store ptr {copy}, ptr {own}")
        self.require(self.has_flags(copy, _READY))
        self.line(f"br label %{ready}")
        after = self.block
        self.label(ready)
        array = self.value(f"phi ptr [{thing}, %{before}], [{copy}, %{after}]")
        if not kind.rank:
            if kind.dtype not in _LLVM:
                raise Unsupported(f"numbers of {kind.dtype}")
            data = self.at(array, cpython.DATA)
            return [self._number(data, 0, kind.dtype)]
        return self._parts(array, kind.dtype, kind.rank)

    def _parts(self, array: str, dtype: str, rank: int) -> list[tuple[str, str]]:
        """An array as Numba passes it; the range of its memory is noted."""
        data = self.at(array, cpython.DATA)
        shape, strides = (
            [self.at(at, 8 * k, "i64") for k in range(rank)]
            for at in (
                self.at(array, cpython.SHAPE),
                self.at(array, cpython.STRIDES),
            )
        )
        items = shape[0]
        for size in shape[1:]:
            items = self.value(f"mul i64 {items}, {size}")
        width = np.dtype(dtype).itemsize
        extent = self.value(f"mul i64 {items}, {width}")
        end = self.value(f"getelementptr i8, ptr {data}, i64 {extent}")
        self._ranges.append((data, end))
        words = [items, str(width)]
        return [
            *(("ptr", "null"), ("ptr", "null")),
            *(("i64", word) for word in words),
            ("ptr", data),
            *(("i64", word) for word in (*shape, *strides)),
        ]

    def _pass(self, parameter: Array | Var, values: list[tuple[str, str]]) -> None:
        """Pass an input to the kernel, and know the sizes that it brings."""
        if isinstance(parameter, Array):
            if len(values) != 5 + 2 * parameter.rank or not parameter.contiguous:
                raise Unsupported(f"how {parameter.name} is passed")
            for size, (_, value) in zip(parameter.shape, values[5:], strict=False):
                if isinstance(size, Var):
                    self._sizes.setdefault(size.name, value)
        else:
            if [kind for kind, _ in values] != [_LLVM.get(parameter.dtype)]:
                raise Unsupported(f"how {parameter.name} is passed")
            self._sizes.setdefault(parameter.name, values[0][1])
        self._passed += values

    # --- checks --------------------------------------------------------------------

    def _outside(self, outside: Outside) -> list[tuple[str, str]] | None:
        """Check what is outside; the machine values of an array."""
        owner = self.constant(self.object(outside.owner))
        if outside.place == "code":
            found = self.value(f"call ptr @PyFunction_GetCode(ptr {owner})")
        elif outside.place == "cell":
            found = self.value(f"call ptr @PyCell_Get(ptr {owner})")
        else:
            key = self.constant(self.object(outside.key))
            get = {"item": "PyDict_GetItemWithError", "attribute": "PyObject_GetAttr"}
            function = get[outside.place]
            found = self.value(f"call ptr @{function}(ptr {owner}, ptr {key})")
        owned = outside.place in ("cell", "attribute")
        if isinstance(outside.kind, Same):
            expected = self.constant(self.object(outside.kind.value))
            same = self.value(f"icmp eq ptr {found}, {expected}")
            if owned:
                self.line(f"call void @Py_DecRef(ptr {found})")
            self.require(same)
            return None
        self.require(f"icmp ne ptr {found}, null")
        if not owned:
            self.line(f"call void @Py_IncRef(ptr {found})")
        self.line(f"store ptr {found}, ptr {self.temporary()}")
        return self._take(found, outside.kind)

    # --- outputs -------------------------------------------------------------------

    def _output(self, position: int, array: Array, out: str | None) -> str:
        """Allocate an output, or take the caller's; where its reference is."""
        shape = [self._size(size) for size in array.shape]
        own = self.temporary()
        ready = self.fresh("ready")
        if out is not None:
            made, offered = self.fresh("made"), self.fresh("offered")
            missing = self.value(f"icmp eq ptr {out}, null")
            self.branch(missing, made, offered)
            self.label(offered)
            self._check_offered(out, array, shape)
            self.line(f"call void @Py_IncRef(ptr {out})")
            self.line(f"store ptr {out}, ptr {own}")
            self.line(f"br label %{ready}")
            self.label(made)
        sizes = self.alloca(f"[{array.rank} x i64]")
        for k, size in enumerate(shape):
            place = self.value(f"getelementptr i64, ptr {sizes}, i64 {k}")
            self.line(f"store i64 {size}, ptr {place}")
        kind = self.constant(self.ndarray)
        dtype = self.constant(self.object(np.dtype(array.dtype)))
        self.line(f"call void @Py_IncRef(ptr {dtype})")  # NumPy takes that one
        create = self.constant(self.word(cpython.new_array()))
        arguments = (
            f"ptr {kind}, ptr {dtype}, i32 {array.rank}, ptr {sizes}, "
            "ptr null, ptr null, i32 0, ptr null"
        )
        new = self.value(f"call ptr {create}({arguments})")
        self.require(f"icmp ne ptr {new}, null")
        self.line(f"store ptr {new}, ptr {own}")
        self.line(f"br label %{ready}")
        self.label(ready)
        filled = self.value(f"load ptr, ptr {own}")
        self._passed += self._parts(filled, array.dtype, array.rank)
        return own

    def _check_offered(self, out: str, array: Array, shape: list[str]) -> None:
        """Require an array that fits and that no input overlaps."""
        self.is_array(out, array.dtype, array.rank)
        self.require(self.has_flags(out, _READY | cpython.WRITEABLE))
        inputs = list(self._ranges)
        parts = self._parts(out, array.dtype, array.rank)
        start, end = self._ranges.pop()
        for (_, found), wanted in zip(parts[5:], shape, strict=False):
            self.require(f"icmp eq i64 {found}, {wanted}")
        for first, last in inputs:
            before = self.value(f"icmp ule ptr {end}, {first}")
            after = self.value(f"icmp ule ptr {last}, {start}")
            self.require(self.value(f"or i1 {before}, {after}"))

    def _size(self, size: Expr) -> str:
        """A size over what is known at entry."""
        match size:
            case Const(value):
                return str(int(value))
            case Var(text) if text in self._sizes:
                return self._sizes[text]
            case Op(operation, (left, right)) if operation in _SIZES:
                a, b = self._size(left), self._size(right)
                return self.value(f"{_SIZES[operation]} i64 {a}, {b}")
            case Op("maximum", (left, right)):
                a, b = self._size(left), self._size(right)
                return self.value(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")
            case Op("floor_divide", (left, Const(divisor))):
                power = int(divisor).bit_length() - 1
                if int(divisor) == 1 << power:
                    return self.value(f"ashr i64 {self._size(left)}, {power}")
        raise Unsupported(f"a size: {size}")

    # --- the kernel and its results ------------------------------------------------

    def _run(self) -> list[tuple[str, str]]:
        """Call the kernel; where each scalar is that it returns, with its dtype."""
        arena = self._arena()
        kinds = tuple(kind for kind, _ in self._passed)
        dtypes = tuple(result.dtype for result in self._kernel.results)
        if kinds != self._code.parameters or dtypes != self._code.results:
            raise Unsupported("another way to call compiled code")
        memory = self.alloca(f"[{max(len(dtypes), 1)} x i64]")
        error = self.alloca("ptr")
        function = self.constant(self.word(self._code.address))
        loops = any(
            isinstance(s, For | While | Library) for s in walk(self._kernel.body)
        )
        if loops:  # what takes long lets other threads run
            thread = self.value("call ptr @PyEval_SaveThread()")
        passed = ", ".join(f"{kind} {value}" for kind, value in self._passed)
        arguments = ", ".join(filter(None, (f"ptr {memory}, ptr {error}", passed)))
        status = self.value(f"call i32 {function}({arguments})")
        if loops:
            self.line(f"call void @PyEval_RestoreThread(ptr {thread})")
        if arena:
            back = self.call_one(give, arena)
            self.line(f"call void @Py_DecRef(ptr {back})")
        self.require(f"icmp eq i32 {status}, 0")
        found: list[tuple[str, str]] = []
        offset = 0
        for dtype in dtypes:
            width = np.dtype(dtype).itemsize
            offset = -(-offset // width) * width
            place = self.value(f"getelementptr i8, ptr {memory}, i64 {offset}")
            found.append((dtype, place))
            offset += width
        return found

    def _arena(self) -> str | None:
        """Take the scratch memory that the kernel needs, and pass it."""
        words = workspace_size(self._kernel)
        if words == Const(0, "int64"):
            return None
        count = self.value(f"call ptr @PyLong_FromLongLong(i64 {self._size(words)})")
        self.line(f"store ptr {count}, ptr {self.temporary()}")
        self.require(f"icmp ne ptr {count}, null")
        arena = self.call_one(take, count)
        self.line(f"store ptr {arena}, ptr {self.temporary()}")
        self.require(f"icmp ne ptr {arena}, null")
        self._passed += self._parts(arena, "float64", 1)
        return arena

    def _build(self, result: Result, scalars: Any, arrays: list[str]) -> str:
        """A new reference to what is returned."""
        match result:
            case Same(value):
                same = self.constant(self.object(value))
                self.line(f"call void @Py_IncRef(ptr {same})")
                return same
            case Filled(position):
                return self.value(f"load ptr, ptr {arrays[position]}")
            case Returned(position, kind):
                dtype, place = scalars[position]
                made = self._scalar(dtype, place, kind)
                self.require(f"icmp ne ptr {made}, null", otherwise="failed")
                return made
        items = [self._build(item, scalars, arrays) for item in result.items]
        if result.keys is not None:
            return self._dict(result.keys, items)
        title = "List" if result.type is list else "Tuple"
        bundle = self.value(f"call ptr @Py{title}_New(i64 {len(items)})")
        self.require(f"icmp ne ptr {bundle}, null", "failed")
        offset, base = cpython.TUPLE, bundle
        if result.type is list and items:
            offset, base = 0, self.at(bundle, cpython.LIST)
        for k, item in enumerate(items):
            place = self.value(f"getelementptr i8, ptr {base}, i64 {offset + 8 * k}")
            self.line(f"store ptr {item}, ptr {place}")
        return bundle

    def _dict(self, keys: tuple[Any, ...], items: list[str]) -> str:
        made = self.value("call ptr @PyDict_New()")
        self.require(f"icmp ne ptr {made}, null", "failed")
        for key, item in zip(keys, items, strict=True):
            arguments = f"ptr {made}, ptr {self.constant(self.object(key))}, ptr {item}"
            status = self.value(f"call i32 @PyDict_SetItem({arguments})")
            self.require(f"icmp eq i32 {status}, 0", "failed")
            self.line(f"call void @Py_DecRef(ptr {item})")
        return made

    def _scalar(self, dtype: str, place: str, kind: type | None) -> str:
        """A Python number, or a NumPy scalar if a type is given."""
        if kind is not None:
            like = self.constant(self.object(np.dtype(kind)))
            create = self.constant(self.word(cpython.new_scalar()))
            return self.value(f"call ptr {create}(ptr {place}, ptr {like}, ptr null)")
        match dtype:
            case "float64":
                value = self.value(f"load double, ptr {place}")
                return self.value(f"call ptr @PyFloat_FromDouble(double {value})")
            case "int64":
                value = self.value(f"load i64, ptr {place}")
                return self.value(f"call ptr @PyLong_FromLongLong(i64 {value})")
        raise Unsupported(f"a Python number of {dtype}")


def _is_output(parameter: Array | Var) -> bool:
    return isinstance(parameter, Array) and parameter.role == "output"


def _filled(result: Result) -> Iterator[int]:
    """The positions of the arrays that are returned."""
    if isinstance(result, Filled):
        yield result.position
    elif isinstance(result, Display):
        for item in result.items:
            yield from _filled(item)
