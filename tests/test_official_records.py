from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import needs_tensorflow, write_file

from ecnas import CorruptFileError
from ecnas.official import records, tensorflow_worker
from ecnas.official.records import TensorFlowMissingError, read_blocks, write_records

pytestmark = needs_tensorflow

CONTENT = [b"first", b"", b"x" * 300, bytes(range(256))]


def contents(path, mode="light"):
    return [
        block.content[start : start + length].tobytes()
        for block in read_blocks(path, mode)
        for start, length in zip(block.starts, block.lengths, strict=True)
    ]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "small.tfrecord"
    assert write_records(path, CONTENT) == len(CONTENT)
    return path


def test_round_trip(small):
    assert contents(small) == CONTENT
    assert oct(small.stat().st_mode & 0o777) == oct(0o666 & ~int(subprocess.check_output("umask", shell=True), 8))
    assert [path.name for path in small.parent.iterdir()] == [small.name]


def test_it_is_written_as_the_format_says(small, tmp_path):
    write_file(tmp_path / "other", CONTENT)
    assert (tmp_path / "other").read_bytes() == small.read_bytes()


def test_the_full_import_of_tensorflow_reads_the_same(small):
    assert contents(small, "full") == CONTENT


def test_several_blocks_are_numbered_on(tmp_path):
    path = tmp_path / "large.tfrecord"
    write_records(path, (bytes([i]) * 1_000_000 for i in range(11)))
    blocks = list(read_blocks(path))
    assert len(blocks) > 1
    assert blocks[1].number == len(blocks[0].lengths)
    assert blocks[1].place(0) == (blocks[1].number, 1_000_016 * blocks[1].number)
    assert sum(len(block.lengths) for block in blocks) == 11


@pytest.mark.parametrize("keep", [1, 11, 12, 20, 25])
def test_truncated_file(small, tmp_path, keep):
    damaged = tmp_path / "truncated.tfrecord"
    damaged.write_bytes(small.read_bytes()[: 21 + 16 + keep])
    with pytest.raises(CorruptFileError, match=r"truncated.tfrecord: record 2 at byte 37 is (damaged|truncated)"):
        contents(damaged)


# One process reads all of the damaged files: starting tensorflow takes longer than reading them.
READ_ALL = """
import io, sys
from pathlib import Path
from ecnas.official import tensorflow_worker as worker
module = worker._light()
worker._light = lambda: module
for path in sorted(Path(sys.argv[1]).iterdir()):
    out = io.BytesIO()
    worker.read("light", str(path), out)
    path.with_suffix(".answer").write_bytes(out.getvalue())
"""


def test_no_flipped_missing_or_doubled_byte_goes_unnoticed(small, tmp_path):
    data = small.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [data[:cut] for cut in range(len(data))]
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    damaged += [data[:i] + data[i : i + 1] + data[i:] for i in rng.integers(len(data), size=100)]
    for number, content in enumerate(damaged):
        (tmp_path / f"{number:04}").write_bytes(content)
    subprocess.run([sys.executable, "-c", READ_ALL, str(tmp_path)], check=True, stderr=subprocess.DEVNULL)
    for number, content in enumerate(damaged):
        answer = (tmp_path / f"{number:04}.answer").read_bytes()
        if struct.pack("<I", records._FAILURE) in answer:
            continue
        # tensorflow takes the file for complete: read_blocks has to see that it is not (as the next test shows).
        (count,) = struct.unpack_from("<I", answer)
        lengths = struct.unpack_from(f"<{count}I", answer, 4) if count else ()
        assert sum(lengths) + 16 * count < len(content) or content in ends_of_records(data)


def ends_of_records(data):
    """What cannot be told from a complete file: the file cut between two records."""
    ends = np.cumsum([0, *(len(content) + 16 for content in CONTENT)])
    return [data[:end] for end in ends.tolist()]


@settings(max_examples=4, deadline=None)
@given(position=st.integers(0, 636), bit=st.integers(0, 7))
def test_flipped_bits_are_placed(small, position, bit):
    data = bytearray(small.read_bytes())
    data[position % len(data)] ^= 1 << bit
    damaged = small.with_name("flipped")
    damaged.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"record \d+ at byte \d+"):
        contents(damaged)
    damaged.unlink()


def test_what_is_no_tfrecord_file_at_all(tmp_path):
    (tmp_path / "text").write_text("This is a text. " * 10)
    with pytest.raises(CorruptFileError, match="record 0 at byte 0"):
        contents(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        contents(tmp_path / "nothing")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def broken():
        yield b"one"
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        write_records(path, broken())
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"old")]


def test_without_tensorflow_the_error_names_the_extra(small, monkeypatch, tmp_path):
    script = tmp_path / "worker.py"
    text = json.dumps({"kind": "missing", "message": ""}).encode()
    answer = struct.pack("<II", records._FAILURE, len(text)) + text
    script.write_text(f"import sys; sys.stdout.buffer.write({answer!r})")
    monkeypatch.setattr(records, "_WORKER", script)
    with pytest.raises(TensorFlowMissingError, match=r"pip install 'ecnas-gym\[official\]'"):
        contents(small)
    with pytest.raises(TensorFlowMissingError):
        write_records(tmp_path / "out", CONTENT)


def test_the_worker_notices_that_tensorflow_is_missing(monkeypatch):
    monkeypatch.setattr(tensorflow_worker.importlib.util, "find_spec", lambda name: None)
    for mode in ("light", "full"):
        with pytest.raises(tensorflow_worker.TensorFlowMissingError):
            tensorflow_worker.read(mode, "any", io.BytesIO())


def test_a_worker_that_dies_is_reported(small, monkeypatch, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text("import sys, os; print('all is lost', file=sys.stderr); sys.stderr.flush(); os._exit(3)")
    monkeypatch.setattr(records, "_WORKER", script)
    with pytest.raises(CorruptFileError, match="ended with code 3: all is lost"):
        contents(small)
    with pytest.raises(OSError, match="writing failed.*all is lost"):
        write_records(tmp_path / "out", [os.urandom(1 << 20)] * 4)
