"""Write the statements of a kernel as lines of C.

What enters are verified statements; what leaves are indented lines, with a comment
wherever the user's line changes. The printer puts a function around them. Whatever
would raise in Python returns a status here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from codegen.c.arrays import Arrays, refuse
from codegen.c.expressions import ARITHMETIC, CTYPES, LOGICAL, SUM, Expressions
from codegen.c.identifiers import PREFIX
from codegen.c.layout import Page
from codegen.c.library import call, failure
from codegen.c.reductions import any_order
from codegen.c.storage import Storage, bracketed, moved
from codegen.errors import IRError
from codegen.expressions import signed
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    Break,
    Call,
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
    blocks,
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
        self.names = expressions.names
        self.page = Page()
        self.storage = Storage(expressions, self.page)
        self.line = self.page.line
        self.routines: set[tuple[str, str]] = set()
        self.capacity = "capacity"
        self._arrays = arrays
        self._places = places
        self._statuses = statuses
        self._dtypes = dtypes
        self._unread = unread
        self._location: Location | None = None

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
        storage = self.storage
        before = {**storage.shapes}, {**storage.apart}
        with self.page.deeper():
            self.block(body)
        for known, now in zip(before, (storage.shapes, storage.apart), strict=True):
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
        self.line(comment(text, self.page.room))

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
            case Store(array, index, value, combine):
                cell = Load(array, index, array.dtype, stmt.nonnegative)
                if combine is None:
                    self.line(f"{self.storage.cell(cell)} = {text(value)};")
                else:
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
            case Call():
                raise IRError("C is printed as one function")
            case _:
                self._whole(stmt)

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
        self._free_order(stmt)
        self.line(f"for (int64_t {var} = {low}; {test}; {advance}) {{")
        self._inside(stmt.body)
        self.line("}")

    def _free_order(self, stmt: For) -> None:
        """Say which sums of a loop may be added in any order."""
        blocks_inside = {id(stmt.body)} | {
            id(block) for inner in walk(stmt.body) for block in blocks(inner)
        }
        own = {
            name
            for (block, _), names in self._places.items()
            if block in blocks_inside
            for name in names
        }
        sums = any_order(stmt, own, self._arrays.shared)
        for symbol in sorted(set(sums.values())):
            names = [self.names.of(n) for n, s in sums.items() if s == symbol]
            self.expressions.helpers.add("any_order")
            self.line(f"{PREFIX.upper()}ANY_ORDER({symbol}:{', '.join(names)})")

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
        with self.page.deeper():
            for test in dict.fromkeys(tests):
                self.stop(test, "IndexError", "index out of bounds", self._location)
            self.line(f"if ({self.expressions.negation(stmt.cond)})")
            self.line("    break;")
        self._inside(stmt.body)
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
                room = self._arrays.again.get(id(stmt))
                if room is not None:
                    lengths = self.storage.lengths(array)
                    self.storage.place(array.name, lengths, lengths[1:])
                    self._point(array, self.names.of(room.name))
                if zero:
                    self._fill(array, Const(0, array.dtype), ())
            case View(view, base, starts, index):
                self._view(view, base, (*index, *starts))
            case Reshape(view, base):
                lengths = self.storage.lengths(view)
                self.storage.place(view.name, lengths, lengths[1:])
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
        apart = self.storage.apart[base.name]
        inner = apart[len(apart) - view.rank + 1 :] if view.rank > 1 else []
        self.storage.place(view.name, self.storage.lengths(view), inner)
        texts = [self.expressions.text(start, SUM) for start in starts]
        offset = self.storage.offset(base, texts)
        self._point(view, moved(self.names.of(base.name), offset))

    def _fill(self, array: Array, value: Expr, prefix: tuple[Expr, ...]) -> None:
        """Loops over the axes that are left: one where the cells lie in a row."""
        if isinstance(value, Const):
            self._fill_cells(array, self.expressions.text(value), prefix)
            return
        self.line("{")
        with self.page.deeper():
            text = self.expressions.text(value)
            self.line(f"const {CTYPES[array.dtype]} value = {text};")
            self._fill_cells(array, "value", prefix)
        self.line("}")

    def _fill_cells(self, array: Array, value: str, prefix: tuple[Expr, ...]) -> None:
        name, storage = self.names.of(array.name), self.storage
        index = [self.expressions.text(item, SUM) for item in prefix]
        rest = storage.shapes[array.name][len(prefix) :]
        if array.contiguous and len(rest) > 1:
            start = moved(name, storage.offset(array, index) if index else "0")
            count = " * ".join(map(bracketed, rest))
            self.line(f"for (int64_t k0 = 0; k0 < {count}; ++k0)")
            cells = start if start == name else f"({start})"
            self.line(f"    {cells}[k0] = {value};")
            return
        for depth, length in enumerate(rest):
            head = f"for (int64_t k{depth} = 0; k{depth} < {length}; ++k{depth})"
            self.line("    " * depth + head)
            index.append(f"k{depth}")
        cell = f"{name}[{storage.offset(array, index)}]"
        self.line("    " * len(rest) + f"{cell} = {value};")

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
        rows, *lengths = self.storage.shapes[array.name]
        kind, name = CTYPES[array.dtype], self.names.of(array.name)
        wanted = self.expressions.text(size)
        self.stop(
            f"{wanted} > {self.capacity}",
            CAPACITY,
            f"the array {array.name} needs more rows than the capacity",
            self._location,
        )
        inner = "".join(f" * {length}" for length in map(bracketed, lengths))
        cells = f"({rows}_more - {rows}){inner}"
        self.line("{")
        with self.page.deeper():
            self.line(f"int64_t {rows}_more = 2 * ({wanted});")
            self.line(f"if ({rows}_more > {self.capacity})")
            self.line(f"    {rows}_more = {self.capacity};")
            start = f"{name} + {rows}{inner}"
            self.line(f"memset({start}, 0, (size_t)({cells}) * sizeof({kind}));")
            self.line(f"{rows} = {rows}_more;")
        self.line("}")

    def _library(self, stmt: Library) -> None:
        """A call of a dense routine; a failed one stops the kernel."""
        dtype = stmt.operands[0].array.dtype
        self.routines.add((stmt.routine, dtype))
        text = call(stmt, self.names, self.storage.shapes, self.storage.apart)
        message = failure(stmt.routine)
        if message:
            self.stop(text, "LinAlgError", message, stmt.location)
        else:
            self.line(f"{text};")


def comment(text: str, room: int) -> str:
    """A comment line: nothing in it may end or continue it, or hide text."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = "// " + clean.replace("??", "? ?")
    if len(line) > room:
        line = line[: room - 3].rstrip() + "..."
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
