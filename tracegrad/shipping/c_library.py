"""Export functions as a C library: source, header, and, if wanted, compiled.

>>> import tempfile
>>> import numpy as np
>>> from tracegrad import export_c, grad
>>> slope = grad(lambda x, k: 0.5 * k * np.sum(x**2))
>>> types = "float64[:], float64"
>>> with tempfile.TemporaryDirectory() as directory:
...     files = export_c({"slope": slope}, types, directory, "model")
...     print(files.header.read_text().splitlines()[-7])
int model_slope(const double *x, double k, int64_t n, double *x_bar);
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

from codegen import c
from tracegrad import __version__
from tracegrad.errors import LibraryError
from tracegrad.lower.lower import ScalarOutput
from tracegrad.native import description_path, platform_name
from tracegrad.shipping.interface import (
    Functions,
    Interface,
    Signatures,
    call_text,
    first_line,
    interfaces,
    map_results,
)


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of an exported library; ``library`` and ``description`` if compiled."""

    source: Path
    header: Path
    library: Path | None = None
    description: Path | None = None


def export_c(
    functions: Functions,
    signatures: Signatures,
    directory: str | PathLike[str],
    name: str,
    *,
    build: bool = False,
    compiler: str | None = None,
    march: str | None = None,
    flags: Sequence[str] = (),
) -> Exported:
    """Write functions as C99: ``name.c``, ``name.h``, and a shared library if wanted.

    The C computes what the compiled Python does, to the last bit where the maths has
    fused multiply-adds in both (``march="native"``, "x86-64-v3"). But sums may be added
    in any order: by vector instructions where the compiler is given ``-DTRACEGRAD_SIMD
    -fopenmp-simd``, as it is here, else as written. Matrix products and factorisations
    are plain loops, which agree with BLAS and LAPACK to rounding.

    Args:
        functions: ``grad(f)``, ``jit(f)`` and the like: one, several, or by the names
            they get.
        signatures: for each function a text such as ``"float64[8], float64"``, or a
            tuple of example arguments; a list of these for several functions. Sizes are
            examples, too.
        directory: where the files go; made if need be.
        name: of the library and its files; the functions' names begin with it.
        build: whether to compile it here, for ``load_library``.
        compiler: the command; by default the environment's CC, cc, gcc or clang.
        march: the processor to compile for, as the compiler calls it.
        flags: further flags for the compiler.

    Returns:
        The paths of the files.

    Raises:
        ArgumentError: if functions and signatures don't fit.
        LibraryError: naming what C can't express, before anything is written; or with
            what the compiler says.
    """
    shipped = interfaces(functions, signatures)
    unit = _printed(shipped, name)
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    source = _write(folder / f"{unit.name}.c", unit.source)
    header = _write(folder / f"{unit.name}.h", unit.header)
    if not build:
        return Exported(source, header)
    library = folder / f"lib{unit.name}{c.library_suffix()}"
    _compile(source, library, compiler, march, flags)
    beside = Path(description_path(str(library)))
    return Exported(
        source, header, library, _write(beside, _described(unit, shipped, library))
    )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _compile(
    source: Path,
    library: Path,
    compiler: str | None,
    march: str | None,
    flags: Sequence[str],
) -> None:
    try:
        c.compile_library(source, library, compiler=compiler, march=march, flags=flags)
    except c.CompilerError as error:
        raise LibraryError(str(error)) from None


def _printed(shipped: Mapping[str, Interface], name: str) -> c.Unit:
    """The C of all functions."""
    kernels, constants = {}, {}
    for title, made in shipped.items():
        kernel = made.program.lowered.kernel
        kernels[title] = kernel
        names = [p.name for p in kernel.parameters]
        tables = {}
        for position, param in enumerate(made.program.graph.params):
            array = made.constants.get(str(param.name))
            if array is not None:
                tables[names[position]] = array.ravel().tolist()
        constants[title] = tables
    notes = [f"Compiled by tracegrad {__version__}; do not edit.", ""]
    for made in shipped.values():
        notes += [f"{call_text(made)}", f"    {made.signature}"]
        notes += [f"    {first_line(made)}"] if first_line(made) else []
    try:
        return c.print_unit(name, kernels, [*notes, ""], constants)
    except c.NotExpressible as error:
        raise LibraryError(f"C can't express it: {error}") from None


def _described(unit: c.Unit, shipped: Mapping[str, Interface], library: Path) -> str:
    """The description of a compiled library, as JSON."""
    description = dict(unit.description)
    digest = sha256(library.read_bytes()).hexdigest()
    description["binary"] = {"platform": platform_name(), "sha256": digest}
    description["tracegrad"] = __version__
    functions = description["functions"]
    for title, made in shipped.items():
        functions[title] |= _called(made, functions[title]["parameters"])
    return json.dumps(description, indent=1) + "\n"


def _called(made: Interface, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How a function is called, in the names of the C function's parameters."""
    inputs = [p["name"] for p in parameters if p["kind"] == "input"]
    outputs = [p["name"] for p in parameters if p["kind"] == "output"]
    lowered = made.program.lowered
    arrays = iter(outputs[len(lowered.kernel.results) :])
    names = [
        outputs[o.position] if isinstance(o, ScalarOutput) else next(arrays)
        for o in lowered.outputs
    ]

    def leaf(data: dict[str, Any]) -> Any:
        if "value" in data:
            return data
        output = names[data["result"]]
        return {data["how"]: output} if "how" in data else output

    arguments = []
    for argument in made.arguments:
        entry: dict[str, Any] = {"name": argument.name, "nest": argument.nest}
        if argument.default is not None:
            entry["default"] = argument.default
        arguments.append(entry)
    return {
        "doc": f"{call_text(made)}\n\n{made.doc}".strip(),
        "arguments": arguments,
        "results": map_results(made.results, leaf),
        "written": [[k, names[result]] for k, result in made.written],
        "exclusive": [[inputs[a], inputs[b]] for a, b in made.exclusive],
    }
