"""What counts as energy; and that a figure without a sensor is called estimated."""

from __future__ import annotations

import math
import time
import types

import pytest

from ecnas.network.meter import Meter, Metering, NoSensorError, Reading, _devices

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
    (device,) = _devices(hardware)
    assert (device.kind, device.name, device.provenance, device.source) == ("cpu", "Model X", provenance, source)


def test_memory_is_no_device():
    assert _devices(type("RAM", (), {})()) == []


class Cards:
    """What codecarbon makes of a machine with three cards, of which two are tracked."""

    gpu_ids = (0, 2)

    class devices:  # noqa: N801
        @staticmethod
        def get_gpu_static_info():
            return [{"name": f"card {n}", "gpu_index": n} for n in range(3)]


def test_cards_are_those_that_are_tracked():
    found = _devices(type("GPU", (Cards,), {})())
    assert [(device.kind, device.name, device.provenance) for device in found] == [
        ("gpu", "card 0", "measured"),
        ("gpu", "card 2", "measured"),
    ]


class Tracker:
    """Stands for codecarbon's on a machine with a card and a processor without sensor."""

    def __init__(self, meter):
        self.meter, self.seconds = meter, 0.0
        card = type("GPU", (Cards,), {"gpu_ids": (1,)})()
        self._hardware = [card, type("CPU", (Processor,), {})("cpu_load")]

    def flush(self):
        self.seconds += 10
        kwh = 0.001 * self.seconds / 10
        self.meter._take(types.SimpleNamespace(duration=self.seconds, gpu_energy=2 * kwh, cpu_energy=kwh))

    def stop(self):
        pass


def test_a_machine_with_a_card(monkeypatch):
    monkeypatch.setattr(Meter, "_start_tracker", lambda meter: Tracker(meter))
    with Meter(Metering(cpu_share=0.5, interval=10.0)) as meter:
        first = meter.read()
        used = meter.read() - first
        trace = meter.take_trace()
    assert [device.name for device in meter.devices] == ["card 1", "Model X"]
    assert used.joules == pytest.approx({"gpu": 7200, "cpu": 1800})
    assert meter.settings.energy(used) == pytest.approx(0.0025)
    assert [watts for _, *watts in trace] == 2 * [[720, 180]]
    assert meter.take_trace() == []


def test_what_cannot_be_read_is_refused(monkeypatch):
    monkeypatch.setattr(Meter, "_start_tracker", lambda meter: types.SimpleNamespace(_hardware=[], stop=lambda: None))
    with (
        pytest.raises(NoSensorError, match=r"codecarbon can read here, nothing, got \('gpu',\)"),
        Meter(Metering(devices=("gpu",))),
    ):
        pass
