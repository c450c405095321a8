"""The scripts of benchmarks/interop: those whose clients are installed run, and the table of the docs is theirs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks" / "interop"))
import run

MODULES = {"mo_gymnasium": "mo_gymnasium", "optuna": "optuna", "pymoo": "pymoo", "sb3_contrib": "sb3_contrib"}


@pytest.mark.parametrize("name", MODULES)
def test_clients_that_are_installed(name):
    if importlib.util.find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, run.scripts()[name]], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d", done.stdout.splitlines()[-1])


def test_the_table_of_the_docs_is_what_was_found():
    assert run.table() in (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", run.scripts())
def test_every_script_names_what_it_needs(name):
    script = run.scripts()[name]
    assert "ecnas-gym" in run.head(script)["dependencies"]
    assert run.needs(script)
    assert run.glue(script) <= 7
