"""Reads and writes TFRecord files with tensorflow, in a process of its own. Run as a script, never imported.

``python tensorflow_worker.py read light|full FILE`` writes the records to standard output, ``… write light|full FILE``
takes them from standard input. Either way they travel in blocks: the number of records n, their n lengths (each a
little-endian uint32), then their bytes; n = 0 ends the stream. When something is wrong the stream ends with
n = 0xFFFFFFFF, a length, and a JSON object that says what.

"light" loads only the compiled part of tensorflow that reads and writes records, which takes half a second and 0.35 GB
less than the 4 s and 0.7 GB of ``import tensorflow``. That part is not public, so "full" is what to do when it fails.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import sys
import types
from typing import Any, BinaryIO

BLOCK_BYTES = 4 << 20
END = 0
FAILURE = 0xFFFFFFFF
_UINT32 = struct.Struct("<I")


class TensorFlowMissingError(Exception):
    """There is no tensorflow in this environment."""


class _StatusError(Exception):
    """What the light reader raises: tensorflow calls it with (node, operation, message, payloads)."""

    def __str__(self) -> str:
        return str(self.args[2]) if len(self.args) > 2 else super().__str__()


class _DataLossError(_StatusError):
    pass


_CODES = range(1, 17)  # of absl::StatusCode
_DATA_LOSS = 15


def _light() -> Any:
    """The compiled reader and writer, without running tensorflow's Python code; None if this version has no such."""
    folder = _tensorflow_folder()
    packages = ("tensorflow", "tensorflow.python", "tensorflow.python.lib", "tensorflow.python.lib.io")
    for name in packages:
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(folder, *name.split(".")[1:])]
        sys.modules[name] = package
    errors = {code: _DataLossError if code == _DATA_LOSS else _StatusError for code in _CODES}
    try:
        importlib.import_module("tensorflow.python._pywrap_py_exception_registry").PyExceptionRegistry_Init(errors)
        module = importlib.import_module("tensorflow.python.lib.io._pywrap_record_io")
        module.RecordIterator, module.RecordWriter, module.RecordWriterOptions  # noqa: B018
        return module
    except (ImportError, AttributeError):
        for name in packages:
            del sys.modules[name]
        return None


def _tensorflow_folder() -> str:
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        raise TensorFlowMissingError
    return os.path.dirname(spec.origin)


def _reader(mode: str, path: str) -> tuple[Any, type[Exception]]:
    """An iterator over the records of a file, and what it raises for a damaged one."""
    module = _light() if mode == "light" else None
    if module is not None:
        return module.RecordIterator(path, ""), _DataLossError
    _tensorflow_folder()
    import tensorflow as tf

    return tf.data.TFRecordDataset(path).as_numpy_iterator(), tf.errors.DataLossError


def _writer(mode: str, path: str) -> Any:
    module = _light() if mode == "light" else None
    if module is not None:
        return module.RecordWriter(path.encode(), module.RecordWriterOptions(""))
    _tensorflow_folder()
    import tensorflow as tf

    return tf.io.TFRecordWriter(path)


def _send(out: BinaryIO, records: list[bytes]) -> None:
    out.write(struct.pack(f"<{len(records) + 1}I", len(records), *map(len, records)))
    out.write(b"".join(records))


def read(mode: str, path: str, out: BinaryIO) -> None:
    """Sends all records of a file; those before a damaged one too, so that the receiver knows its number."""
    records: list[bytes] = []
    size = 0
    iterator, data_loss = _reader(mode, path)
    failure = None
    while True:
        try:
            record = next(iterator)
        except StopIteration:
            break
        except data_loss as error:
            failure = {"kind": "data", "message": str(error)}
            break
        records.append(record)
        size += len(record)
        if size >= BLOCK_BYTES:
            _send(out, records)
            records, size = [], 0
    if records:
        _send(out, records)
    if failure:
        _fail(out, failure)
    else:
        out.write(_UINT32.pack(END))


def write(mode: str, path: str, source: BinaryIO) -> None:
    """Writes the records that arrive until the stream ends well; otherwise fails."""
    writer = _writer(mode, path)
    while True:
        (count,) = _UINT32.unpack(source.read(4))  # an end without END is an error, as it must be
        if count == END:
            break
        lengths = struct.unpack(f"<{count}I", source.read(4 * count))
        block = source.read(sum(lengths))
        start = 0
        for length in lengths:
            writer.write(block[start : start + length])
            start += length
    writer.close()


def _fail(out: BinaryIO, failure: dict[str, str]) -> None:
    text = json.dumps(failure).encode()
    out.write(_UINT32.pack(FAILURE) + _UINT32.pack(len(text)) + text)


def main() -> None:
    """Does what the command line says."""
    # The modules beside this file must not hide any that tensorflow imports.
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))]
    # Whatever tensorflow prints must not get into the stream.
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    action, mode, path = sys.argv[1:]
    try:
        if action == "read":
            read(mode, path, stream)
        else:
            write(mode, path, sys.stdin.buffer)
            stream.write(_UINT32.pack(END))
    except TensorFlowMissingError:
        _fail(stream, {"kind": "missing", "message": "tensorflow is not installed"})
    except Exception as error:  # the other side raises it
        _fail(stream, {"kind": "other", "message": f"{type(error).__name__}: {error}"})
    stream.flush()
    # Neither tensorflow's nor Python's teardown has anything left to do.
    os._exit(0)


if __name__ == "__main__":
    main()
