"""The first cases of each kind of damaged and hostile inputs (``fuzz.py``); ``make fuzz`` tries thousands."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("google.protobuf", reason="files are compared with the protobuf library's reading")
import fuzz
from conftest import ROOT

CASES = {"tables": 60, "records": 60, "sweeps": 20, "calls": 300, "episodes": 60}


def test_damaged_files_are_refused_and_what_is_taken_is_right():
    """In a process of its own: tensorflow's bare library must not meet the whole of it."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TFRecord files are read by tensorflow")
    command = [sys.executable, str(Path(fuzz.__file__)), "--files", "60"]
    for kind in CASES:
        command += [f"--{kind}", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    tried, refused, taken, wrong = map(int, re.findall(r"(\d+) (?:tried|refused|taken|wrong)", done.stdout))
    assert (tried, wrong) == (60, 0)
    assert refused > 0 < taken


@pytest.mark.parametrize("kind", CASES)
def test_what_must_be_refused_is_refused_and_what_is_taken_is_right(kind, tmp_path):
    outcomes = {fuzz.run_case(kind, number, tmp_path) for number in range(CASES[kind])}
    assert outcomes == {fuzz.REFUSED, fuzz.TAKEN}, "both happen"


# Cases that once went wrong.
@pytest.mark.parametrize(
    ("kind", "number"),
    [("tables", 40), ("tables", 870), ("records", 20), ("records", 290), ("calls", 22), ("calls", 843)],
)
def test_what_once_went_wrong(kind, number, tmp_path):
    fuzz.run_case(kind, number, tmp_path)
