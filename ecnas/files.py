"""Files and folders that appear whole or not at all: the one place for it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def replaced_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """An open temporary file that takes the place of ``path`` at the end, or vanishes on an error.

    Args:
        path: The file to make; its folder is made if need be.
        mode: ``"w"`` for UTF-8 text with plain newlines, ``"wb"`` for bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with os.fdopen(handle, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def write_text(path: Path, text: str) -> None:
    """Writes a file of UTF-8 text that appears whole or not at all."""
    with replaced_file(path) as file:
        file.write(text)


def _umask() -> int:
    """The process's mask of permissions, which a temporary file would otherwise ignore."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` at the end, or vanishes on an error.

    Of two processes that make the same folder at once, one's takes the place of the other's.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        while not _take_place(temporary, folder):
            pass
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, folder: Path) -> bool:
    """Renames a folder; one that is in the way is moved aside first, then False asks for another try."""
    try:
        os.replace(temporary, folder)
        return True
    except OSError as error:
        # It may have been in the way and be gone by now, moved aside by another process.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) and not folder.exists():
            raise
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        os.replace(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)
    return False
