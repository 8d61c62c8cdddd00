"""The cache directory: private, safe with many processes, and never in the way."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from codegen import cache
from codegen.cache import CacheWarning

ROOT = Path(__file__).parents[2]
PROGRAM = textwrap.dedent(
    """
    import sys, numpy as np
    from tests.codegen import kernels
    from codegen.jit import build
    kernel = build(kernels.energy().kernel)
    out = np.empty(3)
    value = kernel.entry(np.array([0.0, 0.5, 4.0]), 2.0, out)
    misses = sum(kernel.function.stats.cache_misses.values())
    print(kernel.cache_hit, round(value, 6), misses)
    """
)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    cache.warn_once.cache_clear()
    monkeypatch.setenv("TRACEGRAD_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


# The n-th file is written, but dies before it is in its place.
KILLED = """
import os, signal
replace, left = os.replace, [{}]
def last(*paths):
    left[0] -= 1
    os.kill(os.getpid(), signal.SIGKILL) if not left[0] else replace(*paths)
os.replace = last
"""


def start(directory, before=""):
    environment = {**os.environ, "TRACEGRAD_CACHE_DIR": str(directory)}
    return subprocess.Popen(
        [sys.executable, "-W", "always", "-c", before + PROGRAM],
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(directory):
    process = start(directory)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.split("\n")[0].split(), err


def test_a_second_process_compiles_nothing_and_a_damaged_entry_is_a_miss(directory):
    first, _ = run(directory)
    assert first[0] == "False"
    second, _ = run(directory)
    assert second == ["True", first[1], "0"]
    for suffix in ("nbc", "nbi"):
        (entry,) = directory.glob(f"kernels/*/*.{suffix}")
        entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2])
        damaged, warning = run(directory)
        assert damaged[:2] == first[:2]
        assert "a kept kernel is unreadable" in warning
        assert run(directory)[0] == second
    source = next(directory.glob("kernels/*/*.py"))
    source.write_text("raise SystemExit('a file that is never run')")
    assert run(directory)[0] == second


def test_processes_at_once_are_all_right(directory):
    expected = None
    for hits in ({"True", "False"}, {"True"}):  # on an empty cache, on a full one
        processes = [start(directory) for _ in range(3)]
        outputs = [process.communicate(timeout=240) for process in processes]
        assert [process.returncode for process in processes] == [0] * 3, outputs
        found = [out.split() for out, _ in outputs]
        assert {hit for hit, *_ in found} <= hits
        expected = expected or found[0][1]
        assert {value for _, value, _ in found} == {expected}
        assert not any(warnings for _, warnings in outputs)
    names = {path.suffix for path in directory.glob("kernels/*/*")}
    assert names == {".py", ".nbi", ".nbc"}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_writer_that_is_killed_leaves_a_miss(directory):
    for files in (1, 2, 3):  # the source, the index, the code
        process = start(directory, KILLED.format(files))
        assert process.communicate(timeout=120)[0] == ""
        assert process.returncode == -signal.SIGKILL
    again, warning = run(directory)
    assert again[0] == "False"
    assert not warning
    assert run(directory)[0] == ["True", again[1], "0"]


def test_the_directory_is_private(directory):
    kernels = cache.kernels_directory()
    assert kernels == directory / "kernels"
    assert [path.stat().st_mode & 0o777 for path in (directory, kernels)] == [0o700] * 2


def test_a_directory_others_can_read_is_used_but_its_kernels_are_private(directory):
    directory.mkdir(mode=0o755)
    (directory / "kernels").mkdir(mode=0o755)
    path = cache.write_module("k" * 40, "f", "text")
    assert path.read_text() == "text"
    assert (directory / "kernels").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_a_directory_others_can_write_is_refused(directory, mode):
    directory.mkdir()
    directory.chmod(mode)
    with pytest.warns(CacheWarning, match="can be written by others"):
        assert cache.write_module("k", "f", "text") is None
    # Once is enough.
    assert cache.write_module("k", "f", "text") is None


def test_a_symlink_and_a_file_are_refused(directory, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    directory.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(CacheWarning, match="symlink"):
        assert cache.kernels_directory() is None
    directory.unlink()
    directory.write_text("")
    cache.warn_once.cache_clear()
    with pytest.warns(CacheWarning, match="not kept"):
        assert cache.kernels_directory() is None
    assert cache.info() == cache.Info(None, 0, 0)
    assert cache.clear() == 0


def test_another_users_directory_is_refused(directory, monkeypatch):
    directory.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: directory.stat().st_uid + 1)
    with pytest.warns(CacheWarning, match="another user"):
        assert cache.kernels_directory() is None


def test_a_read_only_directory_serves_what_it_has(directory, monkeypatch):
    path = cache.write_module("a" * 40, "f", "text")

    def refuse(*args):
        raise PermissionError("read-only")

    # Root may write anywhere, so a mode would not do.
    monkeypatch.setattr(cache, "write_atomically", refuse)
    assert cache.write_module("a" * 40, "f", "text with new comments") == path
    with pytest.warns(CacheWarning, match="read-only"):
        assert cache.write_module("b" * 40, "f", "text") is None


def test_info_and_clear(directory):
    assert cache.info().kernels == 0
    cache.write_module("a" * 40, "f", "1234")
    cache.write_module("b" * 40, "g", "12")
    assert cache.info() == cache.Info(directory / "kernels", 2, 6)
    assert cache.clear() == 2
    assert cache.info().kernels == 0


def test_the_default_is_under_the_users_home(monkeypatch, tmp_path):
    monkeypatch.delenv("TRACEGRAD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.configured_root() == tmp_path / "xdg" / "tracegrad"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache.configured_root().is_relative_to(tmp_path)


def test_a_key_depends_on_every_part():
    parts = {"code": "def f(x): return x", "signature": "float64", "versions": ["1"]}
    keys = {cache.key_of({**parts, name: "other"}) for name in parts}
    assert len(keys | {cache.key_of(parts)}) == 4
