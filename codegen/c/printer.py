"""Print kernels as a C99 library: a source file, a header, and what its functions are.

What enters are verified kernels; what leaves is a ``Unit``: the text of one ``.c`` and
one ``.h`` file, and the description of each function for a caller in another language.
Nothing is allocated and nothing is kept between calls: the caller brings the workspace.

>>> from codegen.loop_ir import Accumulate, Assign, For, Var, dim, integer, load, number
>>> x = Array("x", "float64", (dim("n"),), role="input")
>>> i, s = Var("i", "int64"), Var("s", "float64")
>>> loop = For(i, integer(0), dim("n"), 1, (Accumulate(s, "add", load(x, i)),))
>>> kernel = Kernel("total", (x,), (Assign(s, number(0.0)), loop), (s,))
>>> print(print_function(kernel, "model_total", []).definition)
int model_total(const double *x, int64_t n, double *result)
{
    double s = 0.0;
    TG_ANY_ORDER(+:s)
    for (int64_t i = 0; i < n; ++i) {
        s += x[i];
    }
    *result = s;
    return 0;
}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from codegen.c.arrays import Arrays, Room, analyse, cells, entry_sizes
from codegen.c.expressions import CTYPES, SUM, Expressions, constant
from codegen.c.identifiers import PREFIX, Identifiers
from codegen.c.layout import WIDTH, broken
from codegen.c.scopes import declarations, read
from codegen.c.statements import Status, Writer
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    Check,
    Comment,
    Const,
    DType,
    Expr,
    For,
    If,
    Kernel,
    Library,
    Op,
    Reshape,
    Stmt,
    Var,
    View,
    While,
    walk,
)
from codegen.verifier import verify

# Counting in steps below this takes years to overflow.
_STEP = 2**20
_UNKNOWN = Const(2**62, "int64")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a C function.

    kind: "input", "output" (arrays, and pointers to one number), "size", "capacity" or
        "workspace".
    name: in C.
    shape: of an array, over the names of scalars and sizes; None for a number.
    """

    kind: str
    name: str
    dtype: DType
    shape: tuple[Expr, ...] | None = None

    @property
    def text(self) -> str:
        """The declaration."""
        if self.kind == "workspace":
            return f"void *{self.name}"
        pointer = self.kind == "output" or self.shape is not None
        const = "const " if self.kind == "input" and pointer else ""
        star = "*" if pointer else ""
        return f"{const}{CTYPES[self.dtype]} {star}{self.name}"

    @property
    def counts(self) -> bool:
        """Whether the size of the workspace may depend on it."""
        return self.dtype == "int64" and self.shape is None and self.kind != "output"


@dataclass(frozen=True, slots=True)
class Function:
    """A printed function.

    definition: its C text.
    work_size: the text of the function that tells the size of its workspace, if any.
    names: of the kernel's parameters and sizes, in C.
    helpers, maths, routines: what it calls.
    """

    name: str
    parameters: tuple[Parameter, ...]
    definition: str
    work_size: str
    names: dict[str, str]
    helpers: frozenset[str]
    maths: frozenset[str]
    routines: frozenset[tuple[str, str]]
    doc: str = ""


def print_function(
    kernel: Kernel,
    name: str,
    statuses: list[Status],
    constants: Mapping[str, Sequence[float]] | None = None,
) -> Function:
    """The C function of a kernel; the statuses it can return join the others.

    Args:
        kernel: a verified one.
        name: of the function.
        statuses: those of the library so far.
        constants: the cells of input arrays that are part of the function.

    Raises:
        NotExpressible: if C can't say it without allocating.
    """
    verify(kernel)
    kernel = replace(kernel, body=_unshared(kernel.body))
    return _Printer(kernel, name, statuses, constants or {}).function()


class _Printer:
    """Prints one kernel."""

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        statuses: list[Status],
        constants: Mapping[str, Sequence[float]],
    ) -> None:
        self._kernel = kernel
        self._constants = constants
        self._name = name
        self._arrays: Arrays = analyse(kernel)
        self._names = Identifiers()
        self._expressions = Expressions(self._names)
        self._sizes = entry_sizes(kernel)
        self._parameters = self._declared()
        places = declarations(kernel.body, kernel.results)
        types = self._local_types()
        unread = types.keys() - read(kernel.body, kernel.results)
        self._writer = Writer(
            self._arrays, places, statuses, types, unread, self._expressions
        )
        self._writer.capacity = self._capacity

    def function(self) -> Function:
        """The whole function, and the one that tells its workspace's size."""
        writer = self._writer
        self._place_parameters()
        leading = _leading_checks(self._kernel.body)
        # The same block, in two parts: declarations go by the place in the whole.
        writer.block(self._kernel.body, 0, leading)
        if self._arrays.rooms:
            self._carve()
        writer.block(self._kernel.body, leading)
        for pointer, result in zip(self._results, self._kernel.results, strict=True):
            writer.line(f"*{pointer} = {self._expressions.text(result)};")
        writer.line("return 0;")
        head = signature(f"int {self._name}", list(map(self._text, self._parameters)))
        definition = "\n".join((*head, "{", *broken(self._body()), "}"))
        return Function(
            self._name,
            tuple(self._parameters),
            definition,
            self._work_size(),
            {name: self._names.of(name) for name in self._expressions.entry},
            frozenset(self._expressions.helpers),
            frozenset(self._expressions.maths),
            frozenset(writer.routines),
            self._kernel.doc,
        )

    def _text(self, parameter: Parameter) -> str:
        """A parameter as defined: nothing overlaps an output, as the header says.

        The header itself, which C++ may read, can't say it in code.
        """
        free = {
            self._names.of(array.name)
            for array in self._kernel.parameters
            if isinstance(array, Array) and array.role == "output"
            if array.name not in self._arrays.swapped
        }
        text = parameter.text
        return text.replace("*", "*restrict ") if parameter.name in free else text

    def _body(self) -> list[str]:
        """The lines, with declarations of what they use."""
        lines = self._writer.page.lines
        declared = []
        for name in self._writer.storage.named:
            if _uses(lines, name) == 1:
                lines = [x for x in lines if not x.lstrip().startswith(f"{name} = ")]
            else:
                declared.append(f"    int64_t {name} = 0;")
        unused = [p.name for p in self._parameters if not _uses(lines, p.name)]
        voids = [f"    (void){name};" for name in unused]
        return [*self._tables(lines), *self._pointers(), *declared, *voids, *lines]

    def _tables(self, used: Sequence[str]) -> list[str]:
        """The arrays that are constant."""
        lines = []
        for parameter in self._kernel.parameters:
            name = self._names.of(parameter.name)
            if parameter.name not in self._constants or not _uses(used, name):
                continue
            values = self._constants[parameter.name]
            cells = [constant(value, parameter.dtype)[0] for value in values] or ["0"]
            head = f"static const {CTYPES[parameter.dtype]}"
            lines.append(f"    {head} {name}[] = {{")
            rows = wrap(", ".join(cells), WIDTH - 8, break_on_hyphens=False)
            lines += [*(" " * 8 + row for row in rows), "    };"]
        return lines

    # --- parameters ----------------------------------------------------------------

    def _declared(self) -> list[Parameter]:
        """The parameters in C's order: inputs, sizes, outputs, workspace."""
        name, kernel = self._names.of, self._kernel
        inputs: list[Parameter] = []
        outputs: list[Parameter] = []
        for parameter in kernel.parameters:
            shape = parameter.shape if isinstance(parameter, Array) else None
            output = isinstance(parameter, Array) and parameter.role == "output"
            kind = "output" if output else "input"
            if parameter.name in self._constants:
                continue
            made = Parameter(kind, name(parameter.name), parameter.dtype, shape)
            (outputs if output else inputs).append(made)
            if shape is None and parameter.dtype == "int64":
                self._expressions.numbers.add(parameter.name)
        sizes = [Parameter("size", name(s.name), "int64") for s in self._sizes]
        self._expressions.small |= {size.name for size in self._sizes}
        scalars = {p.name for p in kernel.parameters if isinstance(p, Var)}
        self._expressions.entry = scalars | {size.name for size in self._sizes}
        count = len(kernel.results)
        wanted = ["result"] if count == 1 else [f"result{k}" for k in range(count)]
        self._results = [self._names.fresh(text) for text in wanted]
        pairs = zip(self._results, kernel.results, strict=True)
        outputs[:0] = [Parameter("output", text, r.dtype) for text, r in pairs]
        self._capacity = self._names.fresh("capacity")
        self._workspace = self._names.fresh("workspace")
        if self._arrays.growing:
            sizes.append(Parameter("capacity", self._capacity, "int64"))
        extra = [Parameter("workspace", self._workspace, "float64")]
        return [*inputs, *sizes, *outputs, *(extra if self._arrays.rooms else [])]

    def _local_types(self) -> dict[str, str]:
        """C types of the scalars that aren't parameters, and which of them count."""
        types: dict[str, str] = {}
        for stmt in walk(self._kernel.body):
            match stmt:
                case Assign(target=Var() as var) | Accumulate(target=Var() as var):
                    types[var.name] = CTYPES[var.dtype]
                case For(var=var):
                    self._expressions.small.add(var.name)
                case Library(outputs=outputs):
                    for output in outputs:
                        if isinstance(output, Var):
                            types[output.name] = CTYPES[output.dtype]
                case _:
                    pass
        # A name that a loop also counts with may be anything elsewhere.
        self._expressions.small -= types.keys()
        self._expressions.small |= _counters(self._kernel, self._expressions.small)
        return types

    def _place_parameters(self) -> None:
        for parameter in self._kernel.parameters:
            if isinstance(parameter, Array):
                lengths = [self._expressions.text(size) for size in parameter.shape]
                inner = [self._expressions.text(s, SUM + 2) for s in parameter.shape]
                self._writer.storage.place(parameter.name, lengths, inner[1:])

    def _pointers(self) -> list[str]:
        """Declarations of all arrays that aren't parameters."""
        found: dict[str, DType] = {room.name: room.dtype for room in self._arrays.rooms}
        for stmt in walk(self._kernel.body):
            if isinstance(stmt, View | Reshape):
                found[stmt.view.name] = stmt.view.dtype
            elif isinstance(stmt, Allocate):
                found[stmt.array.name] = stmt.array.dtype
        lines = []
        rooms = {room.name for room in self._arrays.rooms}
        for name, dtype in found.items():
            const = "const " if name in self._arrays.constant else ""
            # An array of its own: nothing else points there, but what comes from it.
            free = name in rooms - self._arrays.swapped
            restrict = "restrict " if free else ""
            text = f"{const}{CTYPES[dtype]} *{restrict}{self._names.of(name)};"
            lines.append(f"    {text}")
        return lines

    # --- the workspace -------------------------------------------------------------

    def _carve(self) -> None:
        """Give each array its part of the workspace."""
        writer, room = self._writer, self._names.fresh("room")
        writer.line(f"char *{room} = (char *){self._workspace};")
        for part in self._arrays.rooms:
            kind, name = CTYPES[part.dtype], self._names.of(part.name)
            array = Array(part.name, part.dtype, part.shape)
            lengths = writer.storage.lengths(array)
            if part.rows is not None:
                rows = self._names.fresh(f"{part.name}_rows")
                writer.line(f"int64_t {rows} = {lengths[0]};")
                lengths = [rows, *lengths[1:]]
            writer.storage.place(part.name, lengths, lengths[1:])
            writer.line(f"{name} = ({kind} *){room};")
            if part is not self._arrays.rooms[-1]:
                writer.line(f"{room} += {self._room(part)};")

    def _room(self, part: Room) -> str:
        """The bytes of one array, rounded up."""
        shape, rows, dtype = part.shape, part.rows, part.dtype
        count = self._expressions.text(cells(shape))
        if rows is not None:
            inner = self._expressions.text(cells(shape[1:]), SUM + 1)
            least = self._expressions.text(rows)
            most = self._expressions.helper("maximum", "int64", least, self._capacity)
            count = f"{most} * {inner}"
        self._expressions.helpers.add("room")
        return f"{PREFIX}room({count}, sizeof({CTYPES[dtype]}))"

    def _work_size(self) -> str:
        """A function of the same integers that tells the bytes of the workspace."""
        if not self._arrays.rooms:
            return ""
        counts = [p for p in self._parameters if p.counts]
        head = signature(f"size_t {self._name}_work_size", [p.text for p in counts])
        parts = [self._room(part) for part in self._arrays.rooms]
        unused = [p.name for p in counts if not _uses(parts, p.name)]
        lines = ["    size_t size = 0;", *(f"    size += {part};" for part in parts)]
        lines += [f"    (void){name};" for name in unused]
        return "\n".join((*head, "{", *lines, "    return size;", "}"))


def signature(start: str, parameters: Sequence[str]) -> list[str]:
    """The lines of a declaration, without its end."""
    text = f"{start}({', '.join(parameters) or 'void'})"
    if len(text) <= WIDTH:
        return [text]
    lines = [""]
    for item in (*(f"{parameter}," for parameter in parameters[:-1]), parameters[-1]):
        if lines[-1] and len(f"    {lines[-1]} {item})") > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {item}".strip()
    lines[-1] += ")"
    return [f"{start}(", *(f"    {line}" for line in lines)]


def _counters(kernel: Kernel, small: set[str]) -> set[str]:
    """Integers that only ever count: what they become is one of them, or a step on.

    Sums of two of them don't count: they could grow beyond any bound.
    """
    values: dict[str, list[Expr]] = {}
    for stmt in walk(kernel.body):
        match stmt:
            case Assign(target=Var(name, "int64"), value=value):
                values.setdefault(name, []).append(value)
            case Accumulate(target=Var(name, "int64") as var, combine=combine):
                step = Op(combine, (var, stmt.value), "int64")
                values.setdefault(name, []).append(step)
            case Library(outputs=outputs):
                for output in outputs:
                    values.setdefault(output.name, []).append(_UNKNOWN)
            case _:
                pass
    found = set(values)
    while True:
        known = found | small
        wrong = {n for n in found if not all(_steps(v, known) for v in values[n])}
        if not wrong:
            return found
        found -= wrong


def _steps(value: Expr, known: set[str]) -> bool:
    match value:
        case Const(number):
            return abs(number) < _STEP
        case Var(name):
            return name in known
        case Op("add" | "subtract", (inner, Const(number))):
            return abs(number) < _STEP and _steps(inner, known)
        case _:
            return False


def _uses(lines: Sequence[str], name: str) -> int:
    """In how many lines a name is, comments aside."""
    word = re.compile(rf"\b{name}\b")
    code = (line for line in lines if not line.lstrip().startswith("//"))
    return sum(bool(word.search(line)) for line in code)


def _leading_checks(body: Sequence[Stmt]) -> int:
    """How many statements at the start only test or explain."""
    for position, stmt in enumerate(body):
        if not isinstance(stmt, Check | Comment):
            return position
    return len(body)


def _unshared(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The same statements, each an object of its own: identities tell places apart."""
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For(body=inner) | While(body=inner):
                result.append(replace(stmt, body=_unshared(inner)))
            case If(then=then, otherwise=otherwise):
                arms = _unshared(then), _unshared(otherwise)
                result.append(replace(stmt, then=arms[0], otherwise=arms[1]))
            case _:
                result.append(replace(stmt))
    return tuple(result)


__all__ = ["Function", "Parameter", "Status", "print_function"]
