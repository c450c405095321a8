from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from ecnas import CorruptFileError
from ecnas.runs.record import RunRecord


def record_run(benchmark, path=None, rows=(3, 8, 3)):
    with RunRecord("test", benchmark, seed=7, settings={"rate": 0.5}, path=path) as record:
        for row in rows:
            record.append(benchmark.space[row], benchmark.query_row(row), reward=row / 100)
    return record


def test_a_row_an_evaluation_with_cumulative_cost(synthetic_4v):
    record = record_run(synthetic_4v)
    assert record.column("row").tolist() == [3, 8, 3]
    assert record.column("index").tolist() == [0, 1, 2]
    assert record.column("cumulative_epochs").tolist() == [108, 216, 324]
    assert record.column("cumulative_energy") == pytest.approx(record.column("energy").cumsum())
    assert record.column("cumulative_time") == pytest.approx(record.column("training_time").cumsum())
    assert record.column("reward").tolist() == [0.03, 0.08, 0.03]
    assert [row["hash"] for row in record.rows] == [synthetic_4v.space[row].hash for row in (3, 8, 3)]
    assert (record.header["seed"], record.header["digest"]) == (7, synthetic_4v.digest)


def test_what_is_loaded_is_what_was_recorded(synthetic_4v, tmp_path):
    record = record_run(synthetic_4v, tmp_path / "a" / "run.jsonl")
    loaded = RunRecord.load(tmp_path / "a" / "run.jsonl")
    assert loaded.header == record.header
    assert loaded.rows == record.rows
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run.jsonl"]


def test_missing_figures_are_null_on_disk_and_nan_in_memory(synthetic_4v, tmp_path):
    path = tmp_path / "run.jsonl"
    with RunRecord("test", synthetic_4v, seed=0, path=path) as record:
        record.append(synthetic_4v.space[0], replace(synthetic_4v.query_row(0), co2=math.nan))
    assert json.loads(path.read_text().splitlines()[1])["co2"] is None
    assert math.isnan(RunRecord.load(path).rows[0]["co2"])


def test_a_killed_run_leaves_no_complete_record(synthetic_4v, tmp_path):
    path = tmp_path / "run.jsonl"

    def run_until_killed():
        with RunRecord("test", synthetic_4v, seed=0, path=path) as record:
            record.append(synthetic_4v.space[0], synthetic_4v.query_row(0))
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
    record = RunRecord("test", synthetic_4v, seed=0, path=tmp_path / "run.jsonl")
    record.append(synthetic_4v.space[0], synthetic_4v.query_row(0))
    assert len((tmp_path / "run.jsonl.partial").read_text().splitlines()) == 2
    record.close()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [], 1),
        (lambda lines: ["{}", *lines[1:]], 1),
        (lambda lines: [*lines[:2], lines[2][:20], *lines[3:]], 3),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [*lines, lines[-1]], 5),
    ],
)
def test_damage_is_told_with_its_line(synthetic_4v, tmp_path, damage, line):
    path = tmp_path / "run.jsonl"
    record_run(synthetic_4v, path)
    path.write_text("\n".join(damage(path.read_text().splitlines())))
    with pytest.raises(CorruptFileError, match=f"line {line}: damaged run record"):
        RunRecord.load(path)
