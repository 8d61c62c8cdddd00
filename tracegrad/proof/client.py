"""Jobs for the proving process, and its answers: never longer than they may take.

One process serves all proofs of a session, as SymPy takes a while to import; it is
started by the first one, and ended when it overruns or when Python ends.
"""

from __future__ import annotations

import atexit
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import tracegrad
from tracegrad.proof.job import Failed, Job, Message

_GRACE = 2.0  # seconds beyond its own limit before the process is ended


class Prover:
    """A process that proves, and a thread that listens to it."""

    def __init__(self) -> None:
        root = str(Path(tracegrad.__file__).parents[1])
        known = os.environ.get("PYTHONPATH")
        environment = dict(os.environ)
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{known}" if known else root
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tracegrad.proof.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                self._answers.put(pickle.load(self._process.stdout))
            except (EOFError, OSError, pickle.UnpicklingError, ValueError):
                self._answers.put((None, Failed("the proving process ended")))
                return

    @property
    def alive(self) -> bool:
        """Whether it can take a job."""
        return self._process.poll() is None

    def prove(self, job: Job) -> Iterator[Message]:
        """The answers to a job, as they come, until it is done or time is over."""
        assert self._process.stdin is not None
        pickle.dump(job, self._process.stdin)
        self._process.stdin.flush()
        deadline = monotonic() + job.seconds + _GRACE
        while True:
            try:
                wait = max(0.0, deadline - monotonic())
                number, answer = self._answers.get(timeout=wait)
            except queue.Empty:
                self.end()
                yield Failed(f"not attempted beyond {job.seconds:.0f} s")
                return
            if number is None:
                self.end()
                yield answer
                return
            if number != job.number:  # of a job that nobody waited for
                continue
            if answer is None:
                return
            yield answer

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


_prover: Prover | None = None
_lock = threading.Lock()


def prove(job: Job) -> Iterator[Message]:
    """The answers of the session's prover to a job, as they come."""
    global _prover
    with _lock:
        if _prover is None or not _prover.alive:
            _prover = Prover()
            atexit.register(_prover.end)  # once ended, ending it again does nothing
        yield from _prover.prove(job)
