"""What a printed kernel needs to stand in a file of its own: its helpers.

What enters are the names of helpers; what leaves is Python that defines them: the very
sources of ``vector_math``, ``support`` and ``dense``, as far as they are used, for
Numba; and for a Python without Numba those of ``plain_instructions``, so that the same
file runs there, slowly.

>>> "def radd(typing: Any, total: Any, term: Any)" in preamble(["radd"])
True
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from textwrap import indent

from codegen import layout
from codegen.arena import workspace_size
from codegen.expressions import assign, bundle, call, expression, name
from codegen.loop_ir import Array, Check, Kernel, integer
from codegen.printer import bound_sizes, print_python
from codegen.statements import GUARD

_ROOT = Path(__file__).parent
# In the order in which their definitions are printed.
_FILES = (
    "vector_math/instructions.py",
    "vector_math/function.py",
    "vector_math/exponential.py",
    "vector_math/trigonometry.py",
    "vector_math/special.py",
    "support.py",
    "dense.py",
)
_PLAIN = "plain_instructions.py"
_NUMBA = ("numba", "llvmlite")
# An exported file keeps nothing in a cache of its own making.
_REPLACED = {
    "inlined": '''\
def inlined(body):
    """A body for Numba to compile into its callers, with all flags explicit."""
    flags = {"error_model": "numpy", "fastmath": False, "boundscheck": False}
    return njit(forceinline=True, **flags)(body)'''
}
_Node = ast.FunctionDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, slots=True)
class _Definition:
    """A top-level definition: its text, and the names that it reads."""

    text: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Module:
    """Definitions by name, in order; the import statement that brings each name."""

    definitions: dict[str, _Definition]
    imports: dict[str, str]

    def texts(self, names: Iterable[str]) -> list[str]:
        """The definitions of names."""
        return [self.definitions[name].text for name in names]

    def closure(self, names: Iterable[str]) -> list[str]:
        """These names and all that they need, in order, one for each definition."""
        found: set[str] = set()
        waiting = [name for name in names if name in self.definitions]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                read = self.definitions[name].names
                waiting += [other for other in read if other in self.definitions]
        first: dict[str, str] = {}
        for name, definition in self.definitions.items():
            if name in found:
                first.setdefault(definition.text, name)
        return list(first.values())

    def imported(self, names: Iterable[str]) -> set[str]:
        """The import statements that definitions need."""
        read = frozenset[str]().union(*(self.definitions[n].names for n in names))
        return {self.imports[name] for name in read if name in self.imports}


def preamble(helpers: Iterable[str], imports: Iterable[str] = ()) -> str:
    """Imports and definitions that a file needs for kernels that call these helpers.

    Args:
        helpers: names of the vector maths and of ``support``.
        imports: further import statements, of the standard library.
    """
    numba, plain = _library(), _module(_PLAIN)
    wanted = numba.closure(helpers)
    # Of some, a plain Python has its own version; others only Numba understands.
    switched = {name for name in wanted if name in plain.definitions}
    compiled = _compiled(wanted, numba, switched)
    shared = [name for name in wanted if name not in compiled]
    instead = plain.closure({*switched, "njit", "truncated"})
    needed = numba.imported(wanted) | plain.imported(instead)
    optional = {line for line in needed if _is_numba(line)} | {"from numba import njit"}
    standard = {line for line in needed - optional if "numpy" not in line} | {*imports}
    parts = [
        "from __future__ import annotations\n",
        *_sorted(standard),
        "\nimport numpy as np\n",
        "try:",
        indent("\n".join(_sorted(optional)), "    "),
        "except ImportError:\n    njit = None\n",
        _branches(numba.texts(compiled), plain.texts(instead)),
        *(f"\n\n{text}" for text in numba.texts(shared)),
    ]
    return "\n".join(parts) + "\n"


def names_defined(helpers: Iterable[str]) -> set[str]:
    """Every name that the preamble takes."""
    numba, plain = _library(), _module(_PLAIN)
    return {*numba.closure(helpers), *plain.definitions, *numba.imports, *plain.imports}


@cache
def _library() -> _Module:
    """All helpers as Numba sees them."""
    whole = _Module({}, {})
    for file in _FILES:
        module = _module(file)
        clash = whole.definitions.keys() & module.definitions.keys()
        assert not clash, f"{file} defines {clash} again"
        whole.definitions.update(module.definitions)
        whole.imports.update(module.imports)
    return whole


@cache
def _module(file: str) -> _Module:
    """The definitions of a file; imports from our own files are left out."""
    text = (_ROOT / file).read_text("utf-8")
    lines = text.splitlines()
    module = _Module({}, {})
    for node in ast.parse(text).body:
        match node:
            case ast.ImportFrom(module=str() as source) if "codegen" not in source:
                for alias in node.names:
                    line = f"from {source} import {ast.unparse(alias)}"
                    module.imports[alias.asname or alias.name] = line
            case ast.Import(names=[alias]):
                line = f"import {ast.unparse(alias)}"
                module.imports[alias.asname or alias.name] = line
            case ast.FunctionDef() | ast.Assign() | ast.AnnAssign():
                definition = _definition(node, lines)
                module.definitions.update(dict.fromkeys(_bound(node), definition))
            case _:
                pass
    module.imports.pop("annotations", None)
    return module


def _bound(node: _Node) -> list[str]:
    """The names that a definition binds."""
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]


def _definition(node: _Node, lines: list[str]) -> _Definition:
    """A definition with its decorators, and the comment right above it."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)]) - 1
    while first and lines[first - 1].startswith("#") and "---" not in lines[first - 1]:
        first -= 1
    text = "\n".join(lines[first : node.end_lineno])
    text = _REPLACED.get(getattr(node, "name", ""), text)
    names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    return _Definition(text, frozenset(names - {*_bound(node)}))


def _compiled(wanted: list[str], module: _Module, switched: set[str]) -> list[str]:
    """Those that speak to Numba or LLVM, themselves or through others."""
    found = {
        name
        for name in wanted
        if name in switched or any(map(_is_numba, module.imported([name])))
    }
    while True:
        private = found - switched
        more = {n for n in wanted if module.definitions[n].names & private} - found
        if not more:
            return [name for name in wanted if name in found]
        found |= more


def _branches(compiled: list[str], plain: list[str]) -> str:
    """Both versions of what differs."""
    meaning = "# What Python's conversions mean in a kernel.\n"
    plain = [*plain, f"{meaning}int, float = truncated, np.float64"]
    second = indent("\n\n".join(plain), "    ")
    if not compiled:
        return f"if njit is None:\n\n{second}"
    first = indent("\n\n".join(compiled), "    ")
    return f"if njit is not None:\n\n{first}\n\nelse:\n\n{second}"


def _is_numba(line: str) -> bool:
    return line.split()[1].split(".")[0] in _NUMBA


def _sorted(lines: Iterable[str]) -> list[str]:
    """Import statements as linters want them: one for each module, in order."""
    members: dict[str, list[str]] = {}
    modules = []
    for line in lines:
        if line.startswith("import "):
            modules.append(line)
        else:
            module, _, name = line.removeprefix("from ").partition(" import ")
            members.setdefault(module, []).append(name)
    merged = [
        f"from {module} import {', '.join(sorted(names, key=_rank))}"
        for module, names in sorted(members.items())
    ]
    return [*sorted(modules), *merged]


def _rank(name: str) -> tuple[int, str]:
    """Constants first, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


# --- how a kernel is called ---------------------------------------------------------


def preparation(kernel: Kernel, words_name: str) -> list[str]:
    """Python lines, of the kernel's inputs by name, that make what else it takes.

    They bind sizes, make the output arrays, and last, if there is a workspace, the
    number of its float64 words.
    """
    outputs = [
        parameter
        for parameter in kernel.parameters
        if isinstance(parameter, Array) and parameter.role == "output"
    ]
    words = workspace_size(kernel)
    sizes = [size for array in outputs for size in array.shape]
    stmts = bound_sizes(kernel, [*sizes, words])
    for array in outputs:
        shape = bundle(map(expression, array.shape))
        dtype = [] if array.dtype == "float64" else [name(dtype_name(array.dtype))]
        stmts.append(assign(name(array.name), call("np.empty", shape, *dtype)))
    if words != integer(0):
        stmts.append(assign(name(words_name), expression(words)))
    return [line for stmt in stmts for line in layout.lines(stmt, 0)]


def dtype_name(dtype: str) -> str:
    """NumPy's name of a dtype."""
    return "np.bool_" if dtype == "bool" else f"np.{dtype}"


def guards(kernel: Kernel) -> list[str]:
    """What a kernel assumes of the sizes, as text."""
    return [
        stmt.message or ast.unparse(expression(stmt.cond))
        for stmt in kernel.body
        if isinstance(stmt, Check) and stmt.kind == GUARD
    ]


def kernel_text(kernel: Kernel, title: str, cache: bool) -> tuple[str, set[str]]:
    """A kernel under another name, decorated; and the helpers that it calls."""
    source = print_python(replace(kernel, name=title))
    kept = ("cache=True",) if cache else ()
    return source.decorated(*kept), set(source.helpers)
