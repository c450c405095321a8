from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

import pytest
from conftest import synthetic_table

import ecnas
from ecnas import CorruptFileError, search
from ecnas.runs import RunRecord, benchmark_of, make_header
from ecnas.runs.record import differences, identity
from ecnas.task import Task


def header(benchmark, method=None, budget=10, seed=7, **task):
    return make_header(method or search.RandomSearch(), Task.of(benchmark, **task), ecnas.Budget(budget), seed)


def record_run(benchmark, path=None, rows=(3, 8, 3)):
    with RunRecord(header(benchmark), path) as record:
        for row in rows:
            record.append(benchmark.space[row], benchmark.query_row(row), reward=row / 100)
    return record


def test_a_row_an_evaluation_with_cumulative_cost(synthetic_4v):
    record = record_run(synthetic_4v)
    assert record.column("row").tolist() == [3, 8, 3]
    assert record.column("index").tolist() == [0, 1, 2]
    assert record.costs("epochs").tolist() == [108, 216, 324]
    assert record.costs("energy") == pytest.approx(record.column("energy").cumsum())
    assert record.costs("time") == pytest.approx(record.column("training_time").cumsum())
    assert record.costs().tolist() == [1, 2, 3]
    assert record.column("reward").tolist() == [0.03, 0.08, 0.03]
    assert [row["hash"] for row in record.rows] == [synthetic_4v.space[row].hash for row in (3, 8, 3)]
    assert (record.seed, record.objectives, record.epochs) == (7, ("val_accuracy", "energy"), 108)
    with pytest.raises(ecnas.UnknownNameError, match="unknown currency 'money'"):
        record.costs("money")


def test_what_is_loaded_is_what_was_recorded(synthetic_4v, tmp_path):
    record = record_run(synthetic_4v, tmp_path / "a" / "run.jsonl")
    loaded = RunRecord.load(tmp_path / "a" / "run.jsonl")
    assert loaded.header == record.header == RunRecord.read_header(tmp_path / "a" / "run.jsonl")
    assert loaded.rows == record.rows
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"run.jsonl", "run.cell.json"}


def test_missing_metrics_are_null_on_disk_and_nan_in_memory(synthetic_4v, tmp_path):
    path = tmp_path / "run.jsonl"
    with RunRecord(header(synthetic_4v), path) as record:
        record.append(synthetic_4v.space[0], replace(synthetic_4v.query_row(0), co2=math.nan), 0.5)
    assert json.loads(path.read_text().splitlines()[1])["co2"] is None
    assert math.isnan(RunRecord.load(path).rows[0]["co2"])


def test_a_killed_run_leaves_no_complete_record(synthetic_4v, tmp_path):
    path = tmp_path / "run.jsonl"

    def run_until_killed():
        with RunRecord(header(synthetic_4v), path) as record:
            record.append(synthetic_4v.space[0], synthetic_4v.query_row(0), 0.5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_until_killed()
    assert not path.exists()
    partial = tmp_path / "run.jsonl.partial"
    assert len(partial.read_text().splitlines()) == 2  # nothing measured is lost
    record_run(synthetic_4v, path)
    assert len(RunRecord.load(path)) == 3  # and nothing is counted twice
    assert not partial.exists()


def test_lines_are_on_disk_as_they_come(synthetic_4v, tmp_path):
    record = RunRecord(header(synthetic_4v), tmp_path / "run.jsonl")
    record.append(synthetic_4v.space[0], synthetic_4v.query_row(0), 0.5)
    assert len((tmp_path / "run.jsonl.partial").read_text().splitlines()) == 2
    record.close()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda lines: [], id="empty"),
        pytest.param(lambda lines: ["{}", *lines[1:]], id="no header"),
        pytest.param(lambda lines: ["[1, 2]", *lines[1:]], id="a header that is a list"),
        pytest.param(
            lambda lines: [lines[0].replace('"method": {', '"method": 3, "x": {'), *lines[1:]], id="no method"
        ),
        pytest.param(lambda lines: [*lines[:2], lines[2][:20], *lines[3:]], id="a cut line"),
        pytest.param(lambda lines: [lines[0], *lines[2:]], id="a lost line"),
        pytest.param(lambda lines: [*lines, lines[-1]], id="two end marks"),
        pytest.param(lambda lines: lines[:-1], id="cut at the end of a line"),
        pytest.param(lambda lines: lines[:-2], id="cut at the end of an earlier line"),
        pytest.param(lambda lines: [*lines[:2], lines[2].replace("8", "9", 1), *lines[3:]], id="another figure"),
        pytest.param(lambda lines: [*lines[:-1], lines[-1].replace("3", "2", 1)], id="another number of evaluations"),
        pytest.param(lambda lines: [line.replace("ecnas-run", "other") for line in lines], id="another format"),
        pytest.param(lambda lines: [line.replace('"version": 2', '"version": 1') for line in lines], id="version 1"),
        pytest.param(lambda lines: ["[" * 100_000], id="deeply nested"),
    ],
)
def test_damage_is_told_with_its_file(synthetic_4v, tmp_path, damage):
    path = tmp_path / "run.jsonl"
    record_run(synthetic_4v, path)
    path.write_text("".join(f"{line}\n" for line in damage(path.read_text().splitlines())))
    with pytest.raises(CorruptFileError, match="run.jsonl"):
        RunRecord.load(path)


def test_a_record_cut_anywhere_is_not_whole(synthetic_4v, tmp_path):
    path = tmp_path / "run.jsonl"
    record_run(synthetic_4v, path)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(CorruptFileError):
            RunRecord.read_header(path)
    path.write_bytes(content)
    assert len(RunRecord.load(path)) == 3


def test_the_method_s_own_choice_holds_until_the_next(synthetic_4v, tmp_path):
    path = tmp_path / "run.jsonl"
    with RunRecord(header(synthetic_4v), path) as record:
        for row, reward in ((3, 0.3), (8, 0.8), (5, 0.5), (6, 0.6)):
            record.append(synthetic_4v.space[row], synthetic_4v.query_row(row), reward)
            if row == 8:
                record.recommend(3)
            if row == 6:
                record.recommend(6)
    for it in (record, RunRecord.load(path)):
        assert it.recommended_rows().tolist() == [3, 3, 3, 6]
        assert it.best_seen().tolist() == [0, 1, 1, 1]
        assert it.recommends
    end = json.loads(path.read_text().splitlines()[-1])
    best, recommended = (ecnas.Cell(end[key]["adjacency"], end[key]["ops"]) for key in ("best", "recommended"))
    assert (best.row, recommended.row) == (8, 6)
    cell = json.loads((tmp_path / "run.cell.json").read_text())
    assert ecnas.Cell(cell["adjacency"], cell["ops"]).hash == cell["hash"] == synthetic_4v.space[6].hash


def test_only_trainings_at_the_fidelity_of_the_search_count_as_best(synthetic_4v):
    with RunRecord(header(synthetic_4v)) as record:
        for row, epochs, reward in ((3, 4, 0.9), (8, 108, 0.2), (5, 4, 0.95), (6, 108, 0.1)):
            record.append(synthetic_4v.space[row], synthetic_4v.query_row(row, epochs), reward)
    assert record.best_seen().tolist() == [-1, 1, 1, 1]
    assert record.recommended_rows().tolist() == [-1, 8, 8, 8]
    assert not record.recommends


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": search.RandomSearch()}, []),
        ({"method": search.SEMOA()}, ["class 'RandomSearch' → 'SEMOA'"]),
        ({"budget": 11}, ["budget.evaluations 10.0 → 11.0"]),
        ({"seed": 8}, ["seed 7 → 8"]),
        ({"objectives": ("val_accuracy", "training_time")}, ["objectives"]),
        ({"scalarisation": ecnas.Linear((0.9, 0.1))}, ["scalarisation.weights None → [0.9, 0.1]"]),
        ({"epochs": 4}, ["epochs 108 → 4"]),
        ({"repeat": "random"}, ["repeat 'mean' → 'random'"]),
    ],
)
def test_a_run_is_the_same_run_if_all_that_makes_it_is(synthetic_4v, change, words):
    found = differences(header(synthetic_4v), header(synthetic_4v, **change))
    for word in words:
        assert any(word in text for text in found)
    assert bool(found) == bool(words)


def test_figures_make_a_run_and_names_do_not(synthetic_4v, tmp_path):
    synthetic_table("4V").save(tmp_path / "other-name")
    assert identity(header(ecnas.load(tmp_path / "other-name"))) == identity(header(synthetic_4v))
    assert differences(header(synthetic_4v), header(ecnas.Benchmark(synthetic_table("4V", seed=1))))


def test_the_benchmark_of_a_run_is_found_by_name_or_by_path(synthetic_4v, tmp_path):
    assert benchmark_of(header(ecnas.load("surrogate-4V"))) is ecnas.load("surrogate-4V")
    synthetic_table("4V").save(tmp_path / "lab")
    mine = header(ecnas.load(tmp_path / "lab"))
    assert benchmark_of(mine).digest == synthetic_4v.digest
    synthetic_table("4V", seed=1).save(tmp_path / "lab")
    with pytest.raises(ecnas.ECNASError, match=r"synthetic-4V.* of the run is not there"):
        benchmark_of(header(synthetic_4v))


def test_the_space_is_part_of_a_run():
    """The embedded tables are parts of one, and have one digest."""
    four, five = (header(ecnas.load(f"surrogate-{space}")) for space in ("4V", "5V"))
    assert four["task"]["digest"] == five["task"]["digest"]
    assert any("space '4V' → '5V'" in text for text in differences(four, five))


def test_devices_are_written_to_and_not_replaced(tmp_path):
    import os
    import threading

    from ecnas.files import write_text

    os.mkfifo(tmp_path / "pipe")
    told = []
    reader = threading.Thread(target=lambda: told.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_text(tmp_path / "pipe", "text")
    reader.join()
    assert told == ["text"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["index", "row", "epochs", "trainable_parameters", "cumulative_epochs"])
@pytest.mark.parametrize("value", [0.5, 1.0, float("nan"), None, True])
def test_counts_that_are_no_whole_numbers_are_refused_though_the_digest_is_right(synthetic_4v, tmp_path, name, value):
    path = tmp_path / "run.jsonl"
    record_run(synthetic_4v, path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = json.dumps(json.loads(lines[2]) | {name: value}).encode() + b"\n"
    end = json.loads(lines[-1]) | {"sha256": hashlib.sha256(b"".join(lines[:-1])).hexdigest()}
    path.write_bytes(b"".join(lines[:-1]) + json.dumps(end).encode() + b"\n")
    with pytest.raises(CorruptFileError, match=f"{name} must|index must"):
        RunRecord.load(path)
