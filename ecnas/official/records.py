"""TFRecord files: read and written by tensorflow's own reader and writer, which check and set the CRC of each record.

A record on disk is its length (uint64), a CRC of that, its bytes, and a CRC of these; 16 bytes more than its content
(https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). tensorflow runs in a process of its
own (:mod:`ecnas.official.tensorflow_worker`): it starts faster than a full import, works beside the parsing, and its
memory is given back when it is done.
"""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.errors import CorruptFileError, ECNASError
from ecnas.files import clear_leftovers, replaced_path

FRAME_BYTES: Final = 16
"""What a record occupies on disk beyond its content."""

LONGEST_RECORD: Final = 1 << 20
"""Published rows have some hundred bytes; what has a thousand times as many is none."""

_WORKER: Final = Path(__file__).with_name("tensorflow_worker.py")
_END: Final = 0
_FAILURE: Final = 0xFFFFFFFF
_PIPE_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 1 << 20


class TensorFlowMissingError(ECNASError, ImportError):
    """tensorflow is needed and not installed."""

    def __init__(self) -> None:
        super().__init__(
            "reading and writing .tfrecord files needs tensorflow: pip install 'ecnas-gym[official]' "
            "(a table that was converted before opens without it)"
        )


class RecordBlock(NamedTuple):
    """Some records of a file, one after the other.

    Attributes:
        content: uint8, shape (sum of the lengths,).
        lengths: int64, shape (n,).
        number: Number of the first of them in the file, from 0.
        offset: Where the first of them starts in the file, in bytes.
    """

    content: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    number: int
    offset: int

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each record starts in ``content``, int64 of shape (n,)."""
        starts: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        return starts

    def place(self, i: int) -> tuple[int, int]:
        """Number and byte offset in the file of the i-th record, for messages."""
        return self.number + i, self.offset + int(self.lengths[:i].sum()) + FRAME_BYTES * i


def read_blocks(path: Path, mode: str = "light", called: Path | None = None) -> Iterator[RecordBlock]:
    """Reads a TFRecord file.

    Args:
        path: The file.
        mode: "light", or "full" to import all of tensorflow (see the worker).
        called: How messages call it; its path by default.

    Yields:
        Its records, some megabytes at a time.

    Raises:
        FileNotFoundError: There is no such file.
        CorruptFileError: A record is truncated, its CRC is wrong or it is too long for a row; the message names its
            number and byte offset.
        TensorFlowMissingError: tensorflow is not installed.
    """
    called = called or path
    size = path.stat().st_size
    number = offset = 0
    with _Worker("read", mode, path) as worker:
        try:
            while True:
                count = worker.read_uint32()
                if count == _END:
                    break
                if count == _FAILURE:
                    failure = worker.read_failure()
                    if failure["kind"] == "data":
                        raise CorruptFileError(
                            f"{called}: record {number} at byte {offset} is damaged ({failure['message']:.200})"
                        )
                    worker.raise_failure(failure)
                lengths = np.frombuffer(worker.read(4 * count), dtype="<u4").astype(np.int64)
                if lengths.max() > LONGEST_RECORD:
                    i = int(np.argmax(lengths > LONGEST_RECORD))
                    start = offset + int(lengths[:i].sum()) + FRAME_BYTES * i
                    raise CorruptFileError(
                        f"{called}: record {number + i} at byte {start} must have at most {LONGEST_RECORD:,} bytes, "
                        f"has {lengths[i]:,}"
                    )
                content = np.frombuffer(worker.read(int(lengths.sum())), dtype=np.uint8)
                yield RecordBlock(content, lengths, number, offset)
                number += count
                offset += len(content) + FRAME_BYTES * count
        except _WorkerDiedError as error:
            if mode == "light" and number == 0:  # another version of tensorflow may lack what "light" relies on
                yield from read_blocks(path, "full", called)
                return
            raise CorruptFileError(f"{called}: reading stopped after record {number} ({error})") from error
    # tensorflow takes a file that ends within the 12 bytes before a record's content for complete.
    if offset != size:
        raise CorruptFileError(
            f"{called}: record {number} at byte {offset} is truncated (the file ends at byte {size})"
        )


def write_records(path: Path, records: Iterable[bytes], mode: str = "light") -> int:
    """Writes a TFRecord file, which is complete or not there at all.

    Args:
        path: The file; one that exists is replaced.
        records: The content of each record.
        mode: As in :func:`read_blocks`.

    Returns:
        How many records were written.

    Raises:
        TensorFlowMissingError: tensorflow is not installed.
        OSError: The file cannot be written.
    """
    path = path.absolute()
    clear_leftovers(path.parent, path.name)
    number = 0
    with replaced_path(path) as temporary, _Worker("write", mode, temporary) as worker:
        block: list[bytes] = []
        size = 0
        for record in records:
            number += 1
            block.append(record)
            size += len(record)
            if size >= _BLOCK_BYTES:
                worker.send(block)
                block, size = [], 0
        if block:
            worker.send(block)
        worker.finish()
    return number


class _WorkerDiedError(Exception):
    """The process ended before its stream did."""


class _Worker:
    """The process that runs tensorflow, and the stream of blocks from or to it."""

    def __init__(self, action: str, mode: str, path: Path) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER), action, mode, str(path)],
            stdin=subprocess.PIPE if action == "write" else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout
        self._in = self._process.stdin
        for pipe in (self._out, self._in):
            _enlarge(pipe)

    def read(self, count: int) -> bytes:
        data = self._out.read(count)
        if len(data) < count:
            code = self._process.wait()
            self._errors.seek(0)
            last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise _WorkerDiedError(f"the process that runs tensorflow ended with code {code}: {''.join(last)}")
        return data

    def read_uint32(self) -> int:
        return int(struct.unpack("<I", self.read(4))[0])

    def read_failure(self) -> dict[str, str]:
        failure: dict[str, str] = json.loads(self.read(self.read_uint32()))
        return failure

    def raise_failure(self, failure: dict[str, str]) -> None:
        if failure["kind"] == "missing":
            raise TensorFlowMissingError
        raise _WorkerDiedError(failure["message"])

    def send(self, records: list[bytes]) -> None:
        assert self._in is not None
        try:
            self._in.write(struct.pack(f"<{len(records) + 1}I", len(records), *map(len, records)))
            self._in.write(b"".join(records))
        except BrokenPipeError:
            self.finish()

    def finish(self) -> None:
        """Ends the stream of written records and raises what went wrong on the other side."""
        assert self._in is not None
        with contextlib.suppress(BrokenPipeError):
            self._in.write(struct.pack("<I", _END))
            self._in.close()
        try:
            if self.read_uint32() == _FAILURE:
                self.raise_failure(self.read_failure())
        except _WorkerDiedError as error:
            raise OSError(f"writing failed: {error}") from error

    def __enter__(self) -> _Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None and kind is not None:
            self._process.kill()
        for pipe in (self._in, self._out):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._errors.close()


def _enlarge(pipe: Any) -> None:
    """Fewer switches between the two processes; where the system does not allow it, it works all the same."""
    if pipe is None:
        return
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
