"""Cells to train come from files, spaces, runs and their winners."""

from __future__ import annotations

import json

import pytest

import ecnas
from ecnas.network.cells import read_cells, read_record, read_winner

SPACE = ecnas.Space("7V")


def test_the_winner_of_a_run_and_all_its_cells(tmp_path):
    from ecnas.runs.run import run_task
    from ecnas.search import RandomSearch
    from ecnas.task import Task

    path = tmp_path / "seed-0" / "record.jsonl"
    record = run_task(RandomSearch(), Task.of(ecnas.load("surrogate-4V")), 12, seed=0, path=path)
    winner = read_winner(str(tmp_path / "seed-0"))
    assert winner.row == record.recommended_rows()[-1]
    assert read_winner(str(tmp_path / "seed-0" / "cell.json")) == winner
    assert read_winner(str(path)) == winner
    rows = list(dict.fromkeys(int(row) for row in record.column("row")))
    assert [cell.row for cell in read_record(tmp_path / "seed-0")] == rows
    assert [cell.row for cell in read_record(path)] == rows


def test_a_cell_by_its_hash_or_file(tmp_path):
    assert read_winner(SPACE[50].hash) == SPACE[50]
    cell = SPACE[100_000]
    (tmp_path / "cell.json").write_text(json.dumps(cell.to_dict()), encoding="utf-8")
    assert read_winner(str(tmp_path)) == cell
    (tmp_path / "cell.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ecnas.CorruptFileError, match=r"cell\.json has no cell"):
        read_winner(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_winner("nowhere")


def test_cells_of_a_file_each_once(tmp_path):
    cells = [SPACE[row] for row in (50, 2000, 50, 7)]
    lines = [f'"{cell.adjacency.tolist()}";{",".join(cell.ops)};x' for cell in cells]
    (tmp_path / "cells.csv").write_text("\n".join(["adjacency;ops;why", *lines]) + "\n", encoding="utf-8")
    assert [cell.row for cell in read_cells(tmp_path / "cells.csv")] == [50, 2000, 7]
    (tmp_path / "hashes.jsonl").write_text(
        "\n".join(json.dumps({"hash": cell.hash}) for cell in cells) + "\n", encoding="utf-8"
    )
    assert [cell.row for cell in read_cells(tmp_path / "hashes.jsonl")] == [50, 2000, 7]
    (tmp_path / "odd.csv").write_text("row\n5\n1000000\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"odd\.csv, line 3"):
        read_cells(tmp_path / "odd.csv")
