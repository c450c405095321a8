"""``ecnas import`` and ``ecnas export``, and imported benchmarks by name."""

from __future__ import annotations

import copy
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from conftest import synthetic_table

import ecnas
import ecnas_gym  # noqa: F401  registers the environments
from ecnas import measured
from ecnas.cli import main
from ecnas.measured.store import folder_of

LAB = "row,epochs,val_accuracy,energy_kwh\n5,4,0.8,0.1\n6,4,0.7,0.05\n7,4,0.6,0.2\n"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder with a CSV file, in which one is, and a cache of its own."""
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "lab.csv").write_text(LAB)
    return work


def run(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_import_then_everywhere(lab, capsys):
    code, out, err = run(capsys, "import", "lab.csv", "-o", "my-lab", "--notes", "Third floor.")
    assert (code, err) == (0, "")
    assert "my-lab: 3 of the 91 cells of space 4V" in out
    assert 'ecnas.load("my-lab") opens it' in out
    benchmark = ecnas.load("my-lab")
    assert (benchmark.name, benchmark.query_row(5).energy) == ("my-lab", 0.1)
    assert ecnas.load("my-lab") is benchmark
    assert pickle.loads(pickle.dumps(benchmark)).digest == benchmark.digest
    assert copy.deepcopy(benchmark).name == "my-lab"
    assert measured.stored_names() == ["my-lab"]
    _, out, _ = run(capsys, "info")
    assert "my-lab" in out
    assert "3 of 91 cells of 4V, epochs 4" in out
    _, out, _ = run(capsys, "info", "my-lab")
    assert "3 of 91" in out
    assert "Third floor." in out
    assert "2 cells at 4 epochs" in out
    code, out, _ = run(capsys, "query", "my-lab", "--row", "5", "--json")
    assert json.loads(out)["evaluations"][0]["energy"] == 0.1
    code, _, err = run(capsys, "query", "my-lab", "--row", "8")
    assert code == 2
    assert "my-lab" in err
    env = gym.make("ECNAS-4V-v0", benchmark="my-lab")
    env.reset(seed=0)


def test_a_dry_run_writes_nothing(lab, capsys):
    before = sorted(lab.parent.rglob("*"))
    code, out, _ = run(capsys, "import", "lab.csv", "--dry-run")
    assert code == 0
    assert "lab: 3 of the 91 cells" in out
    assert "Nothing was written" in out
    assert sorted(lab.parent.rglob("*")) == before
    code, _, err = run(capsys, "import", "lab.csv")
    assert code == 2
    assert "-o NAME is needed" in err


def test_to_a_folder(lab, capsys):
    code, _, _ = run(capsys, "import", "lab.csv", "-o", "./tables/lab")
    assert code == 0
    assert ecnas.load("tables/lab").query_row(6).val_accuracy == 0.7
    assert measured.stored_names() == []
    (lab / "other").mkdir()
    (lab / "other" / "thesis.tex").write_text("")
    code, _, err = run(capsys, "import", "lab.csv", "-o", "./other", "--replace")
    assert code == 2
    assert "is not a table" in err
    assert (lab / "other" / "thesis.tex").exists()


def test_other_figures_are_not_replaced_unasked(lab, capsys):
    run(capsys, "import", "lab.csv", "-o", "my-lab")
    assert run(capsys, "import", "lab.csv", "-o", "my-lab")[0] == 0  # the same again
    first = ecnas.load("my-lab")
    (lab / "lab.csv").write_text(LAB.replace("0.05", "0.06"))
    code, _, err = run(capsys, "import", "lab.csv", "-o", "my-lab")
    assert code == 2
    assert "'my-lab' already has other metrics" in err
    assert "--replace" in err
    assert ecnas.load("my-lab").digest == first.digest
    assert run(capsys, "import", "lab.csv", "-o", "my-lab", "--replace")[0] == 0
    assert ecnas.load("my-lab").query_row(6).energy == 0.06


def test_a_folder_of_the_same_name_is_not_in_the_way(lab, capsys):
    (lab / "my-lab").mkdir()
    run(capsys, "import", "lab.csv", "-o", "my-lab")
    assert ecnas.load("my-lab").query_row(5).energy == 0.1


@pytest.mark.parametrize(
    "name", ["surrogate-7V", "energy_4V9E_linscale", "my lab", "my-lab~7", "", "-x", "surrogate-9V"]
)
def test_names_that_cannot_be(lab, capsys, name):
    code, _, err = run(capsys, "import", "lab.csv", f"-o={name}")
    assert code == 2
    assert "name must" in err or "NAME is needed" in err
    assert measured.stored_names() == []


def test_a_name_that_is_not_there(lab, capsys):
    run(capsys, "import", "lab.csv", "-o", "my-lab")
    with pytest.raises(ecnas.UnknownNameError, match="Did you mean 'my-lab'"):
        ecnas.load("my-lba")


def test_a_damaged_table_is_said(lab, capsys):
    run(capsys, "import", "lab.csv", "-o", "my-lab")
    (folder_of("my-lab") / "energy.npy").write_bytes(b"")
    with pytest.raises(ecnas.CorruptFileError):
        ecnas.load("my-lab")
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert "damaged" in out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["none.csv", "-o", "x"], "none.csv"),
        (["lab.csv", "-o", "x", "--epochs", "4"], "column 'epochs'"),
        (["lab.csv", "-o", "x", "--column", "row"], "NAME=MEANING, got 'row'"),
        (["lab.csv", "-o", "x", "--column", "rows=ignore"], "no column 'rows'"),
        (["lab.csv", "-o", "x", "--energy", "none"], "none"),
        (["lab.csv", "-o", "x", "--fill", "surrogate"], "3 cells"),
        (["wrong.csv", "-o", "x"], "wrong.csv, line 3"),
    ],
)
def test_slips_are_told_in_a_line(lab, capsys, arguments, part):
    (lab / "wrong.csv").write_text(LAB.replace("0.7", "70"))
    code, _, err = run(capsys, "import", *arguments)
    assert code == 2
    assert err.startswith("ecnas import: ")
    assert part in err
    assert "Traceback" not in err
    assert measured.stored_names() == []


def test_what_a_file_does_not_say(lab, capsys):
    (lab / "lab.csv").write_text("cell number,acc,e\n5,81,2\n6,79,1\n")
    arguments = ["--epochs", "36", "--column", "cell number=row", "--column", "acc=test_acc", "--percent"]
    code, out, _ = run(capsys, "import", "lab.csv", "-o", "x", *arguments, "--column", "e=energy_wh", "--space", "5V",
                       "--provenance", "estimated")  # fmt: skip
    assert code == 0, out
    benchmark = ecnas.load("x")
    assert (benchmark.space.name, benchmark.epochs, benchmark.table.provenance) == ("5V", (36,), {36: "estimated"})
    assert (benchmark.query_row(5).test_accuracy, benchmark.query_row(5).energy) == (0.81, 0.002)


def test_fill(lab, capsys):
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    surrogate = ecnas.load("surrogate-4V")
    rows = rng.choice(91, 20, replace=False).tolist()
    lines = [
        f"{row},4,{surrogate.query_row(row, 4).val_accuracy},{2 * surrogate.query_row(row, 4).energy}" for row in rows
    ]
    (lab / "lab.csv").write_text("row,epochs,val_accuracy,energy_kwh\n" + "\n".join(lines))
    code, out, _ = run(capsys, "import", "lab.csv", "-o", "full", "--fill", "surrogate", "--space", "4V")
    assert code == 0
    assert "filled: energy after 4 epochs: 71 cells predicted" in out
    _, out, _ = run(capsys, "info", "full")
    assert "4 (measured and surrogate)" in out
    benchmark = ecnas.load("full")
    assert np.flatnonzero(benchmark.provenance("energy") == "measured").tolist() == sorted(rows)


def test_export_by_name(lab, capsys):
    run(capsys, "import", "lab.csv", "-o", "my-lab")
    code, out, _ = run(capsys, "export", "my-lab", "-o", "out.csv")
    assert (code, out) == (0, "out.csv: 3 rows\n")
    code, out, _ = run(capsys, "import", "out.csv", "--dry-run")
    assert ecnas.load("my-lab").digest in out
    code, _, err = run(capsys, "export", "my-lab", "-o", "out.json")
    assert code == 2
    assert "suffix must be one of .csv, .jsonl, .parquet, .tfrecord, got 'out.json'" in err


def test_a_front_where_no_cell_has_both(lab, capsys):
    (lab / "lab.csv").write_text("row,epochs,val_accuracy,energy_kwh\n5,4,0.8,\n6,4,,0.05\n")
    run(capsys, "import", "lab.csv", "-o", "apart")
    code, out, _ = run(capsys, "info", "apart")
    assert code == 0
    assert "front:    none, since no cell has both an accuracy and an energy at 4 epochs" in out
    with pytest.raises(ecnas.OutOfDomainError, match="no cell with all of val_accuracy, energy at 4 epochs"):
        ecnas.load("apart").pareto_front()


def test_a_table_made_by_hand_can_be_stored(lab):
    table = synthetic_table("4V")
    measured.store(table, "by-hand")
    assert ecnas.load("by-hand").digest == table.digest
