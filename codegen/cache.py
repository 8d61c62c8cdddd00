"""Where compiled kernels are kept between processes.

A directory of code: loading an entry runs it. So it is private: made with mode 0700,
refused if it is a symlink, another user's, or writable by others, and never put under
a shared temporary directory unless the user names one. Each key has a directory of its
own, ``kernels/<key>/``, so that two writers of a key write the same thing, and writers
of different keys never meet. Files are written beside their place and renamed.

Without a usable directory everything works, but nothing is kept; one warning says so.

>>> key_of({"code": "def f(x): ..."}) == key_of({"code": "def f(x): ..."})
True
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ENVIRONMENT = "TRACEGRAD_CACHE_DIR"
_KERNELS = "kernels"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CacheWarning(UserWarning):
    """Compiled kernels can't be kept or read back; they are compiled again."""


class CacheRefused(Exception):
    """A directory that must not hold code."""


@dataclass(frozen=True, slots=True)
class Info:
    """What the cache holds.

    directory: where it is, or None when nothing is kept.
    """

    directory: Path | None
    kernels: int
    bytes: int


def key_of(parts: Mapping[str, object]) -> str:
    """The identity of a kernel: a hash of everything that its machine code is of."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def kernels_directory() -> Path | None:
    """The private directory of kernels, made if need be; None if there can't be one."""
    root = configured_root()
    return None if root is None else _private(root)


def configured_root() -> Path | None:
    """The directory that the environment names, or the user's cache directory."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).expanduser().absolute()
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "tracegrad"


def write_module(key: str, name: str, text: str) -> Path | None:
    """Write a kernel's source to its own directory; None if nothing can be kept.

    The comments of a source may change while its code does not, so a file that differs
    is written again.
    """
    kernels = kernels_directory()
    if kernels is None:
        return None
    directory = kernels / key
    path = directory / f"{name}.py"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text.encode())
    except (OSError, UnicodeDecodeError) as error:
        # A read-only cache still serves the entries it has.
        if path.is_file():
            return path
        warn_once(f"compiled kernels are not kept: {_reason(error)}")
        return None
    return path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def info() -> Info:
    """What the cache holds now."""
    kernels = kernels_directory()
    if kernels is None:
        return Info(None, 0, 0)
    entries = [entry for entry in kernels.iterdir() if entry.is_dir()]
    total = sum(file.stat().st_size for entry in entries for file in _files_of(entry))
    return Info(kernels, len(entries), total)


def clear() -> int:
    """Remove every kept kernel; how many there were. Loaded kernels go on working."""
    kernels = kernels_directory()
    if kernels is None:
        return 0
    entries = [entry for entry in kernels.iterdir() if entry.is_dir()]
    for entry in entries:
        shutil.rmtree(entry, ignore_errors=True)
    return len(entries)


@lru_cache
def warn_once(message: str) -> None:
    """Warn with a message, the first time only."""
    warnings.warn(f"tracegrad: {message}", CacheWarning, stacklevel=2)


def _files_of(directory: Path) -> list[Path]:
    """A directory's files; another process may be clearing it."""
    try:
        return [file for file in directory.iterdir() if file.is_file()]
    except FileNotFoundError:
        return []


def _private(root: Path) -> Path | None:
    """The kernels' directory under a root, checked, or None after a warning."""
    kernels = root / _KERNELS
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_unsafe(root)
        kernels.mkdir(mode=0o700, exist_ok=True)
        _refuse_unsafe(kernels)
        if os.name == "posix" and stat.S_IMODE(kernels.stat().st_mode) & 0o077:
            kernels.chmod(0o700)
    except (OSError, CacheRefused) as error:
        warn_once(f"compiled kernels are not kept: {_reason(error)}")
        return None
    return kernels


def _refuse_unsafe(directory: Path) -> None:
    """Refuse a directory through which another user could give us code to run."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise CacheRefused(f"{directory} is a symlink or no directory")
    if os.name != "posix":
        return
    if status.st_uid != os.geteuid():
        raise CacheRefused(f"{directory} belongs to another user")
    if status.st_mode & _OTHERS_WRITE:
        raise CacheRefused(f"{directory} can be written by others (chmod 700 it)")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
