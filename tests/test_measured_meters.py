"""Energies out of what codecarbon 3.3 and carbontracker 2.4 write."""

from __future__ import annotations

import pytest

import ecnas
from ecnas import measured
from ecnas.measured import MeasurementsError

SPACE = ecnas.Space("4V")

EMISSIONS = (
    "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
    "cpu_energy,gpu_energy,ram_energy,energy_consumed,water_consumed,country_name,country_iso_code,region,"
    "cloud_provider,cloud_region,os,python_version,codecarbon_version,cpu_count,cpu_model,gpu_count,gpu_model,longitude,"
    "latitude,ram_total_size,tracking_mode,cpu_utilization_percent,gpu_utilization_percent,ram_utilization_percent,"
    "ram_used_gb,on_cloud,pue,wue"
)


def emission(name: str, run: str, kwh: float, seconds: float = 5.0067257600001085, pue: float = 1.0) -> str:
    return (
        f"2026-01-25T02:37:27,{name},{run},5b0fa12a,{seconds!r},1.0572931227744256e-05,2.1e-06,25.42,0.0,20.0,4.2e-05,"
        f"0.0,2.7e-05,{kwh!r},0.0,Denmark,DNK,,,,Linux,3.11.7,3.3.2,2,AMD EPYC,0,,,,23.54,machine,35.95,0,2.3,0.55,N,"
        f"{pue},0.0"
    )


OUTPUT = """\
2026-01-25 02:37:32 - CarbonTracker: The following components were found: GPU with device(s) RTX.
2026-01-25 02:37:36 - CarbonTracker:
Predicted consumption for {predicted} epoch(s):
	Time:	{time}
	Energy:	0.351127 kWh
	CO2eq:	156.25 g
	This is equivalent to:
	0.000731514574 km travelled by car
"""
ACTUAL = """\
2026-01-25 02:37:40 - CarbonTracker: Average carbon intensity during training was 445.00 gCO2eq/kWh.
2026-01-25 02:37:40 - CarbonTracker:
Actual consumption for {epochs} epoch(s):
	Time:	1:02:08
	Energy:	0.175562734 kWh
	CO2eq:	78.125416545 g
	This is equivalent to:
	0.000731511391 km travelled by car
2026-01-25 02:37:40 - CarbonTracker: Finished monitoring.
"""
STANDARD = (
    "2026-01-25 02:37:32 - Only predicted and actual consumptions are multiplied by a PUE coefficient of 1.58 (Daniel "
    "Bizo, 2023, Uptime Institute Global Data Center Survey).\n"
)


def write_logs(folder, name: str, epochs: int | None, predicted: int = 4, interrupted: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}_7966.79024_2026-01-25T023732Z_carbontracker"
    text = OUTPUT.format(predicted=predicted, time="1 day, 2:04:16")
    (folder / f"{stem}_output.log").write_text(text + (ACTUAL.format(epochs=epochs) if epochs else ""))
    (folder / f"{stem}.log").write_text(STANDARD + ("Training was interrupted\n" if interrupted else ""))


@pytest.fixture
def lab(tmp_path):
    path = tmp_path / "lab.csv"
    path.write_text("row,epochs,run,val_accuracy\n5,4,first,0.8\n6,4,second,0.7\n7,4,third,0.6\n")
    return path


def test_codecarbon_by_run(tmp_path, lab):
    path = tmp_path / "emissions.csv"
    rows = [emission("second", "b", 0.2), emission("first", "a", 0.1), emission("other", "c", 0.3)]
    path.write_text("\n".join([EMISSIONS, *rows]) + "\n")
    reading = measured.read(lab, energy=path)
    table = reading.table
    assert table.values("energy", 4)[[5, 6]].tolist() == [0.1, 0.2]
    assert table.values("co2", 4)[5] == pytest.approx(0.010572931227744256)
    assert table.values("training_time", 4)[5] == 5.0067257600001085
    assert table.values("val_accuracy", 4)[7] == 0.6
    assert table.values("energy", 4)[7] != table.values("energy", 4)[7]  # no figure
    notes = "\n".join(reading.notes)
    assert "no energy for line 4 ('third')" in notes
    assert "runs of no line: other" in notes


def test_codecarbon_by_run_id(tmp_path):
    path = tmp_path / "emissions.csv"
    rows = [
        emission("codecarbon", "a", 0.1),
        emission("codecarbon", "b", 0.2),
        emission("codecarbon", "a", 0.3, pue=1.2),
    ]
    path.write_text("\n".join([EMISSIONS, *rows]) + "\n")
    lines = [{"row": 5, "epochs": 4, "run_id": "a"}, {"row": 6, "epochs": 4, "run_id": "b"}]
    reading = measured.read(lines, energy=path)
    assert reading.table.values("energy", 4)[[5, 6]].tolist() == [0.3, 0.2]  # the last line of a run holds all of it
    assert "1 runs wrote several lines" in "\n".join(reading.notes)
    assert "PUE of 1.2" in "\n".join(reading.notes)
    with pytest.raises(MeasurementsError, match="row 1: emissions.csv has 2 runs called 'codecarbon'"):
        measured.read([{"row": 5, "epochs": 4, "run_id": "codecarbon"}], energy=path)


def test_codecarbon_alone_with_hashes_as_names(tmp_path):
    path = tmp_path / "emissions.csv"
    rows = [emission(f"cell-{SPACE[row].hash}", str(row), 0.1 * row) for row in (5, 6)]
    path.write_text("\n".join([EMISSIONS, *rows]) + "\n")
    table = measured.read(path, epochs=4).table
    assert table.values("energy", 4)[[5, 6]].tolist() == [0.5, 0.1 * 6]
    assert set(range(91)) - table.missing == {5, 6}
    with pytest.raises(MeasurementsError, match="no column with the number of epochs"):
        measured.read(path)
    path.write_text("\n".join([EMISSIONS, emission("codecarbon", "a", 0.1)]) + "\n")
    with pytest.raises(
        MeasurementsError, match="run 'codecarbon': its name does not contain the module hash of a cell"
    ):
        measured.read(path, epochs=4)
    path.write_text("\n".join([EMISSIONS, emission(SPACE[5].hash, "a", -0.1)]) + "\n")
    with pytest.raises(MeasurementsError, match="line 2: must be positive and finite, got '-0.1'"):
        measured.read(path, epochs=4)


def test_carbontracker_by_run(tmp_path, lab):
    write_logs(tmp_path / "logs", "first", epochs=4)
    write_logs(tmp_path / "logs" / "second", "", epochs=1)  # a folder for each run
    write_logs(tmp_path / "logs", "third", epochs=2, interrupted=True)
    reading = measured.read(lab, energy=tmp_path / "logs")
    benchmark = ecnas.Benchmark(reading.table)
    energies = benchmark.values("energy")[5:8].tolist()
    assert energies == [0.175562734, 0.351127, 0.175562734]
    assert benchmark.values("training_time")[5:8].tolist() == [3728.0, 93856.0, 3728.0]
    assert benchmark.values("co2")[5] == 78.125416545
    # what was measured for one epoch only is predicted by the meter
    assert benchmark.provenance("energy")[5:8].tolist() == ["measured", "scaled", "measured"]
    assert benchmark.provenance("val_accuracy")[5:8].tolist() == ["measured"] * 3
    assert "PUE of 1.58" in "\n".join(reading.notes)


def test_carbontracker_alone(tmp_path):
    write_logs(tmp_path, SPACE[5].hash, epochs=4)
    write_logs(tmp_path, f"lab_{SPACE[6].hash}", epochs=1)
    table = measured.read(tmp_path).table  # the logs know the epochs
    assert table.epochs == (4,)
    assert table.values("energy", 4)[[5, 6]].tolist() == [0.175562734, 0.351127]
    single = next(path for path in tmp_path.glob(f"{SPACE[5].hash}*_output.log"))
    assert measured.read(single).table.values("energy", 4)[5] == 0.175562734


def test_entries_of_carbontrackers_parser(lab):
    entries = [
        {
            "output_filename": f"logs/{name}_1.2_2026-01-25T023732Z_carbontracker_output.log",
            "early_stop": False,
            "actual": {"epochs": 4, "duration (s)": 8.0, "energy (kWh)": energy, "co2eq (g)": float("nan")},
            "pred": None,
        }
        for name, energy in (("first", 0.1), ("second", 0.2))
    ]
    table = measured.read(lab, energy=entries).table
    assert table.values("energy", 4)[[5, 6]].tolist() == [0.1, 0.2]
    assert "co2" not in table.columns


def test_cells_without_a_run_column_are_found_by_hash(tmp_path):
    write_logs(tmp_path, SPACE[5].hash, epochs=4)
    lines = [{"row": 5, "epochs": 4, "val_accuracy": 0.8}]
    assert measured.read(lines, energy=tmp_path).table.values("energy", 4)[5] == 0.175562734
    with pytest.raises(MeasurementsError, match="the cells' hashes .* is on several lines"):
        measured.read([*lines, {"row": 5, "epochs": 108, "val_accuracy": 0.9}], energy=tmp_path)


def test_what_is_no_meters_file(tmp_path, lab):
    with pytest.raises(MeasurementsError, match="neither codecarbon's emissions.csv"):
        measured.read(lab, energy=lab)
    with pytest.raises(FileNotFoundError):
        measured.read(lab, energy=tmp_path / "none")
    path = tmp_path / "emissions.csv"
    path.write_text("\n".join([EMISSIONS, emission("unknown", "a", 0.1)]) + "\n")
    with pytest.raises(
        MeasurementsError, match="has no run of any line of lab.csv: it has 'unknown'; the lines ask for"
    ):
        measured.read(lab, energy=path)
    energies = tmp_path / "energies.csv"
    energies.write_text("row,epochs,run,energy_kwh\n5,4,unknown,0.1\n")
    with pytest.raises(MeasurementsError, match="energies in column 'energy_kwh' already"):
        measured.read(energies, energy=path)
