"""Claims on runs: of all processes and machines that share a folder, only one works on a run at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ecnas.errors import ECNASError


class ClaimedError(ECNASError):
    """Another process is working on the run."""


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Holds the claim on the run whose record is at ``path``.

    The claim is a lock of the operating system on a file beside the record. It ends with the process that holds it,
    even if that is killed, so the run is free again at once. When the record is complete, the lock file is removed.

    Raises:
        ClaimedError: Another process, of this machine or of one that shares the file system, holds it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.lock")
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ClaimedError(f"another process is working on {path}") from None
    try:
        yield
    finally:
        # Whoever gets hold of a file that was removed finds the record complete, and so has nothing to do.
        if path.exists():
            with contextlib.suppress(OSError):
                file.unlink()
        lock.release()
