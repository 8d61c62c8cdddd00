"""Gradients that leave: as Python, as C, loaded again; the same to the last bit."""

import collections
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.c import CompilerError
from codegen.c.compiler import FLAGS, find_compiler
from examples.lynx_hare import HARES, LYNXES, STEPS, negative_log_likelihood
from tracegrad import export_c, export_python, grad, jit, load_library, value_and_grad
from tracegrad.errors import ArgumentError, LibraryError

ROOT = Path(__file__).parents[1]
START = np.log([0.5, 0.03, 0.8, 0.03, 30.0, 4.0, 0.3, 0.3])
ARGUMENTS = (START, HARES, LYNXES, STEPS)
LYNX = value_and_grad(negative_log_likelihood)
Fit = collections.namedtuple("Fit", ["slope", "count"])


@dataclasses.dataclass
class Line:
    slope: float
    points: np.ndarray


def nested(params, line, *, order=2):
    """Arguments and results in every nest; an unproven index; a table of constants."""
    weights = np.linspace(1.0, 2.0, 3)
    total = np.sum(weights * params["w"]) * line.slope
    for k in range(line.points.shape[0]):
        total += line.points[k] ** 2 / order
    return {"total": total, "all": [params["w"] * total, (line.points[order],)]}


def named(x):
    return Fit(np.float32(2.0) * x, 3), None, x


def newton(a):
    """A while loop that keeps something of every iteration."""
    total = 0.0
    for k in range(a.shape[0]):
        x = 1.0
        while abs(x * x * x - a[k]) > 1e-10:
            x -= (x * x * x - a[k]) / (3.0 * x * x)
        total += x * (k + 1.0)
    return total


def solved(A, b):
    """Dense linear algebra, and an error of the user's own."""
    if b[0] < 0.0:
        raise ValueError("b[0] must not be negative")
    return np.sum(np.linalg.solve(A, b) ** 2) + np.linalg.slogdet(A @ A.T)[1]


def solved_by_hand(A, b):
    """Its value and gradients: Numba takes a quarter of a minute for LAPACK."""
    x = np.linalg.solve(A, b)
    value = np.sum(x**2) + np.linalg.slogdet(A @ A.T)[1]
    b_bar = np.linalg.solve(A.T, 2.0 * x)
    return value, (2.0 * np.linalg.inv(A).T - np.outer(b_bar, x), b_bar)


def expected(name):
    if name == "solved":
        value, bars = solved_by_hand(*CALLS[name])
        return float(value), bars
    return FUNCTIONS[name][0](*CALLS[name])


PARAMS = {"w": np.array([1.0, -2.0, 0.5])}
NESTED = (PARAMS, Line(1.5, np.arange(4.0)))
MATRIX = np.random.default_rng(1).normal(size=(4, 4)) + 4.0 * np.eye(4)
FUNCTIONS = {
    "lynx": (LYNX, ARGUMENTS),
    "nested": (jit(nested), NESTED),
    "named": (jit(named), (np.ones(2, np.float32),)),
    "newton": (value_and_grad(newton), "float64[:]"),
    "solved": (value_and_grad(solved, argnums=(0, 1)), (MATRIX, np.ones(4))),
}
CALLS = {
    "lynx": ARGUMENTS,
    "nested": NESTED,
    "named": (np.array([1.0, 0.5], np.float32),),
    "newton": (np.array([2.0, 50.0, 1e6]),),
    "solved": (MATRIX, np.arange(1.0, 5.0)),
}


@pytest.fixture(scope="module")
def compiler():
    try:
        return find_compiler()
    except CompilerError:
        pytest.skip("there is no C compiler")


@pytest.fixture(scope="module")
def library(compiler, tmp_path_factory):
    functions = {name: function for name, (function, _) in FUNCTIONS.items()}
    signatures = [signature for _, signature in FUNCTIONS.values()]
    native = "native" if platform.machine() in ("x86_64", "aarch64") else None
    directory = tmp_path_factory.mktemp("library")
    return export_c(
        functions, signatures, directory, "model", build=True, march=native,
        flags=["-Werror"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    functions = {name: function for name, (function, _) in FUNCTIONS.items()}
    signatures = [signature for _, signature in FUNCTIONS.values()]
    path = tmp_path_factory.mktemp("python") / "model_grad.py"
    return export_python(functions, signatures, path)


def same(got, expected, rtol):
    """Equal in nest, type and value."""
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        got, expected = list(got.values()), list(expected.values())
    if isinstance(expected, (tuple, list)):
        assert len(got) == len(expected)
        assert type(got).__name__ == type(expected).__name__
        assert getattr(got, "_fields", None) == getattr(expected, "_fields", None)
        for one, other in zip(got, expected, strict=True):
            same(one, other, rtol)
    elif expected is None:
        assert got is None
    else:
        assert isinstance(got, type(expected))
        assert np.shape(got) == np.shape(expected)
        assert np.asarray(got).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(got, expected, rtol=rtol)


# Sums in free order and matrix products are as close as their rounding.
TOLERANCE = {"lynx": 0.0, "nested": 1e-15, "named": 0.0, "newton": 0.0, "solved": 1e-12}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_loaded_library_agrees(library, name):
    loaded = load_library(library.library)
    same(getattr(loaded, name)(*CALLS[name]), expected(name), TOLERANCE[name])


SCRIPT = """
import sys
if "plain" in sys.argv:
    sys.modules["numba"] = None  # what import finds where it is not installed
import pickle
import model_grad
with open(sys.argv[1], "rb") as file:
    calls = pickle.load(file)
results = {}
for name, arguments in calls.items():
    results[name] = getattr(model_grad, name)(*arguments)
    for leaf in ("tracegrad", "codegen"):
        assert leaf not in sys.modules
fit = results.pop("named")
results["named"] = (tuple(fit[0]), *fit[1:]), type(fit[0]).__name__
with open(sys.argv[2], "wb") as file:
    pickle.dump(results, file)
"""


def run_exported(module, tmp_path, *mode):
    """The results of the exported file in a process that can't find tracegrad."""
    import pickle

    # Numba takes seconds for each of the others.
    names = ("lynx", "named", "newton", "solved") if mode else ("lynx", "named")
    calls = {name: CALLS[name] for name in names}
    (tmp_path / "calls").write_bytes(pickle.dumps(calls))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(module.parent)}
    command = [sys.executable, str(script), str(tmp_path / "calls")]
    subprocess.run(
        [*command, str(tmp_path / "results"), *mode],
        check=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    return pickle.loads((tmp_path / "results").read_bytes())


@pytest.mark.parametrize("mode", [(), ("plain",)], ids=["numba", "plain"])
def test_the_exported_file_agrees_where_tracegrad_is_not(module, tmp_path, mode):
    results = run_exported(module, tmp_path, *mode)
    fit, title = results.pop("named")
    assert title == "Fit"
    record, *rest = expected("named")
    same(fit, (tuple(record), *rest), 0.0)
    for name, result in results.items():
        exact = not mode or name == "lynx"
        same(result, expected(name), 0.0 if exact else 1e-12)


def test_the_exported_file_takes_nested_arguments(module):
    scope = {"__name__": "model_grad"}
    exec(compile(module.read_text(), str(module), "exec"), scope)
    same(scope["nested"](*NESTED), expected("nested"), 0.0)
    with pytest.raises(TypeError, match="a is float32, where float64 is needed"):
        scope["newton"](np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"log_parameters.shape\[0\] >= 8"):
        scope["lynx"](START[:3], HARES, LYNXES, STEPS)
    with pytest.raises(ValueError, match="workspace needs"):
        scope["lynx"](*ARGUMENTS, workspace=np.empty(3))
    arena = np.empty(10000)
    same(scope["lynx"](*ARGUMENTS, workspace=arena), LYNX(*ARGUMENTS), 0.0)


def test_the_exported_file_is_clean_and_stable(module, tmp_path):
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length=92"]
    select = "--select=E,F,I,UP,SIM,PT"
    done = subprocess.run([*ruff, select, str(module)], capture_output=True, text=True)
    if "No module named ruff" in done.stderr:
        pytest.skip("ruff is not installed")
    assert not done.returncode, done.stdout
    text = module.read_text()
    assert "# lynx_hare.py:83: if year > 0:" in text
    assert str(ROOT) not in text
    again = export_python(
        {name: f for name, (f, _) in FUNCTIONS.items()},
        [signature for _, signature in FUNCTIONS.values()],
        tmp_path / "again.py",
    )
    assert again.read_text() == text


def test_only_helpers_that_are_used_come_along(tmp_path):
    path = export_python(grad(lambda x: x * x), "float64", tmp_path / "small.py")
    assert "exp_scaled" not in path.read_text()
    assert "llvmlite" not in path.read_text()


# --- C ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example(compiler, tmp_path_factory):
    """The directory of the C example, its files exported."""
    directory = tmp_path_factory.mktemp("example")
    for name in ("main.c", "CMakeLists.txt"):
        (directory / name).write_text((ROOT / "examples/c" / name).read_text())
    export_c({"value_and_grad": LYNX}, ARGUMENTS, directory, "lynx")
    return directory


def run_main(compiler, directory, *flags):
    """The numbers that the C program prints."""
    command = [*compiler, *FLAGS, "-Werror", *flags, "lynx.c", "main.c", "-lm"]
    subprocess.run([*command, "-o", "main"], check=True, cwd=directory)
    done = subprocess.run([directory / "main"], check=True, capture_output=True)
    return [float.fromhex(line) for line in done.stdout.decode().split()]


def test_a_c_program_prints_our_gradient(compiler, example):
    value, gradient = LYNX(*ARGUMENTS)
    flags = ["-march=native"] if platform.machine() == "x86_64" else []
    assert run_main(compiler, example, *flags) == [value, *gradient]
    # No undefined behaviour, no byte beyond the workspace.
    sanitised = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    assert run_main(compiler, example, *flags, *sanitised) == [value, *gradient]


@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no CMake")
def test_cmake_builds_it(example):
    native = platform.machine() == "x86_64"
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DLYNX_MARCH={'native' * native}"]
    for command in (["cmake", "-B", "out", *options], ["cmake", "--build", "out"]):
        subprocess.run(command, check=True, cwd=example, stdout=subprocess.DEVNULL)
    done = subprocess.run([example / "out/main"], check=True, capture_output=True)
    value, gradient = LYNX(*ARGUMENTS)
    found = [float.fromhex(line) for line in done.stdout.decode().split()]
    assert found == [value, *gradient]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="for x86-64")
def test_another_processor_gives_the_same_up_to_rounding(compiler, example):
    """Without fused multiply-adds exp and log may round once more."""
    value, gradient = LYNX(*ARGUMENTS)
    found = run_main(compiler, example, "-march=x86-64-v2")
    np.testing.assert_allclose(found, [value, *gradient], rtol=1e-13)
    # Told to, it computes them exactly, and so the very same.
    fused = run_main(compiler, example, "-march=x86-64-v2", "-DTRACEGRAD_FUSED")
    assert fused == run_main(compiler, example, "-march=x86-64-v3")


# --- the loader ---------------------------------------------------------------------


def test_loading_needs_no_compiler(library):
    code = (
        "import sys, tracegrad, numpy as np\n"
        f"model = tracegrad.load_library({str(library.library)!r})\n"
        "value, slope = model.newton(np.array([8.0]))\n"
        "print(round(value, 9), slope.shape)\n"
        "found = {name.split('.')[0] for name in sys.modules}\n"
        "print(found & {'numba', 'codegen', 'optree', 'sympy', 'scipy'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout == "2.0 (1,)\nset()\n", done.stderr


def test_the_loader_refuses_what_does_not_belong_together(library, tmp_path):
    with pytest.raises(LibraryError, match="not an absolute path"):
        load_library(library.library.name)
    with pytest.raises(LibraryError, match="can't be read"):
        load_library(tmp_path / "libmodel.so")
    copy = tmp_path / library.library.name
    copy.write_bytes(library.library.read_bytes())
    description = json.loads(library.description.read_text())
    for key, value, words in (
        ("abi", 0, "calling convention 0"),
        ("binary", {**description["binary"], "platform": "plan9 vax"}, "plan9 vax"),
        ("binary", {**description["binary"], "sha256": "0"}, "sha256 0"),
    ):
        (tmp_path / "model.json").write_text(json.dumps({**description, key: value}))
        with pytest.raises(LibraryError, match=words):
            load_library(copy)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(LibraryError, match="no description"):
        load_library(copy)


def test_loaded_functions_say_what_they_need(library):
    model = load_library(library.library)
    assert list(model) == list(FUNCTIONS)
    assert model.lynx.parameters == ("log_parameters", "hares", "lynxes", "steps")
    assert "How unlikely the counts are" in model.lynx.__doc__
    with pytest.raises(AttributeError, match="no function 'lion'"):
        _ = model.lion
    for arguments, words in (
        ((START,), "needs hares"),
        ((*ARGUMENTS, 1), "takes 4 arguments, not 5"),
        ((START.astype("f4"), *ARGUMENTS[1:]), "log_parameters is float32"),
        ((START[None], *ARGUMENTS[1:]), "has 2 axes, and needs 1"),
        ((START, HARES, LYNXES, 2.5), "steps is a float"),
        ((START, HARES, LYNXES, 2**63), "steps is 9223372036854775808, for which"),
        ((START[:7], *ARGUMENTS[1:]), r"log_parameters.shape\[0\] >= 8"),
    ):
        with pytest.raises(ArgumentError, match=words):
            model.lynx(*arguments)
    with pytest.raises(ArgumentError, match=r"A.shape\[1\] is 3, where 4 is needed"):
        model.solved(MATRIX[:, :3], np.ones(4))
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        model.solved(np.zeros((2, 2)), np.ones(2))
    with pytest.raises(ValueError, match=r"must not be negative\n  at .*raise ValueE"):
        model.solved(MATRIX, -np.ones(4))


def test_other_layouts_are_taken_and_nothing_is_changed(library):
    model = load_library(library.library)
    before = START.copy()
    strided = np.repeat(START, 2)[::2]
    same(model.lynx(strided, list(HARES), LYNXES, steps=STEPS), LYNX(*ARGUMENTS), 0.0)
    assert (before == START).all()


def test_what_is_written_is_written(compiler, tmp_path):
    def shift(x, y):
        y[1:] = 2.0 * x[:-1]

    files = export_c(jit(shift), "float64[4], float64[4]", tmp_path, "w", build=True)
    x, y = np.arange(4.0), np.zeros(4)
    assert load_library(files.library).shift(x, y) is None
    np.testing.assert_array_equal(y, [0.0, 0.0, 2.0, 4.0])
    with pytest.raises(ArgumentError, match="share memory"):
        load_library(files.library).shift(x, x)


# --- what is refused ----------------------------------------------------------------


def test_refusals_name_what_they_refuse(tmp_path):
    with pytest.raises(ArgumentError, match="a function has no kernel of its own"):
        export_c(negative_log_likelihood, "float64", tmp_path, "m")
    f = grad(lambda x: x * x)
    with pytest.raises(ArgumentError, match="2 functions, and 1 signatures"):
        export_c([f, f], "float64", tmp_path, "m")
    with pytest.raises(ArgumentError, match="two functions are called"):
        export_python([f, f], ["float64", "float64"], tmp_path / "m.py")
    with pytest.raises(ArgumentError, match="the name of a helper"):
        export_python({"np": f}, "float64", tmp_path / "m.py")
    with pytest.raises(LibraryError, match="no C compiler called nonesuch"):
        export_c(f, "float64", tmp_path / "c", "m", build=True, compiler="nonesuch")
    assert list(tmp_path.glob("*.py")) == []
