"""Functions that compile themselves for the arguments they are called with.

A ``Compiled`` is what every transformation returns. Called with arrays it looks for a
specialisation, makes one if there is none, and runs it; called inside a trace it runs
the Python function that emits its equations there.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from logging import DEBUG
from types import MethodType
from typing import Any, Literal

from codegen.errors import GuardFailed
from tracegrad import pointers, pytree
from tracegrad.arguments import Binder
from tracegrad.direct_call import direct_call
from tracegrad.eager import copy_out
from tracegrad.errors import ArgumentError, TapeWarning, TracegradError, TracingError
from tracegrad.fast_call import fast_call
from tracegrad.ir.source import Location, beginning
from tracegrad.logging import logger
from tracegrad.nopython import nopython, numba_type
from tracegrad.pickling import Recipe, reduced
from tracegrad.signatures import parse
from tracegrad.specialisation import Program, Specialisation, program, specialise
from tracegrad.tape.picture import graph_dot
from tracegrad.tape.value import Value
from tracegrad.texts import GraphText, Stages, Text
from tracegrad.traces.escapes import defect, is_defect
from tracegrad.traces.inputs import Leaf, describe, identifier
from tracegrad.traces.scope import current
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.words import spelled_out

Mode = Literal["auto", "compiled", "tape"]
Place = Callable[[Any], Any]


class Compiled(functools.partial[Any]):
    """A function that is traced and compiled when it is called.

    Attributes:
        signatures: the argument types compiled so far.
        source: the Python source of the last kernel.
        path: the file it was written to.
        graph: what that kernel computes, as text.
        recipe: how it was made, to make it again where a pickle of it is loaded.
    """

    # A partial's call is implemented in C, 26 ns; a Python __call__ would take 80.
    # Its function is replaced, through __setstate__, by the quickest one for calls like
    # the last: machine code, or a Python wrapper for what that doesn't handle.

    _trace: Callable[..., Any]
    _binder: Binder
    _title: str
    _out: Place | None
    _mode: Mode
    _eager: Callable[..., Any] | None
    _untraceable: dict[Any, TracingError]
    _specialisations: dict[Any, list[Specialisation]]
    _names: dict[pytree.Tree, list[str]]
    _lock: threading.RLock
    _last: Specialisation | None
    _wrappers: dict[tuple[Any, ...], Callable[..., Any]]
    _first: Callable[..., Any]
    __signature__: inspect.Signature
    recipe: Recipe | None

    def __new__(
        cls,
        trace: Callable[..., Any],
        function: Callable[..., Any],
        title: str,
        *,
        binder: Binder | None = None,
        out: Place | None = None,
        mode: Mode = "auto",
        eager: Callable[..., Any] | None = None,
    ) -> Compiled:
        """A new one.

        Args:
            trace: emits the equations when it is called inside a trace.
            function: the user's, for names and documentation.
            title: what the result is called: a suffix of the kernel's name.
            binder: of the call's arguments, if they aren't the function's own.
            out: picks from the nest of results those that ``out=`` may give arrays for.
            mode: "compiled" compiles or raises; "tape" runs ``eager``; "auto" does so
                where tracing is impossible.
            eager: the same on the tape; None if the tape can't.
        """
        if mode not in ("auto", "compiled", "tape"):
            raise ArgumentError(
                f"mode={mode!r} is not a mode.",
                todo='Use "auto", "compiled" or "tape".',
            )

        def first_call(*args: Any, **kwargs: Any) -> Any:
            return self._call(args, kwargs)

        self = super().__new__(cls, first_call)
        functools.update_wrapper(self, function, updated=())
        self._trace = trace
        self._binder = binder or Binder(function)
        self._title = identifier(f"{_name(function)}{title}")
        self._out = out
        self._mode = mode
        self._eager = eager
        self._untraceable = {}
        self._specialisations = {}
        self._names = {}
        self._lock = threading.RLock()
        self._last = None
        self._wrappers = {}
        self._first = first_call
        self.recipe = None
        if self._binder.signature is not None:
            self.__signature__ = self._binder.signature
        return self

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method, when it is looked up on an instance."""
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<tracegrad {self._title}{self._binder.signature or '(...)'}>"

    def __reduce__(self) -> Any:
        return reduced(self, self.recipe)

    def __tracegrad_inline__(self, *args: Any, **kwargs: Any) -> Any:
        """Emit into the trace in progress."""
        kwargs.pop("out", None)
        return self._trace(*args, **kwargs)

    # --- inside functions that Numba compiles --------------------------------------

    @functools.cached_property
    def _numba_type_(self) -> Any:
        """What Numba asks any object for: its type in nopython code."""
        return numba_type(self._nopython)

    @functools.cached_property
    def _nopython(self) -> Any:
        return nopython(self, self._title)

    def fitting(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Specialisation]:
        """The specialisations for arguments of such types, whatever their sizes."""
        args, kwargs = self._binder.bind(args, kwargs)
        _, described, tree = self._described(args, kwargs)
        kinds = [(leaf.dtype, leaf.weak, len(leaf.shape)) for leaf in described]
        with self._lock:
            found = [
                spec
                for key, specs in self._specialisations.items()
                for spec in specs
                if key[0] == tree
                and kinds
                == [(x.dtype, x.weak, len(x.shape)) for x in spec.traced.leaves]
                and _same_static(described, spec.traced.leaves)
                and spec.holds()
            ]
            return found or [self.specialised(args, kwargs)]

    # --- calls ---------------------------------------------------------------------

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = None
        if self._out is not None and "out" not in _parameters(self._binder):
            out = kwargs.pop("out", None)
        return self._general(args, kwargs, out)

    def _general(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any = None
    ) -> Any:
        """Any call: bind, flatten, find or make a specialisation, run it."""
        if current() is not None:
            return self._trace(*args, **kwargs)
        args, kwargs = self._binder.bind(args, kwargs)
        if self._mode == "tape" or any(
            isinstance(leaf, Value) for leaf in pytree.leaves((args, kwargs))
        ):
            return self._on_tape(args, kwargs, out)
        leaves, described, tree = self._described(args, kwargs)
        key = (tree, *(leaf.key for leaf in described))
        if key in self._untraceable:
            return self._on_tape(args, kwargs, out)
        found = self._run_known(key, leaves, out)
        if found is None:
            try:
                with self._lock:
                    # Another thread may have compiled it meanwhile.
                    found = self._run_known(key, leaves, out)
                    if found is None:
                        self._compile(key, described, tree)
                        found = self._run_known(key, leaves, out)
            except TracingError as error:
                if self._mode == "compiled" or self._eager is None:
                    raise
                return self._fall_back(error, key, args, kwargs, out)
            except Exception as error:
                own = spelled_out(error, lambda: self._on_tape(args, kwargs, None))
                if own is None:
                    raise
                raise own from None
        if found is None:
            raise TracegradError(
                f"{self._title}: a fresh specialisation rejects its own arguments.",
                todo="This is a defect of tracegrad: please report it.",
            )
        spec, result = found
        self._install(spec, args, kwargs, leaves)
        return result

    def _on_tape(self, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        """The same on the tape."""
        if self._eager is None:
            raise ArgumentError(
                f"{self._title} does not run on the tape.",
                todo='Leave out mode="tape", and pass NumPy arrays.',
            )
        result = self._eager(*args, **kwargs)
        if out is not None:
            assert self._out is not None
            copy_out(self._out(result), out)
        return result

    def _fall_back(
        self,
        error: TracingError,
        key: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        out: Any,
    ) -> Any:
        """Run on the tape what could not be traced, and say so once."""
        try:
            result = self._on_tape(args, kwargs, out)
        except (TracegradError, TypeError, AttributeError) as second:
            raise error.with_traceback(None) from second
        except Exception as own:  # the function's, or what NumPy makes of the tape
            own.add_note(f"on the tape, as it can't be compiled:\n{error}")
            raise
        if not self._untraceable:
            warnings.warn(
                TapeWarning(
                    f"{self._title} can't be compiled and runs on the tape, one "
                    f'operation after another. mode="tape" says nothing, '
                    f'mode="compiled" raises:\n{error}'
                ),
                stacklevel=5,
            )
        self._untraceable[key] = error
        return result

    def _described(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], list[Leaf], pytree.Tree]:
        """The arguments' leaves, what they are, and their structure."""
        leaves, tree = pytree.flatten((args, kwargs))
        names = self._names.get(tree)
        if names is None:
            names = self._names[tree] = self._binder.names(tree)
        try:
            pairs = zip(leaves, names, strict=True)
            described = [describe(x, name) for x, name in pairs]
        except TracegradError as error:
            raise error.located(self._where) from None
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            raise TracegradError(
                f"{self._title} was given a traced value outside of its trace.",
                todo="A traced function must not store its values in outer objects.",
            )
        return leaves, described, tree

    @property
    def _where(self) -> Location | None:
        """The line that the user's function begins at."""
        return beginning(inspect.unwrap(self))

    def _run_known(
        self, key: Any, leaves: list[Any], out: Any
    ) -> tuple[Specialisation, Any] | None:
        """The first specialisation that takes the arguments, and its result."""
        for spec in tuple(self._specialisations.get(key, ())):
            if not spec.holds():
                continue
            try:
                buffers = None if out is None else self._buffers(spec, out)
                result = spec.run(leaves, buffers)
            except GuardFailed:
                continue
            self._last = spec
            return spec, result
        return None

    def _buffers(self, spec: Specialisation, out: Any) -> dict[int, Any]:
        """The arrays of ``out=``, by the position of the output leaf they are for."""
        outputs = spec.traced.outputs
        nest = pytree.unflatten(spec.traced.tree, list(range(len(outputs))))
        assert self._out is not None
        positions, tree = pytree.flatten(self._out(nest))
        given, given_tree = pytree.flatten(out)
        if given_tree != tree or not all(_is_array(outputs[k]) for k in positions):
            raise ArgumentError(
                "out= doesn't fit the gradient.",
                todo="Pass an array for each array of the gradient, in the same nest.",
            )
        return dict(zip(positions, given, strict=True))

    def _compile(
        self, key: Any, described: list[Leaf], tree: pytree.Tree
    ) -> Specialisation:
        try:
            spec = specialise(self._trace, described, tree, self._title)
        except TracegradError as error:
            if logger.isEnabledFor(DEBUG):
                raise
            # It names the user's line; how we got there would only hide it.
            raise error.located(self._where).with_traceback(None) from None
        except Exception as error:
            if not is_defect(error):
                raise
            raise defect(error, self._title, self._where) from error
        # The latest first: a sequence of calls usually stays with what it needs.
        self._specialisations.setdefault(key, []).insert(0, spec)
        self._last = spec
        return spec

    def _install(
        self,
        spec: Specialisation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        leaves: list[Any],
    ) -> None:
        """Let the next call try this specialisation at once."""
        key = (spec, *map(type, leaves))
        function = self._wrappers.get(key)
        if function is None:
            function = self._wrappers[key] = self._wrapper(spec, args, kwargs)
        state: tuple[Any, ...] = (function, (), {}, self.__dict__)
        super().__setstate__(state)  # type: ignore[misc]  # typeshed lacks it

    def _wrapper(
        self, spec: Specialisation, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[..., Any]:
        """The quickest function for calls like this one."""
        signature = self._binder.signature
        out = None if "out" in _parameters(self._binder) else self._out
        return (
            direct_call(spec, signature, args, kwargs, self._first, out)
            or fast_call(spec, signature, args, kwargs, self._general)
            or self._first
        )

    # --- looking inside ------------------------------------------------------------

    def compile(self, *arguments: Any, **keywords: Any) -> Compiled:
        """Compile ahead of the first call, for arguments like these.

        Args:
            arguments: examples, or one text such as ``"float64[:, :], float64"``.
            keywords: examples.
        """
        self.specialised(_examples(arguments, keywords), keywords)
        return self

    def program(self, *arguments: Any, **keywords: Any) -> tuple[Program, Binder]:
        """What ``compile`` would compile, and how the arguments are bound."""
        given = _examples(arguments, keywords)
        args, kwargs = self._binder.bind(given, keywords)
        _, described, tree = self._described(args, kwargs)
        return program(self._trace, described, tree, self._title), self._binder

    def specialised(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Specialisation:
        """The specialisation for these arguments, made if need be, not run."""
        args, kwargs = self._binder.bind(args, kwargs)
        leaves, described, tree = self._described(args, kwargs)
        key = (tree, *(leaf.key for leaf in described))
        with self._lock:
            for spec in self._specialisations.get(key, ()):
                if spec.holds() and spec.accepts(leaves):
                    return spec
            return self._compile(key, described, tree)

    cfunc = pointers.cfunc
    low_level_callable = pointers.low_level_callable

    @property
    def signatures(self) -> list[str]:
        """The argument types compiled so far."""
        return [spec.signature for spec in self._all()]

    def _all(self) -> Iterator[Specialisation]:
        for specs in self._specialisations.values():
            yield from specs

    @property
    def source(self) -> Text:
        """The Python source of the kernel used last."""
        return Text(self._used().compiled.source.text)

    @property
    def path(self) -> str | None:
        """The file of the last kernel's module; None if it could not be kept."""
        path = self._used().compiled.path
        return None if path is None else str(path)

    @property
    def graph(self) -> GraphText:
        """What that kernel computes, in the intermediate representation."""
        return GraphText.of(self._used().graph)

    def picture(self) -> Any:
        """A drawing of the graph of the kernel used last, for notebooks.

        Returns:
            A ``graphviz.Digraph``; its ``.source`` is DOT text.

        Raises:
            ImportError: without the graphviz library.
        """
        return graph_dot(self._used().graph)

    def source_for(self, *args: Any, **kwargs: Any) -> Text:
        """The Python source of the kernel for arguments like these."""
        return Text(self.specialised(args, kwargs).compiled.source.text)

    def stages(self, *args: Any, **kwargs: Any) -> Stages:
        """Every stage from the traced function to the kernel, as text.

        Without arguments, of the kernel used last.
        """
        spec = self.specialised(args, kwargs) if args or kwargs else self._used()
        return Stages({title: Text(text) for title, text in spec.stages()})

    def _used(self) -> Specialisation:
        if self._last is None:
            raise ArgumentError(
                f"{self._title} has not been compiled yet.",
                todo="Call it, or use .compile(*example_arguments).",
            )
        return self._last


def _same_static(one: Iterable[Leaf], other: Iterable[Leaf]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.key == b.key for a, b in pairs if a.dtype is None)


def _is_array(output: Any) -> bool:
    return output.type is not None and bool(output.type.ndim)


def _examples(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
    """Example arguments, or those of one text that is a signature."""
    if len(arguments) == 1 and isinstance(arguments[0], str) and not keywords:
        return parse(arguments[0])
    return arguments


def _parameters(binder: Binder) -> Any:
    return binder.signature.parameters if binder.signature else ()


def _name(function: Callable[..., Any]) -> str:
    title = getattr(function, "_title", None) or getattr(function, "__name__", "f")
    return str(title).replace("<lambda>", "f")


def signature_of(function: Callable[..., Any], **replaced: Any) -> inspect.Signature:
    """A function's signature with some of its parts replaced."""
    own = Binder(function).signature or inspect.Signature()
    return own.replace(**replaced)


__all__ = ["Compiled", "Mode", "Stages", "Text", "signature_of"]
