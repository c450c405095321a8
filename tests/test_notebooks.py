"""The notebooks run from top to bottom in an empty folder; they are stored without outputs."""

from __future__ import annotations

import os

import pytest
from conftest import ROOT

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbclient and ipykernel (extra [dev])")
nbclient = pytest.importorskip("nbclient", reason="notebooks need nbclient and ipykernel (extra [dev])")
pytest.importorskip("ipykernel", reason="notebooks need nbclient and ipykernel (extra [dev])")

NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    for module in ("matplotlib", "moocore"):
        pytest.importorskip(module)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code"), "stored with outputs"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert "Traceback" not in output.get("text", "")
            assert "error" not in output.get("text", "").lower(), output["text"]
