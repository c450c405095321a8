"""Identifies a file of the wrong kind by its first bytes."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

from ecnas.errors import CorruptFileError
from ecnas.files import open_regular
from ecnas.official.records import LONGEST_RECORD

HEAD_BYTES: Final = 512

_KINDS: Final = (
    (rb"version https://git-lfs", "a Git LFS pointer: `git lfs pull`, or `ecnas fetch`, gets the file"),
    (rb"\x1f\x8b", "compressed with gzip: gunzip it first"),
    (rb"BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "compressed: decompress it first"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"\x80[\x02-\x05]", "a pickle, which this package never loads"),
    (rb"\x93NUMPY", "a numpy array: load the folder of its table"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"PAR1", "a Parquet file: `ecnas import` reads measurements"),
    (rb"SQLite format", "a database"),
    (rb"(?i)\s*<(!doctype|html|\?xml|head|body)", "a web page"),
    (rb"\s*[\[{]", "JSON: `ecnas import` reads measurements"),
    (rb"(\xef\xbb\xbf)?[\t\r\n -~]+$", "text: `ecnas import` reads measurements from CSV"),
)


def kind_of(head: bytes) -> str:
    """The kind of file that begins with these bytes; empty if unknown."""
    text = head[:HEAD_BYTES]
    return next((kind for pattern, kind in _KINDS if re.match(pattern, text)), "")


def check_records(path: Path) -> None:
    """Refuses a file that cannot be a TFRecord file, before it is processed.

    Raises:
        CorruptFileError: It is not a regular file, or begins like another kind; the message says which.
    """
    with open_regular(path) as file:
        head = file.read(HEAD_BYTES)
        file.seek(0, 2)
        size = file.tell()
    # A record is its length, 4 bytes, its content and 4 bytes. A file that ends within it is a damaged one.
    kind = kind_of(head) if size else "empty"
    is_record = struct.unpack_from("<Q", head)[0] < LONGEST_RECORD if len(head) >= 8 else not kind
    if is_record:
        return
    raise CorruptFileError(f"{path} is no .tfrecord file in the published format" + (f"; it is {kind}" if kind else ""))
