"""The first cases of each kind of damaged and hostile inputs (``fuzz.py``); ``make fuzz`` tries thousands."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip("google.protobuf", reason="files are compared with the protobuf library's reading")
import fuzz

CASES = {"files": 60, "tables": 60, "records": 60, "sweeps": 20, "calls": 300, "episodes": 60}


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_what_must_be_refused_is_refused_and_what_is_taken_is_right(kind, tmp_path):
    if kind == "files" and importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TFRecord files are read by tensorflow")
    outcomes = {fuzz.run_case(kind, number, tmp_path) for number in range(CASES[kind])}
    assert outcomes == {fuzz.REFUSED, fuzz.TAKEN}, "both happen"


# Cases that once went wrong.
@pytest.mark.parametrize(
    ("kind", "number"),
    [("tables", 40), ("tables", 870), ("records", 20), ("records", 290), ("calls", 22), ("calls", 843)],
)
def test_what_once_went_wrong(kind, number, tmp_path):
    fuzz.run_case(kind, number, tmp_path)
