"""What counts as energy; and that a figure without a sensor is called estimated."""

from __future__ import annotations

import math
import time

import pytest

from ecnas.network.meter import Meter, Metering, Reading, _devices

JOULES = {"gpu": 7.2e6, "cpu": 3.6e6}


@pytest.mark.parametrize(
    ("settings", "energy"),
    [
        (Metering(), 3.0),
        (Metering(devices=("gpu",)), 2.0),
        (Metering(devices=("cpu",)), 1.0),
        (Metering(pue=1.5), 4.5),
        (Metering(idle_power=100.0), 2.9),  # 100 W for an hour
        (Metering(idle_power=100.0, pue=1.5), 4.35),
        (Metering(idle_power=1e6), 0.0),
    ],
)
def test_energy(settings, energy):
    assert settings.energy(Reading(3600.0, JOULES)) == pytest.approx(energy)


def test_co2_is_not_made_up():
    reading = Reading(3600.0, JOULES)
    assert Metering(carbon_intensity=120.0).co2(reading) == pytest.approx(360)
    assert Metering(carbon_intensity=0.0).co2(reading) == 0
    assert math.isnan(Metering().co2(reading))
    assert math.isnan(Metering(devices=("gpu",)).energy(Reading(3600.0, {"cpu": 3.6e6})))


def test_readings_are_sums():
    first, second = Reading(2.0, {"gpu": 5.0}), Reading(3.0, {"gpu": 1.0, "cpu": 4.0})
    assert first + second == Reading(5.0, {"gpu": 6.0, "cpu": 4.0})
    assert second - first == Reading(1.0, {"gpu": -4.0, "cpu": 4.0})
    assert Reading() + first == first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"devices": ("tpu",)}, r"devices must be 'gpu', 'cpu' or both, got \('tpu',\)"),
        ({"devices": ()}, "devices must be"),
        ({"pue": 0.9}, "pue must be 1 or more, got 0.9"),
        ({"pue": math.nan}, "pue must be 1 or more, got nan"),
        ({"idle_power": -1.0}, "idle_power must be 0 W or more, got -1.0"),
        ({"carbon_intensity": math.inf}, "carbon_intensity must be 0 g/kWh or more, got inf"),
        ({"interval": 0.0}, "interval must be more than 0 s, got 0.0"),
        ({"cpu_share": 1.5}, "cpu_share must be above 0 and at most 1, got 1.5"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        Metering(**settings)


def test_a_meter_of_this_machine():
    pytest.importorskip("codecarbon", reason="metering needs the extra 'network'")
    settings = Metering(interval=0.2)
    with Meter(settings) as meter:
        begin = meter.read()
        end = time.perf_counter() + 1.0
        while time.perf_counter() < end:
            sum(range(1000))
        used = meter.read() - begin
        trace = meter.take_trace()
    assert {device.provenance for device in meter.devices} <= {"measured", "estimated"}
    assert all(device.source for device in meter.devices)
    assert 0.9 < used.seconds < 60
    assert "cpu" in used.joules
    assert used.joules["cpu"] > 0
    assert trace
    seconds = [sample[0] for sample in trace]
    assert seconds == sorted(seconds)
    mean_power = used.joules["cpu"] / used.seconds
    assert max(sample[2] for sample in trace) < 20 * mean_power  # no spike where two readings are close


class Processor:
    """What codecarbon makes of a processor."""

    _model, _tdp = "Model X", 120

    def __init__(self, mode):
        self._mode = mode


@pytest.mark.parametrize(
    ("mode", "provenance", "source"),
    [
        ("intel_rapl", "measured", "RAPL counters"),
        ("cpu_load", "estimated", "nominal power of 120 W times its load"),
        ("constant", "estimated", "nominal power of 120 W at half load"),
    ],
)
def test_only_a_sensor_measures(mode, provenance, source):
    hardware = type("CPU", (Processor,), {})(mode)
    (device,) = _devices(hardware, None)
    assert (device.kind, device.name, device.provenance, device.source) == ("cpu", "Model X", provenance, source)


def test_memory_is_no_device():
    assert _devices(type("RAM", (), {})(), None) == []
