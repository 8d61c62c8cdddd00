"""python -m tests.benchmarks.tape: microseconds per operation recorded on a tape.

A chain of multiplications and additions on scalars and arrays, forward alone and with
the backward pass, and a scalar recurrence of 1000 steps; for the tape, PyTorch (eager,
one thread) and autograd, whichever are installed. All in float64; the best of several
rounds, in turn.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.threads import use_one_thread

SIZES: dict[str, Any] = {"scalar": (), "10": (10,), "1e3": (1000,), "1e6": (10**6,)}
Pair = tuple[Callable[[], Any], Callable[[], Any]]


def chain(x: Any, a: Any, steps: int) -> Any:
    """Two operations per step."""
    y = x
    for _ in range(steps):
        y = y * a + x
    return y


def recurrence(x: Any, sin: Callable[[Any], Any]) -> Any:
    """The logistic-like recurrence, four operations per step."""
    y = x
    for _ in range(1000):
        y = y + 0.1 * sin(y) * x
    return y


def with_torch(name: str) -> Callable[[Any, int], tuple[Pair, Pair]]:
    """Runs for a library with PyTorch's face."""
    lib = importlib.import_module(name)
    if name == "torch":
        lib.set_num_threads(1)
        lib.set_default_dtype(lib.float64)

    def runs(shape: Any, steps: int) -> tuple[Pair, Pair]:
        x, a, one = (
            lib.rand(shape, requires_grad=True),
            lib.rand(shape),
            lib.ones(shape),
        )
        s = lib.tensor(0.3, requires_grad=True)

        def both(f: Callable[[], Any], leaf: Any, seed: Any) -> Callable[[], Any]:
            def run() -> None:
                f().backward(seed)
                leaf.grad = None

            return run

        forward, scalar = lambda: chain(x, a, steps), lambda: recurrence(s, lib.sin)
        return (forward, both(forward, x, one)), (scalar, both(scalar, s, None))

    return runs


def with_autograd() -> Callable[[Any, int], tuple[Pair, Pair]]:
    """Runs for HIPS autograd."""
    autograd = importlib.import_module("autograd")
    np = importlib.import_module("autograd.numpy")

    def runs(shape: Any, steps: int) -> tuple[Pair, Pair]:
        x, a = np.random.random_sample(shape), np.random.random_sample(shape)
        make = autograd.make_vjp

        def both(f: Callable[[Any], Any], at: Any) -> Pair:
            def run() -> None:
                pull, value = make(f)(at)
                pull(np.ones(np.shape(value)))

            return lambda: make(f)(at), run

        return (
            both(lambda v: chain(v, a, steps), x),
            both(lambda v: recurrence(v, np.sin), 0.3),
        )

    return runs


def contestants() -> dict[str, Callable[[Any, int], tuple[Pair, Pair]]]:
    """What is installed."""
    found = {"tracegrad": with_torch("tracegrad.tape")}
    if importlib.util.find_spec("torch"):
        found["torch"] = with_torch("torch")
    if importlib.util.find_spec("autograd"):
        found["autograd"] = with_autograd()
    return found


def best(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each function: the best of rounds in which they take turns."""
    found = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            found[name] = min(found[name], time.perf_counter() - start)
    return found


def main() -> None:
    """Print the table."""
    everyone = contestants()
    print("µs per operation: forward / forward and backward")
    print("| size | " + " | ".join(everyone) + " |")
    print("|---" * (len(everyone) + 1) + "|")
    for title, shape in SIZES.items():
        steps, rounds = (5, 5) if title == "1e6" else (100, 30)
        pairs = {name: runs(shape, steps)[0] for name, runs in everyone.items()}
        show(title, pairs, 2 * steps, rounds)
    pairs = {name: runs((), 1)[1] for name, runs in everyone.items()}
    show("1000-step recurrence", pairs, 4000, 10)


def show(title: str, pairs: dict[str, Pair], operations: int, rounds: int) -> None:
    """One row of the table."""
    forward = best({name: pair[0] for name, pair in pairs.items()}, rounds)
    whole = best({name: pair[1] for name, pair in pairs.items()}, rounds)
    cells = (
        f"{forward[n] / operations * 1e6:.2f} / {whole[n] / operations * 1e6:.2f}"
        for n in pairs
    )
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    use_one_thread()
    main()
