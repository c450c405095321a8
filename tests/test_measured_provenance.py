"""Tables whose figures come from different places: which, cell by cell and figure by figure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import synthetic_table

import ecnas
from ecnas import loading
from ecnas.table import PROVENANCES, Column, open_table

MEASURED, SURROGATE = PROVENANCES.index("measured"), PROVENANCES.index("surrogate")


@pytest.fixture
def mixed() -> ecnas.Table:
    """Energies of rows 0 to 9 measured, all other energies and all accuracies but row 4's predicted; 5V."""
    table = synthetic_table("5V", provenance={4: "surrogate", 108: "surrogate"})
    energies = np.full((2532, 1, 1), SURROGATE, dtype=np.uint8)
    energies[:10] = MEASURED
    accuracies = np.full((2532, 1, 1), SURROGATE, dtype=np.uint8)
    accuracies[4] = MEASURED
    times = np.full((1, 1, 1), MEASURED, dtype=np.uint8)
    codes = {"energy": energies, "co2": energies, "training_time": times}
    columns = {
        name: Column(column.values, provenance=codes.get(name, accuracies)) for name, column in table.columns.items()
    }
    return dataclasses.replace(table, columns=columns)


def check(benchmark: ecnas.Benchmark) -> None:
    energy = benchmark.provenance("energy")
    assert np.flatnonzero(energy == "measured").tolist() == list(range(10))
    assert set(energy.tolist()) == {"measured", "surrogate"}
    assert benchmark.provenance("val_accuracy", 4, np.array([3, 4, 5])).tolist() == [
        "surrogate",
        "measured",
        "surrogate",
    ]
    # an evaluation is called by its weakest figure
    assert benchmark.query_row(4).provenance == "measured"
    assert benchmark.query_row(5).provenance == "surrogate"
    assert benchmark.query_rows(np.array([4, 4])).provenance == "measured"
    assert benchmark.query_rows(np.array([4, 5])).provenance == "surrogate"


def test_by_cell_and_figure(mixed):
    check(ecnas.Benchmark(mixed))


def test_on_disk(mixed, tmp_path):
    mixed.save(tmp_path / "mixed")
    check(ecnas.Benchmark(open_table(tmp_path / "mixed")))


def test_of_a_smaller_space(mixed):
    small = ecnas.Benchmark(loading.restrict(mixed, ecnas.Space("4V"), "small"))
    assert (small.provenance("energy") == "measured").sum() == 10
    assert small.provenance("training_time").shape == (91,)


def test_what_is_not_there_comes_from_nowhere(mixed):
    energy = mixed.columns["energy"]
    values = energy.values.copy()
    values[20] = np.nan
    columns = {**mixed.columns, "energy": dataclasses.replace(energy, values=values)}
    columns["co2"] = dataclasses.replace(energy, values=np.full_like(values, np.nan))
    benchmark = ecnas.Benchmark(dataclasses.replace(mixed, columns=columns))
    assert benchmark.provenance("energy")[20] == ""
    assert set(benchmark.provenance("co2").tolist()) == {""}
    assert benchmark.query_row(4).provenance == "measured"  # a figure that is not there weakens nothing


def test_of_a_plain_table(synthetic_4v):
    assert not synthetic_4v.table.is_mixed
    assert set(synthetic_4v.provenance("energy").tolist()) == {"measured"}


def test_shape_is_checked(mixed):
    wrong = Column(mixed.columns["energy"].values, provenance=np.zeros((3, 1, 1), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"'energy' must have the shape"):
        dataclasses.replace(mixed, columns={"energy": wrong})


def test_names(synthetic_4v):
    for name in ("trainable_parameters", "latency"):
        with pytest.raises(ecnas.OutOfDomainError, match="name must be one of"):
            synthetic_4v.provenance(name)


def test_vector_environments_call_each_cell_by_its_own_figures(mixed):
    """Row 4 is all measured; what comes of others in the same step makes no difference."""
    from ecnas import runs
    from ecnas_gym.runs import make_vec_env

    @dataclasses.dataclass(frozen=True)
    class Rollouts:
        def run(self, evaluate, rng):
            envs = make_vec_env(evaluate, "build", num_envs=16)
            _, info = envs.reset(seed=0)
            while True:
                actions = [rng.choice(np.flatnonzero(mask)) if mask.any() else 0 for mask in info["action_mask"]]
                _, _, _, _, info = envs.step(np.array(actions))

    benchmark = ecnas.Benchmark(loading.restrict(mixed, ecnas.Space("4V"), "small"))
    record = runs.run(Rollouts(), benchmark, budget=400)
    found = {(row["row"], row["provenance"]) for row in record.rows}
    assert (4, "measured") in found
    assert {provenance for row, provenance in found if row != 4} == {"surrogate"}
    assert all(benchmark.query_row(row).provenance == provenance for row, provenance in found)
