"""The rules that keep the house simple, read from the syntax of every file.

Floors: a module imports only from floors below its own (or from its own). Only codegen
imports Numba; codegen knows nothing of tracegrad; only ``lower`` speaks codegen's loop
language. No cycles. Functions import nothing but what is slow to import.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("tracegrad", "codegen")
MAX_FILE, MAX_FUNCTION, MAX_LINE = 500, 60, 88
SLOW_TO_IMPORT = {"numba", "llvmlite", "sympy", "mpmath", "scipy", "cloudpickle"}
# Modules that import Numba or SymPy themselves: deferring them is deferring those.
BRINGS_SLOW = {
    "codegen.function_pointers",
    "codegen.numba_compiler",
    "codegen.numba_functions",
    "tracegrad.proof.expressions",
}

# From the ground up; a module's floor is that of its longest matching prefix.
FLOORS = (
    ("codegen",),
    (
        *("tracegrad.errors", "tracegrad.pytree", "tracegrad.logging"),
        *("tracegrad.ir.source", "tracegrad.ir.shapes"),
    ),
    ("tracegrad.ir",),
    ("tracegrad.primitives",),
    ("tracegrad.numpy_api",),
    ("tracegrad.traces.tracer", "tracegrad.traces.words"),
    ("tracegrad.traces", "tracegrad.transforms"),
    ("tracegrad.lower",),
    ("tracegrad",),
)


def source_files() -> dict[str, Path]:
    """Every module of both packages."""
    return {
        module_name(path.relative_to(ROOT)): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = source_files()


@cache
def parsed(module: str) -> ast.Module:
    """A module's tree, for all the rules: it must not be changed."""
    return ast.parse(FILES[module].read_text())


@cache
def imported(module: str) -> set[str]:
    """All that a module imports, whoever runs or reads it."""
    return {name for name, _ in imports(parsed(module), set(FILES))}


@cache
def imported_to_run(module: str) -> set[str]:
    """What a module imports that isn't for type checkers only."""
    tree = without_type_checking(ast.parse(FILES[module].read_text()))
    return {name for name, _ in imports(tree, set(FILES))}


def imports(tree: ast.AST, known: set[str]) -> Iterator[tuple[str, ast.AST]]:
    """Modules that are imported when the code runs; names resolved to modules."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node) for alias in names)
            case ast.ImportFrom(module=module, names=names) if module:
                for alias in names:
                    inner = f"{module}.{alias.name}"
                    yield (inner if inner in known else module), node


def without_type_checking(tree: ast.Module) -> ast.Module:
    """The tree without blocks that only a type checker reads."""

    class Remover(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | None:
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return None
            return self.generic_visit(node)

    return Remover().visit(tree)


def floor(module: str) -> int:
    """How far up a module lives."""
    matches = [
        (len(prefix), level)
        for level, prefixes in enumerate(FLOORS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(matches)[1]


def above(module: str, imported: str) -> bool:
    """Whether an import goes up the stairs."""
    return floor(imported) > floor(module)


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            at = stack.index(node)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(group)

    for node in graph:
        if node not in index:
            visit(node)
    return found


def nested_imports(tree: ast.Module, known: set[str]) -> list[str]:
    """Modules imported inside functions."""
    functions = (
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    return [name for f in functions for name, _ in imports(f, known)]


def long_functions(tree: ast.AST) -> list[str]:
    """Functions of more lines than allowed, decorators aside."""
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION
    ]


# --- the rules ---------------------------------------------------------------------


@pytest.mark.parametrize("module", FILES)
def test_imports_only_from_floors_below(module):
    wrong = [
        name
        for name in imported_to_run(module)
        if name.split(".")[0] in PACKAGES and above(module, name)
    ]
    assert not wrong, f"{module} imports from above: {wrong}"


def test_codegen_knows_nothing_of_tracegrad():
    for module in FILES:
        if module.split(".")[0] == "codegen":
            names = {name.split(".")[0] for name in imported(module)}
            assert "tracegrad" not in names, module


def test_only_codegen_imports_numba():
    for module in FILES:
        if module.split(".")[0] != "codegen":
            names = {name.split(".")[0] for name in imported(module)}
            assert not names & {"numba", "llvmlite"}, module


def test_only_lower_speaks_the_loop_language():
    for module in FILES:
        if module.startswith("tracegrad") and not module.startswith("tracegrad.lower"):
            wrong = imported(module) & {"codegen.loop_ir", "codegen.verifier"}
            assert not wrong, module


def test_there_are_no_import_cycles():
    # A package's __init__ is a manifest: its modules don't import it.
    graph = {
        module: (imported_to_run(module) & set(FILES)) - {module.rsplit(".", 1)[0]}
        for module in FILES
    }
    assert cycles(graph) == []


@pytest.mark.parametrize("module", FILES)
def test_functions_import_only_what_is_slow(module):
    wrong = [
        name
        for name in nested_imports(parsed(module), set(FILES))
        if name.split(".")[0] not in SLOW_TO_IMPORT and name not in BRINGS_SLOW
    ]
    assert not wrong, f"{module} imports inside functions: {wrong}"


@pytest.mark.parametrize("module", FILES)
def test_sizes(module):
    text = FILES[module].read_text()
    lines = text.splitlines()
    assert len(lines) <= MAX_FILE, f"{module} has {len(lines)} lines"
    assert not long_functions(parsed(module)), module
    assert all(len(line) <= MAX_LINE for line in lines), module


def test_importing_tracegrad_does_not_import_what_is_slow():
    import subprocess
    import sys

    code = (
        "import sys, tracegrad; "
        "print([m for m in ('numba', 'sympy', 'mpmath', 'scipy') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


# --- the rules' own tests ----------------------------------------------------------


def test_imports_are_found_and_resolved():
    tree = ast.parse(
        "import numba.core\nfrom tracegrad import errors, grad\n"
        "def f():\n    from scipy import special\n"
    )
    known = {"tracegrad", "tracegrad.errors"}
    found = [name for name, _ in imports(tree, known)]
    assert found == ["numba.core", "tracegrad.errors", "tracegrad", "scipy"]
    assert nested_imports(tree, known) == ["scipy"]


def test_floors_are_ordered():
    assert above("tracegrad.errors", "tracegrad.ir.graph")
    assert above("tracegrad.primitives.linalg", "tracegrad.traces.tracer")
    assert above("codegen.jit", "tracegrad.errors")
    assert not above("tracegrad.api", "tracegrad.lower.lower")
    assert not above("tracegrad.transforms.vjp", "tracegrad.traces.tracer")
    assert floor("tracegrad.ir.source") < floor("tracegrad.ir.graph")


def test_cycles_are_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert [sorted(g) for g in cycles({"a": {"b"}, "b": {"a"}, "c": {"a"}})] == [
        ["a", "b"]
    ]


def test_type_checking_blocks_are_ignored():
    tree = ast.parse("if TYPE_CHECKING:\n    import numba\nimport math\n")
    assert [n for n, _ in imports(without_type_checking(tree), set())] == ["math"]


def test_long_functions_are_found():
    short = "def f():\n" + "    x = 1\n" * (MAX_FUNCTION - 1)
    assert long_functions(ast.parse(short)) == []
    assert long_functions(ast.parse(short + "    x = 1\n")) == ["f"]
