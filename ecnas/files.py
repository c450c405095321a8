"""Atomic writing of files and folders.

A file or folder is first made under a temporary name beside its final one. The name is random and unique over threads,
processes and containers; it begins with a dot and ends with ``.tmp``. The writer holds a lock on it, which the system
releases if the writer dies. So leftovers of killed processes are recognised by their free lock, and the next process
removes them (:func:`clear_leftovers`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from ecnas.errors import CorruptFileError

try:
    import fcntl
except ImportError:  # Windows has other locks, but refuses to remove what is open
    fcntl = None  # type: ignore[assignment]

_SUFFIX: Final = ".tmp"
_STALE_SECONDS: Final = 24 * 3600
"""Without locks, temporary files older than this count as leftovers."""

_CHUNK: Final = 1 << 20

_NAME_LENGTH: Final = 40
"""Length of the final name's part in a temporary one, which must not be too long for the file system."""


@contextlib.contextmanager
def replaced_path(path: Path) -> Iterator[Path]:
    """The path of an empty temporary file that replaces ``path`` at the end, or is removed on an error.

    Args:
        path: The file to make; its folder is created if necessary.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = _new_file(path)
    try:
        yield temporary
        os.fsync(handle)
        if fcntl is None:
            os.close(handle)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        with contextlib.suppress(OSError):
            os.close(handle)


@contextlib.contextmanager
def replaced_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """An open temporary file that replaces ``path`` at the end, or is removed on an error.

    Args:
        path: The file to make; its folder is created if necessary. A pipe or a device is written to directly.
        mode: ``"w"`` for UTF-8 text with plain newlines, ``"wb"`` for bytes.
    """
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    if path.exists() and not path.is_file():  # a pipe or a device is written to, never replaced
        with path.open(mode, **text) as file:
            yield file
        return
    with replaced_path(path) as temporary, temporary.open(mode, **text) as file:
        yield file


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; a byte-order mark is skipped.

    Raises:
        CorruptFileError: It is not a TOML file.
        OSError: It cannot be read.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        content: dict[str, Any] = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CorruptFileError(f"{path} is no TOML file: {error}") from error
    return content


def write_text(path: Path, text: str) -> None:
    """Writes a file of UTF-8 text atomically."""
    with replaced_file(path) as file:
        file.write(text)


@contextlib.contextmanager
def replaced_folder(folder: Path, keep: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """A temporary folder that replaces ``folder`` at the end, or is removed on an error.

    If two processes make the same folder at once, one replaces the other's.

    Args:
        folder: The folder to make; its parent is created if necessary. An existing folder is replaced.
        keep: Called at the end; says whether to keep a folder that exists by then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = _new_folder(folder)
    try:
        yield temporary
        while not _take_place(temporary, folder):
            if keep():
                break
            _move_aside(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def clear_leftovers(folder: Path, name: str = "") -> None:
    """Removes what processes that were killed have left in a folder: all, or what was to become the file ``name``."""
    for path in folder.glob(f".{_stem(name)}*{_SUFFIX}" if name else f".*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # it has taken its place by now, or belongs to somebody else
            if not path.is_symlink() and (path.is_dir() or path.is_file()):
                _remove_if_abandoned(path)


@contextlib.contextmanager
def private_copy(path: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """A private copy of a file, and its SHA-256; the copy is removed at the end.

    Args:
        path: A regular file.
        folder: Folder for the copy, created if necessary.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy, handle = _new_file(folder / path.name)
    try:
        digest = hashlib.sha256()
        with open_regular(path) as source, copy.open("wb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
        yield copy, digest.hexdigest()
    finally:
        if fcntl is None:
            os.close(handle)
        copy.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(handle)


def sha256_of(path: Path) -> str:
    """SHA-256 of a regular file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def open_regular(path: Path) -> IO[bytes]:
    """Opens a regular file to read its bytes; reading others, such as a pipe, might never end.

    Raises:
        CorruptFileError: It is not a regular file.
        OSError: It cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise CorruptFileError(f"{path} must be a regular file, is {_KINDS.get(stat.S_IFMT(mode), 'something else')}")
    return os.fdopen(handle, "rb")


_KINDS: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def state_of(path: Path) -> list[int]:
    """What differs when a file was written, replaced or exchanged: size, two times in ns, and the file's number."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _stem(name: str) -> str:
    # Letters that a pattern would take for something else stand for any.
    return "".join(letter if letter not in "[]*?" else "?" for letter in name[:_NAME_LENGTH])


def _temporary_name(path: Path) -> str:
    return str(path.with_name(f".{path.name[:_NAME_LENGTH]}.{secrets.token_hex(8)}{_SUFFIX}"))


def _new_file(path: Path) -> tuple[Path, int]:
    """A new file and its locked handle; its permissions are those of any new file."""
    while True:
        name = _temporary_name(path)
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _lock_new(name, handle):
            return Path(name), handle
        os.close(handle)


def _new_folder(folder: Path) -> tuple[Path, int | None]:
    """A new folder and its locked handle (None where folders have no locks)."""
    while True:
        name = _temporary_name(folder)
        os.mkdir(name)
        if fcntl is None:
            return Path(name), None
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(name, os.O_RDONLY)
            if _lock_new(name, handle):
                return Path(name), handle
            os.close(handle)


def _lock_new(name: str, handle: int) -> bool:
    """Locks a new file or folder; False if another process removed it as a leftover before that."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):  # a file system without locks: nobody can take the lock, so it is left alone
        fcntl.flock(handle, fcntl.LOCK_EX)
    return os.path.exists(name)


def _remove_if_abandoned(path: Path) -> None:
    """Removes a temporary file or folder, unless its lock is held."""
    if fcntl is None:
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            _remove(path)
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)  # while it is locked: who has just made it and waits for the lock finds it gone
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _take_place(temporary: Path, folder: Path) -> bool:
    """Renames a folder; False if another one is in the way."""
    try:
        os.replace(temporary, folder)
        return True
    except OSError as error:
        # It may have been in the way and be gone by now, moved aside by another process.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) and not folder.exists():
            raise
        return False


def _move_aside(folder: Path) -> None:
    aside, handle = _new_folder(folder)
    try:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            os.replace(folder, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if handle is not None:
            os.close(handle)
