"""A new machine's energy is learned from a few measured cells."""

import numpy as np
import pytest
from conftest import DATA, needs_official

import ecnas

pytest.importorskip("torch", reason="fitting needs the extra 'surrogate'")

from ecnas.surrogate import energy


def made_up(number):
    """A machine that needs twice the embedded energy and a constant."""
    rows = np.random.default_rng(0).choice(2532, number, replace=False)
    return energy.Measurements(rows, 2 * ecnas.load("surrogate-7V").values("energy", 4)[rows] + 0.004, 4)


def test_table_of_a_new_machine(tmp_path):
    model = energy.fit(made_up(40))
    table = model.table("5V", name="mine", co2=100.0)
    truth = 2 * ecnas.load("surrogate-5V").values("energy", 4) + 0.004
    assert np.median(np.abs(table.values("energy", 4) / truth - 1)) < 0.02
    np.testing.assert_allclose(table.values("energy", 108), 27 * table.values("energy", 4))
    np.testing.assert_allclose(table.values("co2", 4), 100 * table.values("energy", 4))
    table.save(tmp_path / "mine")
    benchmark = ecnas.load(tmp_path / "mine")
    evaluation = benchmark.query(benchmark.space[1000], epochs=36)
    assert evaluation.provenance == "surrogate"
    assert np.isnan(evaluation.training_time)
    assert evaluation.val_accuracy == pytest.approx(ecnas.load("surrogate-5V").values("val_accuracy", 36)[1000])


def test_too_few_measurements_are_refused():
    with pytest.raises(ValueError, match="at least 5 cells, got 4"):
        energy.fit(made_up(4))


def test_from_the_command_line(tmp_path):
    source = tmp_path / "cells.csv"
    space = ecnas.Space("7V")
    lines = ["adjacency,ops,energy_kwh"]
    codes = {name: str(code) for code, name in enumerate(ecnas.OPERATIONS)}
    measured = made_up(12)
    for row, kwh in zip(measured.rows, measured.energies, strict=True):
        cell = space[int(row)]
        bits = "".join(str(int(bit)) for bit in np.asarray(cell.adjacency).ravel())
        inner = [name for name in cell.ops if name in codes]
        lines.append(f'{bits},"{",".join(codes[name] for name in inner)}",{kwh}')
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    energy.main([str(source), "--space", "4V", "--output", str(tmp_path / "mine")])
    assert len(ecnas.load(tmp_path / "mine").space) == 91


@needs_official
def test_published_hardware_file():
    pytest.importorskip("tensorflow", reason="reading published files needs the extra 'official'")
    rows, energies, epochs = energy.measurements(
        ecnas.load(DATA / "official" / "hardware" / "energy_4V9E_rtx3060.tfrecord")
    )
    assert len(rows) == 88
    order = np.random.default_rng(0).permutation(88)
    learn, rest = order[:45], order[45:]
    predicted = energy.fit(energy.Measurements(rows[learn], energies[learn], epochs)).predict(rows[rest])
    assert np.median(np.abs(predicted / energies[rest] - 1)) < 0.1
