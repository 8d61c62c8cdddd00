"""Write the statements of a kernel as lines of C.

What enters are verified statements; what leaves are indented lines, with a comment
wherever the user's line changes. The printer puts a function around them. Whatever
would raise in Python returns a status here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import PurePath

from codegen.c.arrays import Arrays, refuse
from codegen.c.expressions import ARITHMETIC, CTYPES, LOGICAL, SUM, Expressions
from codegen.c.identifiers import PREFIX
from codegen.c.layout import WIDTH
from codegen.c.library import call, failure
from codegen.expressions import signed
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    Break,
    Check,
    Comment,
    Const,
    Continue,
    Expr,
    Fill,
    For,
    Grow,
    If,
    Library,
    Load,
    Location,
    Op,
    Reshape,
    Select,
    Size,
    Stmt,
    Store,
    Swap,
    Var,
    View,
    While,
    children,
    nested,
    walk,
)

CAPACITY = "capacity"
"""The kind of the status that asks for a larger workspace."""


@dataclass(frozen=True, slots=True)
class Status:
    """Why a function stopped: what Python would have raised, and at which line."""

    kind: str
    message: str
    location: Location | None


class Writer:
    """Lines being written, where arrays lie, and the statuses that are returned.

    Args:
        expressions: prints expressions; asked back for cells and sizes.
        arrays: what the kernel's arrays are.
        places: the names to declare before each statement.
        statuses: those of the whole library; the first one is 1.
        dtypes: of every scalar.
        unread: scalars that nothing reads, of which C's compilers would warn.
    """

    def __init__(
        self,
        arrays: Arrays,
        places: dict[tuple[int, int], list[str]],
        statuses: list[Status],
        dtypes: dict[str, str],
        unread: set[str],
        expressions: Expressions,
    ) -> None:
        self.expressions = expressions
        expressions.cell, expressions.axis = self.cell, self.axis
        self.names = expressions.names
        self.lines: list[str] = []
        self.routines: set[tuple[str, str]] = set()
        self._arrays = arrays
        self._places = places
        self._statuses = statuses
        self._dtypes = dtypes
        self._unread = unread
        self._indent = 4
        self._location: Location | None = None
        # The lengths of arrays, and of the axes by which their cells are apart.
        self.shapes: dict[str, list[str]] = {}
        self._apart: dict[str, list[str]] = {}
        self.hoisted: list[str] = []
        self._lengths: dict[str, str] = {}
        self.capacity = "capacity"

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append(" " * self._indent + text)

    # --- arrays --------------------------------------------------------------------

    def place(self, name: str, shape: list[str], apart: list[str]) -> None:
        """Take note of an array's lengths, and of its storage's inner lengths."""
        self.shapes[name], self._apart[name] = shape, apart

    def lengths(self, array: Array) -> list[str]:
        """A text for each length of an array, bound to a name if it is an expression.

        What it was when the array was made is what it stays.
        """
        result = []
        for size in array.shape:
            text = self.expressions.text(size)
            stable = isinstance(size, Const) or (
                isinstance(size, Var) and size.name in self.expressions.entry
            )
            result.append(text if stable else self._length(size, text))
        return result

    def _length(self, size: Expr, text: str) -> str:
        """A name for a length; one of what is known at entry serves all arrays."""
        known = self._lengths.get(text)
        if known is not None:
            return known
        name = self.names.fresh("length")
        self.hoisted.append(name)
        self.line(f"{name} = {text};")
        names = {part.name for part in nested(size) if isinstance(part, Var)}
        if names <= self.expressions.entry and self._indent == 4:
            self._lengths[text] = name
        return name

    def cell(self, load: Load) -> str:
        """``a[i * n + j]``."""
        return self._cell(load.array, load.index, load.nonnegative)

    def _cell(
        self, array: Array, index: tuple[Expr, ...], nonnegative: bool = True
    ) -> str:
        items = list(index)
        texts = []
        for axis, item in enumerate(items):
            text = self.expressions.text(item, SUM)
            if not nonnegative:
                size = self.expressions.text(Size(array, axis))
                self.expressions.helpers.add("wrapped_i64")
                text = f"{PREFIX}wrapped_i64({text}, {size})"
            texts.append(text)
        return f"{self.names.of(array.name)}[{self._offset(array, texts)}]"

    def _offset(self, array: Array, index: list[str]) -> str:
        """How far a cell, or a part of an array, is from its beginning."""
        apart = self._apart[array.name]
        text = index[0]
        for length, item in zip_longest(apart, index[1:], fillvalue="0"):
            head = "" if text == "0" else f"{_bracketed(text)} * {length}"
            text = " + ".join(part for part in (head, item) if part not in ("", "0"))
            text = text or "0"
        return text

    def axis(self, size: Size) -> str:
        """A length of an array."""
        return self.shapes[size.array.name][size.axis]

    # --- blocks --------------------------------------------------------------------

    def block(
        self, body: Sequence[Stmt], start: int = 0, end: int | None = None
    ) -> None:
        """Write statements in order, with the declarations that they need."""
        for place, stmt in list(enumerate(body))[start:end]:
            self._locate(getattr(stmt, "location", None))
            declared = self._declare(self._places.get((id(body), place), ()), stmt)
            if not isinstance(stmt, While):
                self._checks(stmt)
            self.statement(stmt, declared)
            for name in self._places.get((id(body), place), ()):
                if name in self._unread:
                    self.line(f"(void){self.names.of(name)};")

    def _inside(self, body: Sequence[Stmt]) -> None:
        """Write a nested block; an array that it makes another is unknown after it."""
        before = {**self.shapes}, {**self._apart}
        self._indent += 4
        self.block(body)
        self._indent -= 4
        for known, now in zip(before, (self.shapes, self._apart), strict=True):
            for name, lengths in known.items():
                if now[name] != lengths:
                    raise refuse(f"{name} is two arrays of different shapes")

    def _declare(self, names: Sequence[str], stmt: Stmt) -> str:
        """Declare names; the prefix of the statement, if that declares its own."""
        own = ""
        for name in names:
            if name in self._dtypes:
                kind = self._dtypes[name]
                if isinstance(stmt, Assign) and stmt.target.name == name:
                    inside = any(
                        isinstance(part, Var) and part.name == name
                        for part in nested(stmt.value)
                    )
                    if not inside:
                        own = f"{kind} "
                        continue
                self.line(f"{kind} {self.names.of(name)} = 0;")
        return own

    def _locate(self, location: Location | None) -> None:
        """Say which line of the user's comes next, if it changed."""
        if location is None or location == self._location:
            return
        self._location = location
        file = PurePath(location.file.replace("\\", "/")).name
        self.comment(f"{file}:{location.line}: {location.text}")

    def comment(self, text: str) -> None:
        """Write a comment on one line."""
        self.lines.append(comment(text, self._indent))

    # --- what stops a kernel -------------------------------------------------------

    def stop(self, test: str, kind: str, message: str, where: Location | None) -> None:
        """Write ``if (test) return status;``."""
        status = Status(kind, message, where)
        if status not in self._statuses:
            self._statuses.append(status)
        self.line(f"if ({test})")
        self.line(f"    return {self._statuses.index(status) + 1};")

    def _checks(self, stmt: Stmt) -> None:
        """Test the indices of a statement that aren't proven."""
        found: list[str] = []
        for expr in _evaluated(stmt):
            found += self._unproven(expr, ())
        if isinstance(stmt, Store) and not stmt.in_bounds:
            found += self._outside(stmt.array, stmt.index, ())
        for test in dict.fromkeys(found):
            self.stop(test, "IndexError", "index out of bounds", self._location)

    def _unproven(self, expr: Expr, given: tuple[str, ...]) -> Iterator[str]:
        """The tests of an expression's indices, under the conditions it is under."""
        text = self.expressions
        match expr:
            case Select(cond, then, otherwise):
                yield from self._unproven(cond, given)
                yield from self._unproven(then, (*given, text.text(cond, LOGICAL + 1)))
                opposite = f"!({text.text(cond)})"
                yield from self._unproven(otherwise, (*given, opposite))
            case Op("and" | "or" as word, (left, right)):
                yield from self._unproven(left, given)
                test = text.text(left, LOGICAL + 1)
                test = test if word == "and" else f"!({test})"
                yield from self._unproven(right, (*given, test))
            case Load(array, index, in_bounds=False):
                for item in index:
                    yield from self._unproven(item, given)
                yield from self._outside(array, index, given)
            case _:
                for child in children(expr):
                    yield from self._unproven(child, given)

    def _outside(
        self, array: Array, index: tuple[Expr, ...], given: tuple[str, ...]
    ) -> Iterator[str]:
        for axis, item in enumerate(index):
            pair = self.expressions.text(item), self.expressions.text(Size(array, axis))
            self.expressions.helpers.add("outside_i64")
            yield " && ".join((*given, f"{PREFIX}outside_i64({', '.join(pair)})"))

    # --- statements ----------------------------------------------------------------

    def statement(self, stmt: Stmt, declared: str = "") -> None:
        """Write any statement."""
        text = self.expressions.text
        match stmt:
            case Assign(target, value):
                self.line(f"{declared}{self.names.of(target.name)} = {text(value)};")
            case Accumulate(target, combine, value):
                self._update(target, combine, value)
            case Store(array, index, value, None):
                self.line(f"{self._target(stmt)} = {text(value)};")
            case Store(array, index, value, combine):
                assert combine is not None
                cell = Load(array, index, array.dtype, stmt.nonnegative)
                self._update(cell, combine, value)
            case Check(cond, kind, message):
                self._check(cond, kind, message, stmt.location)
            case Comment(words):
                self.comment(words)
            case Break():
                self.line("break;")
            case Continue():
                self.line("continue;")
            case For():
                self._for(stmt)
            case While():
                self._while(stmt)
            case If():
                self._if(stmt)
            case _:
                self._whole(stmt)

    def _target(self, stmt: Store) -> str:
        return self._cell(stmt.array, stmt.index, stmt.nonnegative)

    def _update(self, target: Var | Load, combine: str, value: Expr) -> None:
        """Write ``target = operation(target, value)``, in place where C can."""
        operation, operand = signed(combine, value)
        left = self.expressions.text(target)
        if operation in ARITHMETIC and self.expressions.plain(
            operation, (target, operand)
        ):
            symbol = ARITHMETIC[operation][0]
            self.line(f"{left} {symbol}= {self.expressions.text(operand)};")
            return
        whole = Op(operation, (target, operand), target.dtype)
        self.line(f"{left} = {self.expressions.text(whole)};")

    def _check(
        self, cond: Expr, kind: str, message: str, where: Location | None
    ) -> None:
        """Stop unless a condition holds; not for one that holds by declaration."""
        if isinstance(cond, Op) and cond.name == "equal":
            sides = {self.expressions.text(arg) for arg in cond.args}
            if len(sides) == 1:
                return
        self.stop(self.expressions.negation(cond), kind, message, where)

    def _for(self, stmt: For) -> None:
        var = self.names.of(stmt.var.name)
        low, high = self.expressions.text(stmt.lo), self.expressions.text(stmt.hi)
        if not self._fixed(stmt.hi, stmt.body):
            end = self.names.fresh(f"{stmt.var.name}_end")
            self.line(f"const int64_t {end} = {high};")
            high = end
        test = f"{var} {'<' if stmt.step > 0 else '>'} {high}"
        match stmt.step:
            case 1:
                advance = f"++{var}"
            case -1:
                advance = f"--{var}"
            case step:
                advance = f"{var} {'+' if step > 0 else '-'}= {abs(step)}"
        self.line(f"for (int64_t {var} = {low}; {test}; {advance}) {{")
        self._inside(stmt.body)
        self.line("}")

    def _fixed(self, bound: Expr, body: Sequence[Stmt]) -> bool:
        """Whether a loop's body can't change its bound, which counts at entry."""
        written: set[str] = set()
        for stmt in walk(tuple(body)):
            match stmt:
                case Assign(target=Var(name)) | Accumulate(target=Var(name)):
                    written.add(name)
                case Library(outputs=outputs):
                    written |= {output.name for output in outputs}
                case Grow(array=array):
                    written.add(array.name)
                case _:
                    pass
        for part in nested(bound):
            match part:
                case Load():
                    return False
                case Var(name) | Size(array=Array(name=name)) if name in written:
                    return False
                case _:
                    pass
        return True

    def _while(self, stmt: While) -> None:
        tests = list(self._unproven(stmt.cond, ()))
        if not tests:
            self.line(f"while ({self.expressions.text(stmt.cond)}) {{")
            self._inside(stmt.body)
            self.line("}")
            return
        self.line("while (true) {")
        self._indent += 4
        for test in dict.fromkeys(tests):
            self.stop(test, "IndexError", "index out of bounds", self._location)
        self.line(f"if ({self.expressions.negation(stmt.cond)})")
        self.line("    break;")
        self.block(stmt.body)
        self._indent -= 4
        self.line("}")

    def _if(self, stmt: If) -> None:
        self.line(f"if ({self.expressions.text(stmt.cond)}) {{")
        self._inside(stmt.then)
        if stmt.otherwise:
            self.line("} else {")
            self._inside(stmt.otherwise)
        self.line("}")

    # --- statements about whole arrays ---------------------------------------------

    def _whole(
        self, stmt: Fill | Allocate | View | Reshape | Library | Swap | Grow
    ) -> None:
        match stmt:
            case Fill(array, value, prefix):
                self._fill(array, value, prefix)
            case Allocate(array, zero):
                if zero:
                    self._fill(array, Const(0, array.dtype), ())
            case View(view, base, starts, index):
                self._view(view, base, (*index, *starts))
            case Reshape(view, base):
                lengths = self.lengths(view)
                self.place(view.name, lengths, lengths[1:])
                self._point(view, self.names.of(base.name))
            case Library():
                self._library(stmt)
            case Swap(targets, sources):
                self._swap(targets, sources)
            case Grow(array, size):
                self._grow(array, size)

    def _point(self, view: Array, where: str) -> None:
        self.line(f"{self.names.of(view.name)} = {where};")

    def _view(self, view: Array, base: Array, starts: tuple[Expr, ...]) -> None:
        inner = self._apart[base.name][len(self._apart[base.name]) - view.rank + 1 :]
        self.place(view.name, self.lengths(view), inner if view.rank > 1 else [])
        offset = self._offset(base, [self.expressions.text(s, SUM) for s in starts])
        self._point(view, _moved(self.names.of(base.name), offset))

    def _fill(self, array: Array, value: Expr, prefix: tuple[Expr, ...]) -> None:
        """Loops over the axes that are left: one where the cells lie in a row."""
        kind, text = CTYPES[array.dtype], self.expressions.text(value)
        held = not isinstance(value, Const)
        index = [self.expressions.text(item, SUM) for item in prefix]
        rest = self.shapes[array.name][len(prefix) :]
        row = array.contiguous and len(rest) > 1
        if held or row:
            self.line("{")
            self._indent += 4
        if held:
            self.line(f"const {kind} value = {text};")
            text = "value"
        name = self.names.of(array.name)
        if row:
            start = self._offset(array, index) if index else "0"
            self.line(f"{kind} *cells = {_moved(name, start)};")
            rest, index, cell = [" * ".join(map(_bracketed, rest))], [], "cells[k0]"
        for depth, length in enumerate(rest):
            head = f"for (int64_t k{depth} = 0; k{depth} < {length}; ++k{depth})"
            self.line("    " * depth + head)
            index.append(f"k{depth}")
        if not row:
            cell = f"{name}[{self._offset(array, index)}]"
        self.line("    " * len(rest) + f"{cell} = {text};")
        if held or row:
            self._indent -= 4
            self.line("}")

    def _swap(self, targets: tuple[Array, ...], sources: tuple[Array, ...]) -> None:
        """A cycle of pointers, through temporaries."""
        self.line("{")
        held = [f"held{k}" for k in range(len(sources))]
        for name, source in zip(held, sources, strict=True):
            kind = CTYPES[source.dtype]
            self.line(f"    {kind} *{name} = {self.names.of(source.name)};")
        for name, target in zip(held, targets, strict=True):
            self.line(f"    {self.names.of(target.name)} = {name};")
        self.line("}")

    def _grow(self, array: Array, size: Expr) -> None:
        """More rows of the room that the array has, zeroed; twice as many as asked."""
        rows, kind = self.shapes[array.name][0], CTYPES[array.dtype]
        wanted = self.expressions.text(size)
        self.stop(
            f"{wanted} > {self.capacity}",
            CAPACITY,
            f"the array {array.name} needs more rows than the capacity",
            self._location,
        )
        name = self.names.of(array.name)
        inner = "".join(f" * {n}" for n in map(_bracketed, self.shapes[array.name][1:]))
        start = f"{name} + {rows}{inner}"
        self.line("{")
        self._indent += 4
        self.line(f"int64_t more = 2 * ({wanted});")
        self.line(f"more = more > {self.capacity} ? {self.capacity} : more;")
        cells = (
            f"(size_t)((more - {rows}){inner})" if inner else f"(size_t)(more - {rows})"
        )
        self.line(f"memset({start}, 0, {cells} * sizeof({kind}));")
        self.line(f"{rows} = more;")
        self._indent -= 4
        self.line("}")

    def _library(self, stmt: Library) -> None:
        """A call of a dense routine; a failed one stops the kernel."""
        dtype = stmt.operands[0].array.dtype
        self.routines.add((stmt.routine, dtype))
        text = call(stmt, self.names, self.shapes, self._apart)
        message = failure(stmt.routine)
        if message:
            self.stop(text, "LinAlgError", message, stmt.location)
        else:
            self.line(f"{text};")


def comment(text: str, indent: int) -> str:
    """A comment line: nothing in it may end or continue it, or hide text."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = " " * indent + "// " + clean.replace("??", "? ?")
    if len(line) > WIDTH:
        line = line[: WIDTH - 3].rstrip() + "..."
    return line + " ." if line.endswith("\\") else line


def _evaluated(stmt: Stmt) -> Iterator[Expr]:
    """What a statement evaluates once, nested blocks aside."""
    match stmt:
        case Assign(value=value) | Accumulate(value=value):
            yield value
        case Store(index=index, value=value) | Fill(prefix=index, value=value):
            yield from (*index, value)
        case For(lo=lo, hi=hi):
            yield from (lo, hi)
        case If(cond=cond) | Check(cond=cond):
            yield cond
        case View(starts=starts, index=index):
            yield from (*index, *starts)
        case Grow(size=size):
            yield size
        case _:
            pass


def _simple(text: str) -> bool:
    """Whether a text is a name, a number or a call: what ``*`` may stand next to."""
    return text.replace("_", "a").isalnum()


def _moved(pointer: str, offset: str) -> str:
    return pointer if offset == "0" else f"{pointer} + {_bracketed(offset)}"


def _bracketed(text: str) -> str:
    return text if _simple(text) else f"({text})"
