"""Campaigns: nothing measured is lost, nothing is measured twice, and they end in a benchmark and a published file."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from digits import write_digits

import ecnas
from ecnas import measured
from ecnas.network import campaign as campaign_module
from ecnas.network.campaign import Campaign, CampaignError, Key
from ecnas.network.meter import Device, Metering, Reading
from ecnas.network.published import message_of, row_of
from ecnas.network.results import Milestone, Recipe, Training
from ecnas.network.workers import Job, Outcome, carry_out, visible_devices

SPACE = ecnas.Space("4V")
RECIPE = Recipe(epochs=4, batch_size=32, channels=4)
METERING = Metering(carbon_intensity=100.0)
CARD = Device("gpu", "NVIDIA X", "measured", "counter")
CHIP = Device("cpu", "chip", "estimated", "nominal power of 8 W times its load")


def made_up(cell, seed=0, epochs=4, devices=(CARD, CHIP), metering=METERING):
    """A training that nobody did."""
    energy = 0.001 * (cell.row + 1) * epochs * (1 + seed / 100)
    milestones = [
        Milestone(
            epoch, 0.2 + 0.1 * epoch, 0.1 + 0.1 * epoch, 0.05 + 0.1 * epoch, 10.0 * epoch, energy * epoch / epochs,
            100 * energy * epoch / epochs, f"2026-01-01 00:00:0{epoch}", f"2026-01-01 00:00:0{epoch + 1}",
        )
        for epoch in Recipe(epochs=epochs).milestones
    ]  # fmt: skip
    return Training(
        cell=cell,
        seed=seed,
        recipe=dataclasses.replace(RECIPE, epochs=epochs),
        metering=metering,
        data="digits",
        data_digest="0" * 64,
        backend="tensorflow",
        milestones=tuple(milestones),
        total=Reading(50.0, {"gpu": 5000.0, "cpu": 400.0}),
        devices=devices,
        trace=((1.0, 100.0, 8.0),),
    )


@pytest.fixture
def data(tmp_path):
    write_digits(tmp_path / "digits.npz")
    return str(tmp_path / "digits.npz")


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def done(monkeypatch):
    """Trainings are made up in this process; those of rows in ``failing`` fail. Returns what was trained."""
    pytest.importorskip("keras", reason="campaigns need the extra 'network'")
    trained = []

    def carry_out(jobs, devices):
        for job in jobs:
            if job.cell.row in carry_out.failing:
                yield Outcome(job, None, "ResourceExhaustedError: no memory")
                continue
            trained.append((job.cell.row, job.recipe.epochs, job.repeat, job.seed))
            training = made_up(job.cell, job.seed, job.recipe.epochs)
            yield Outcome(job, dataclasses.replace(training, metering=job.metering))

    carry_out.failing = set()
    monkeypatch.setattr(campaign_module, "carry_out", carry_out)
    trained.append(carry_out)
    return trained


def measure(campaign, data, rows, **settings):
    return campaign.measure([SPACE[row] for row in rows], data, RECIPE, METERING, **settings)


def test_every_cell_once_before_any_twice_and_nothing_twice(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    assert measure(campaign, data, [5, 3]) == []
    assert measure(campaign, data, [5, 3, 8], repeats=2, seed=0) == []
    assert done[1:] == [(5, 4, 0, 0), (3, 4, 0, 0), (8, 4, 0, 0), (5, 4, 1, 1), (3, 4, 1, 1), (8, 4, 1, 1)]
    assert list(campaign.trainings())[:2] == [Key(5, 4, 0), Key(3, 4, 0)]
    table = campaign.table()
    assert (table.name, table.space.name, table.epochs, table.repeats) == ("mine", "4V", (4,), 2)
    assert set(range(91)) - table.missing == {3, 5, 8}
    assert table.values("energy", 4, 1)[5] == pytest.approx(0.001 * 6 * 4 * 1.01)
    assert table.values("co2", 4, 0)[5] == pytest.approx(0.1 * 6 * 4)
    assert table.provenance == {4: "estimated"}
    benchmark = ecnas.Benchmark(table)
    assert benchmark.query(SPACE[5], 4, repeat=0).provenance == "estimated"
    assert "digits" in table.notes
    assert "nominal power of 8 W" in table.notes


def test_accuracies_are_measured_even_where_energy_is_estimated(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    measure(campaign, data, [5])
    table = campaign.table()
    origins = {name: ecnas.table.PROVENANCES[int(table.origins(name, 4, 0)[5])] for name in table.columns}
    assert origins == {
        "val_accuracy": "measured",
        "test_accuracy": "measured",
        "train_accuracy": "measured",
        "energy": "estimated",
        "co2": "estimated",
        "training_time": "measured",
    }


def test_failures_end_nothing_and_are_tried_again(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    done[0].failing.add(3)
    failed = measure(campaign, data, [5, 3, 8])
    assert [(outcome.job.cell.row, outcome.error) for outcome in failed] == [(3, "ResourceExhaustedError: no memory")]
    assert {key.row for key in campaign.trainings()} == {5, 8}
    done[0].failing.clear()
    assert measure(campaign, data, [5, 3, 8]) == []
    assert [row for row, *_ in done[1:]] == [5, 8, 3]


def test_a_torn_last_line_is_no_training_and_no_damage(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    measure(campaign, data, [5, 3])
    path = campaign.folder / "measurements.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert list(campaign.trainings()) == [Key(5, 4, 0)]
    measure(campaign, data, [5, 3])
    assert done[1:] == [(5, 4, 0, 0), (3, 4, 0, 0), (3, 4, 0, 0)]
    assert path.read_bytes() == whole


def test_a_damaged_line_is_named(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    measure(campaign, data, [5, 3])
    path = campaign.folder / "measurements.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"milestones"', b'"milestoned"', 1))
    with pytest.raises(ecnas.CorruptFileError, match=r"measurements\.jsonl, line 1: damaged measurement"):
        campaign.trainings()


def test_a_campaign_has_one_recipe_and_one_set_of_images(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    measure(campaign, data, [5])
    other = dataclasses.replace(RECIPE, learning_rate=0.1)
    with pytest.raises(CampaignError, match=r"campaign with another recipe: .*0\.2.* there, .*0\.1"):
        campaign.measure([SPACE[3]], data, other, METERING)
    write_digits(tmp_path / "fewer.npz", train=96)
    with pytest.raises(CampaignError, match="another data_digest"):
        campaign.measure([SPACE[3]], str(tmp_path / "fewer.npz"), RECIPE, METERING)
    longer = dataclasses.replace(RECIPE, epochs=8)
    campaign.measure([SPACE[5]], data, longer, METERING)  # more epochs are more rows
    assert campaign.table().epochs == (4, 8)


def test_two_processes_on_one_campaign(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    with campaign._claimed(), pytest.raises(CampaignError, match="another process is measuring into"):
        measure(Campaign(tmp_path / "mine"), data, [5])


def test_several_cards_share_the_processor(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    measure(campaign, data, [5], devices=("0", "1"))
    assert campaign.trainings()[Key(5, 4, 0)].metering.cpu_share == 0.5


def test_the_name_of_other_measurements_is_refused(tmp_path, data, done):
    rows = [{"row": 7, "epochs": 4, "val_accuracy": 0.8, "energy_kwh": 1.0}]
    measured.store(measured.read(rows, name="mine").table, "mine")
    campaign = Campaign(tmp_path / "mine")
    with pytest.raises(ValueError, match="benchmark 'mine' of other measurements already exists"):
        campaign.check_name()
    other = Campaign(tmp_path / "ours")
    measure(other, data, [5])
    other.store()
    measure(other, data, [3])
    other.check_name()  # its own, of an hour ago
    other.store()
    assert ecnas.load("ours").digest == other.table().digest


def test_measurements_are_a_file_that_import_reads(tmp_path, data, done):
    campaign = Campaign(tmp_path / "mine")
    measure(campaign, data, [5, 3], repeats=2)
    table = measured.read(campaign.folder / "measurements.jsonl").table
    assert table.digest == campaign.table().digest
    assert table.provenance == {4: "estimated"}


def test_a_row_of_the_published_format(tmp_path):
    from published import EnergyMetrics

    cell = SPACE[40]
    training = made_up(cell, metering=Metering(carbon_intensity=50.0, pue=1.2))
    module_hash, epochs, adjacency, operations, metrics = json.loads(row_of(training))
    assert (module_hash, epochs) == (cell.hash, 4)
    assert adjacency == "".join(map(str, cell.adjacency.ravel()))
    assert operations == ",".join(["input", *cell.ops, "output"])
    message = EnergyMetrics.FromString(base64.b64decode(metrics))
    assert [one.current_epoch for one in message.evaluations] == [0, 2, 4]
    assert [one.energy for one in message.evaluations] == [one.energy for one in training.milestones]
    assert message.evaluations[2].val_accuracy == training.final.val_accuracy
    assert message.evaluations[1].start == "2026-01-01 00:00:02"
    assert message.evaluations[1].intensity == message.intensity == 50
    assert message.trainable_parameters == cell.trainable_parameters
    assert message.total_time == 50
    assert message.total_energy == pytest.approx(5400 * 1.2 / 3.6e6)
    assert message.total_co2 == pytest.approx(50 * 5400 * 1.2 / 3.6e6)


def test_what_each_device_drew_is_written_as_ec_nas_wrote_it():
    from ecnas.official.messages import double_at, fields_of

    message = message_of(made_up(SPACE[3]))

    def children(start, end):
        return [(field.number, field.start, field.end) for field in fields_of(message, start, end)]

    (usage,) = [(s, e) for number, s, e in children(0, len(message)) if number == 9]
    found = {}
    for kind, s, e in children(*usage):
        for what, s2, e2 in children(s, e):
            ((number, s3, e3),) = children(s2, e2)
            assert number == 1
            found[kind, what] = message[s3:e3].decode() if what == 3 else double_at(message, s3)
    assert found == {
        (1, 1): 100.0, (1, 2): 5000.0, (1, 3): "NVIDIA X", (2, 1): 8.0, (2, 2): 400.0, (2, 3): "chip",
    }  # fmt: skip


def test_without_intensity_there_is_no_co2(tmp_path):
    from published import EnergyMetrics

    training = made_up(SPACE[3], epochs=1, metering=Metering())
    blank = [dataclasses.replace(one, co2=math.nan) for one in training.milestones]
    message = EnergyMetrics.FromString(message_of(dataclasses.replace(training, milestones=tuple(blank))))
    assert [one.current_epoch for one in message.evaluations] == [0, 1, 1]
    assert not any(one.HasField("co2") for one in message.evaluations)
    assert not message.HasField("total_co2")


def trained_elsewhere(job):
    if job.cell.row == 3:
        raise MemoryError("no memory")
    if job.cell.row == 8:
        os._exit(1)
    return made_up(job.cell, job.seed)


def test_workers_outlive_what_fails_in_one():
    jobs = [Job(SPACE[row], 0, 0, RECIPE, "", METERING, None) for row in (5, 3, 8, 9)]
    outcomes = {outcome.job.cell.row: outcome for outcome in carry_out(jobs, ("0", "1"), trained_elsewhere)}
    assert outcomes[5].training.final == made_up(SPACE[5]).final
    assert outcomes[9].training.final == made_up(SPACE[9]).final
    assert outcomes[3].error == "MemoryError: no memory"
    assert outcomes[8].error.startswith("BrokenProcessPool")


def test_visible_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert visible_devices() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_devices() == [None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == [None]


def test_six_cells_killed_and_resumed_become_an_environment(tmp_path, monkeypatch):
    """The whole way, with real trainings: measure, kill, resume, load, step, front, export, read."""
    pytest.importorskip("tensorflow", reason="training is tested on TensorFlow")
    pytest.importorskip("codecarbon", reason="metering needs the extra 'network'")
    import gymnasium as gym

    import ecnas_gym  # noqa: F401

    write_digits(tmp_path / "digits.npz")
    (tmp_path / "cells.csv").write_text("row\n" + "\n".join(map(str, range(6))) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "ecnas", "measure", "cells.csv", "--data", "digits.npz", "--epochs", "1"]
    command += ["--batch-size", "32", "--channels", "4", "--intensity", "100", "-o", "my-cpu"]
    measurements = tmp_path / "my-cpu" / "measurements.jsonl"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 600
        while (not measurements.exists() or measurements.read_bytes().count(b"\n") < 2) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    before = measurements.read_bytes()
    assert 2 <= before.count(b"\n") < 6
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert measurements.read_bytes().startswith(before)
    assert measurements.read_bytes().count(b"\n") == 6
    assert not list((tmp_path / "my-cpu" / "trainings").iterdir())

    benchmark = ecnas.load("my-cpu")
    assert set(range(91)) - benchmark.table.missing == set(range(6))
    assert benchmark.digest == measured.read(measurements).table.digest
    evaluation = benchmark.query(ecnas.Space("4V")[2], 1)
    assert evaluation.energy > 0
    assert evaluation.co2 == pytest.approx(100 * evaluation.energy)
    assert 0 <= evaluation.val_accuracy <= 1
    front = benchmark.pareto_front(epochs=1)
    assert set(front.rows.tolist()) <= set(range(6))

    env = gym.make("ECNAS-4V-v0", benchmark="my-cpu", epochs=1)
    _, info = env.reset(seed=0)
    terminated = False
    while not terminated:
        action = env.action_space.sample(mask=info["action_mask"])
        _, reward, terminated, _, info = env.step(action)
    assert math.isfinite(reward)

    published = ecnas.load(tmp_path / "my-cpu" / "my-cpu.tfrecord")
    for column in ("val_accuracy", "energy", "co2", "training_time"):
        np.testing.assert_array_equal(published.values(column, 1), benchmark.values(column, 1))


def test_checkpoints_of_a_training_that_has_ended_are_removed(tmp_path, data, done):
    """As of a process that was killed between the two."""
    campaign = Campaign(tmp_path / "mine")
    measure(campaign, data, [5])
    (tmp_path / "mine" / "trainings" / str(Key(5, 4, 0))).mkdir(parents=True)
    (tmp_path / "mine" / "trainings" / str(Key(6, 4, 0))).mkdir()
    measure(campaign, data, [5])
    assert [folder.name for folder in (tmp_path / "mine" / "trainings").iterdir()] == [str(Key(6, 4, 0))]
