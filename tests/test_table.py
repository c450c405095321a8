from __future__ import annotations

import json
import multiprocessing

import numpy as np
import pytest
from conftest import synthetic_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecnas import Column, CorruptFileError
from ecnas.table import columns_digest, open_table, replaced_folder


@pytest.fixture
def saved(tmp_path):
    table = synthetic_table("4V", missing=frozenset({3}), notes="Made up.")
    table.save(tmp_path / "table")
    return table, tmp_path / "table"


def test_round_trip(saved):
    table, folder = saved
    opened = open_table(folder)
    assert opened.missing == {3}
    for name in ("name", "space", "epochs", "repeats", "digest", "notes"):
        assert getattr(opened, name) == getattr(table, name)
    assert dict(opened.provenance) == dict(table.provenance)
    for name, column in table.columns.items():
        assert np.array_equal(opened.columns[name].values, column.values)
    assert columns_digest(opened.columns, opened.missing) == table.digest


def test_columns_that_share_an_array_share_a_file(tmp_path):
    energy = Column(np.arange(1, 92, dtype=np.uint16).reshape(-1, 1, 1), scale=1e-4)
    columns = {"energy": energy, "co2": Column(energy.values, scale=energy.scale * 400)}
    table = synthetic_table("4V", columns=columns)
    table.save(tmp_path / "table")
    assert sorted(path.name for path in (tmp_path / "table").iterdir()) == ["energy.npy", "table.json"]
    opened = open_table(tmp_path / "table")
    assert opened.values("co2", 108) == pytest.approx(400 * opened.values("energy", 108))


def test_opened_columns_cannot_be_written(saved):
    with pytest.raises(ValueError, match="read-only"):
        open_table(saved[1]).columns["energy"].values[0] = 1


def test_saving_again_replaces_and_leaves_nothing_behind(saved):
    _, folder = saved
    synthetic_table("4V", seed=1).save(folder)
    assert open_table(folder).digest == synthetic_table("4V", seed=1).digest
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_error_while_writing_keeps_the_old_table(saved):
    table, folder = saved

    def fail():
        with replaced_folder(folder) as temporary:
            (temporary / "table.json").write_text("{}")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert open_table(folder).digest == table.digest
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def _save(folder, seed):
    for _ in range(20):
        synthetic_table("4V", seed=seed).save(folder)


def test_two_processes_may_write_the_same_folder(tmp_path):
    folder = tmp_path / "table"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_save, args=(folder, seed)) for seed in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    opened = open_table(folder)
    assert columns_digest(opened.columns) == opened.digest


def test_no_table(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_table(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_header_is_told(saved, data):
    _, folder = saved
    path = folder / "table.json"
    original = path.read_bytes()
    header = json.loads(original)
    kind = data.draw(st.sampled_from(["cut", "drop", "change"]))
    if kind == "cut":
        damaged = original[: data.draw(st.integers(0, len(original) - 3))]
    else:
        key = data.draw(st.sampled_from(sorted(set(header) - {"name", "notes", "digest", "missing"})))
        if kind == "drop":
            del header[key]
        else:
            header[key] = None
        damaged = json.dumps(header).encode()
    path.write_bytes(damaged)
    try:
        with pytest.raises(CorruptFileError):
            open_table(folder)
    finally:
        path.write_bytes(original)


def test_a_missing_or_cut_column_is_told(saved):
    _, folder = saved
    content = (folder / "energy.npy").read_bytes()
    (folder / "energy.npy").write_bytes(content[:-8])
    with pytest.raises(CorruptFileError, match="damaged (table|array)"):
        open_table(folder)
    (folder / "energy.npy").write_bytes(b"")
    with pytest.raises(CorruptFileError, match="damaged (table|array)"):
        open_table(folder)
    (folder / "energy.npy").unlink()
    with pytest.raises(CorruptFileError, match=r"energy\.npy is missing"):
        open_table(folder)


def test_pickled_columns_are_refused(saved):
    _, folder = saved
    np.save(folder / "energy.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptFileError):
        open_table(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": (108, 4)}, "strictly ascending"),
        ({"epochs": ()}, "positive"),
        ({"repeats": 0}, "repeats must be"),
        ({"provenance": {4: "measured"}}, "provenance must name"),
        ({"columns": {"accuracy": Column(np.zeros((91, 1, 1)))}}, "column must be one of"),
        ({"columns": {"energy": Column(np.zeros((90, 1, 1)))}}, "must have the shape"),
        ({"columns": {"energy": Column(np.zeros(91))}}, "must have the shape"),
        ({"columns": {"energy": Column(np.zeros((91, 1, 1)))}}, "energy must be finite and above 0, got 0.0 for row 0"),
        ({"columns": {"co2": Column(np.full((1, 1, 1), np.inf))}}, "co2 must be finite and above 0, got inf"),
        ({"columns": {"training_time": Column(np.ones((91, 2, 1)), fixed=-2)}}, "training_time must be .* got -1.0"),
        ({"columns": {"test_accuracy": Column(np.full((91, 1, 1), 101), 0.01)}}, "from 0 to 1, got 1.01 .* 4 epochs"),
        ({"columns": {"val_accuracy": Column(np.full((91, 1, 1), -1e-9))}}, "val_accuracy must be from 0 to 1"),
    ],
)
def test_a_table_that_makes_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        synthetic_table("4V", **changes)


def test_what_is_missing_may_hold_anything():
    energy = np.ones((91, 1, 1))
    energy[7] = -1.0
    with pytest.raises(ValueError, match="got -1.0 for row 7"):
        synthetic_table("4V", columns={"energy": Column(energy)})
    synthetic_table("4V", columns={"energy": Column(energy)}, missing=frozenset({7}))


def test_tables_that_lack_different_cells_have_different_digests():
    digests = [synthetic_table("4V", missing=frozenset(rows)).digest for rows in ((), (3,), (3, 4), (34,))]
    assert len(set(digests)) == 4
    assert digests[0] == columns_digest(synthetic_table("4V").columns)


@pytest.mark.parametrize("dtype", ["<f2", ">f8", ">i4", "u1", "<f4", "<i8", ">u2"])
def test_single_cells_are_read_as_many_are(dtype):
    """Whatever the numbers are stored as."""
    stored = np.random.default_rng(0).integers(1, 200, size=(91, 2, 3)).astype(dtype)
    columns = {"val_accuracy": Column(stored, scale=0.004), "energy": Column(stored[:, :, :1], scale=0.1)}
    table = synthetic_table("4V", columns=columns, repeats=3)
    for epochs in table.epochs:
        reader = table.reader(epochs)
        for repeat in (None, 0, 1, 2):
            metrics = np.array([reader(row, repeat) for row in range(91)])
            np.testing.assert_array_equal(metrics[:, 0], table.values("val_accuracy", epochs, repeat))
            np.testing.assert_array_equal(metrics[:, 3], table.values("energy", epochs, repeat))
            assert np.isnan(metrics[:, 1]).all()
