"""The energy meter: the consumption of this machine's devices while a network trains.

codecarbon reads the sensors: the energy counters of NVIDIA and AMD graphics cards, of Intel and AMD processors (RAPL)
and of Apple's chips. If a device has none, it falls back to nominal power times load, and the result is marked
estimated. docs/measure.md explains the choice of codecarbon and what is counted.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ecnas.errors import ECNASError
from ecnas.table import Provenance

if TYPE_CHECKING:
    from codecarbon import OfflineEmissionsTracker

JOULES_PER_KWH: Final = 3.6e6

GPU: Final = "gpu"
CPU: Final = "cpu"

_SENSORS: Final = {
    "intel_rapl": "RAPL counters",
    "intel_power_gadget": "Intel Power Gadget",
    "windows_emi": "Windows Energy Meter Interface",
}
"""codecarbon's names for the ways in which it measures a processor with a sensor."""


@dataclass(frozen=True)
class Metering:
    """What counts as energy, and its factors. Every record keeps these settings.

    Attributes:
        devices: Kinds of devices that count: "gpu", "cpu" or both. Memory, disks and fans never count, since neither
            library has a sensor for them.
        idle_power: Watts that the devices draw when idle; they are subtracted.
        pue: Power usage effectiveness of the building; it multiplies all energy.
        carbon_intensity: g of CO2 per kWh; without it CO2 is missing.
        interval: Seconds between two samples of the power.
        cpu_share: This training's share of the processor, if several run at once.
    """

    devices: tuple[str, ...] = (GPU, CPU)
    idle_power: float = 0.0
    pue: float = 1.0
    carbon_intensity: float | None = None
    interval: float = 1.0
    cpu_share: float = 1.0

    def __post_init__(self) -> None:
        if not self.devices or not set(self.devices) <= {GPU, CPU}:
            raise ValueError(f"devices must be {GPU!r}, {CPU!r} or both, got {self.devices!r}")
        for name, value, fits, allowed in (
            ("idle_power", self.idle_power, self.idle_power >= 0, "0 W or more"),
            ("pue", self.pue, self.pue >= 1, "1 or more"),
            ("carbon_intensity", self.carbon_intensity, (self.carbon_intensity or 0) >= 0, "0 g/kWh or more"),
            ("interval", self.interval, self.interval > 0, "more than 0 s"),
            ("cpu_share", self.cpu_share, 0 < self.cpu_share <= 1, "above 0 and at most 1"),
        ):
            if not fits or (value is not None and not math.isfinite(value)):
                raise ValueError(f"{name} must be {allowed}, got {value!r}")

    def energy(self, reading: Reading) -> float:
        """Energy of a reading in kWh; NaN if no device counts."""
        counted = [joules for kind, joules in reading.joules.items() if kind in self.devices]
        if not counted:
            return math.nan
        net = max(sum(counted) - self.idle_power * reading.seconds, 0.0)
        return net * self.pue / JOULES_PER_KWH

    def co2(self, reading: Reading) -> float:
        """CO2 of a reading in g; NaN without a carbon intensity."""
        return math.nan if self.carbon_intensity is None else self.energy(reading) * self.carbon_intensity


@dataclass(frozen=True)
class Device:
    """A metered device.

    Attributes:
        kind: "gpu" or "cpu".
        name: Its own name.
        provenance: "measured" by a sensor, or "estimated".
        source: The sensor, or the basis of the estimate.
    """

    kind: str
    name: str
    provenance: Provenance
    source: str


@dataclass(frozen=True)
class Reading:
    """A reading of a meter. Readings are totals, and can be added and subtracted.

    Attributes:
        seconds: Time.
        joules: Energy of the devices of each kind.
    """

    seconds: float = 0.0
    joules: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Reading) -> Reading:
        return self._combined(other, 1)

    def __sub__(self, other: Reading) -> Reading:
        return self._combined(other, -1)

    def _combined(self, other: Reading, sign: int) -> Reading:
        kinds = [*self.joules, *(kind for kind in other.joules if kind not in self.joules)]
        joules = {kind: self.joules.get(kind, 0.0) + sign * other.joules.get(kind, 0.0) for kind in kinds}
        return Reading(self.seconds + sign * other.seconds, joules)


_NEVER: Final = 365 * 86400.0


class NoSensorError(ECNASError, OSError):
    """No device that counts can be read, neither measured nor estimated."""


class Clock:
    """A meter of time only. Use it, and :class:`Meter`, as a context manager."""

    devices: tuple[Device, ...] = ()

    def __init__(self, settings: Metering | None = None) -> None:
        self.settings = settings or Metering()

    def __enter__(self) -> Clock:
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops reading."""

    def read(self) -> Reading:
        """The total since the beginning."""
        return Reading(time.perf_counter() - self._start)

    def take_trace(self) -> list[list[float]]:
        """The samples since the last call, oldest first: seconds since the beginning, watts of GPU, watts of CPU."""
        return []


class Meter(Clock):
    """Reads the energy of this machine's devices.

    Args:
        settings: What counts as energy.
        gpu: The graphics card to read, by index or identifier; all by default.

    Raises:
        NoSensorError: On entering the context: no device that counts can be read.
    """

    def __init__(self, settings: Metering | None = None, gpu: str | None = None) -> None:
        super().__init__(settings)
        self._gpu = gpu
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._samples: list[list[float]] = []
        self._sampled = Reading()
        self._last: Any = None

    def __enter__(self) -> Meter:
        self._tracker = self._start_tracker()
        self.devices = tuple(device for hardware in self._tracker._hardware for device in _devices(hardware))
        if not any(device.kind in self.settings.devices for device in self.devices):
            self._tracker.stop()
            found = ", ".join(f"{device.kind} ({device.name})" for device in self.devices) or "nothing"
            raise NoSensorError(
                f"devices must be such as codecarbon can read here, {found}, got {self.settings.devices}"
            )
        for _ in range(2):  # the first estimate of a load is of no interval, and the second makes up for it
            self._stopped.wait(0.1)
            self._tracker.flush()
        self._samples, self._sampled = [], Reading(self._last.duration, self._energies(self._last))
        super().__enter__()
        self._sampler = threading.Thread(target=self._keep_sampling, daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._sampler.join()
        self._tracker.stop()

    def read(self) -> Reading:
        with self._lock:
            self._tracker.flush()  # reads the counters now, and gives what they say to _take
            return Reading(time.perf_counter() - self._start, self._joules())

    def take_trace(self) -> list[list[float]]:
        with self._lock:
            samples, self._samples = self._samples, []
        return samples

    def _keep_sampling(self) -> None:
        # codecarbon's own timer would read while read() does, count an interval twice, and fire again after the end.
        while not self._stopped.wait(self.settings.interval):
            with self._lock:
                self._tracker.flush()

    def _joules(self) -> dict[str, float]:
        kinds = {device.kind for device in self.devices}
        return {kind: joules for kind, joules in self._energies(self._last).items() if kind in kinds}

    def _energies(self, total: Any) -> dict[str, float]:
        """Joules since the beginning, in codecarbon's account."""
        cpu = total.cpu_energy * self.settings.cpu_share
        return {GPU: total.gpu_energy * JOULES_PER_KWH, CPU: cpu * JOULES_PER_KWH}

    def _take(self, total: Any) -> None:
        """Receives what codecarbon would write to its file; adds the mean power since the last sample to the trace."""
        self._last = total
        joules = self._energies(total)
        seconds = total.duration - self._sampled.seconds
        if seconds < self.settings.interval / 2:  # read out of turn: too short to say anything of the power
            return
        since = Reading(total.duration, joules) - self._sampled
        self._sampled = Reading(total.duration, joules)
        watts = (since.joules[kind] / seconds for kind in (GPU, CPU))
        self._samples.append([round(metric, 2) for metric in (total.duration, *watts)])

    def _start_tracker(self) -> OfflineEmissionsTracker:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.external.logger import set_logger_level
        from codecarbon.output_methods.base_output import BaseOutput

        set_logger_level("error")
        meter = self
        gpus: dict[str, Any] = {} if self._gpu is None else {"gpu_ids": [self._gpu]}

        class Output(BaseOutput):
            def out(self, total: Any, delta: Any) -> None:
                meter._take(total)

        tracker = OfflineEmissionsTracker(
            country_iso_code="DNK",  # asked for, and of no effect: the intensity is given
            force_carbon_intensity_g_co2e_kwh=0.0,
            measure_power_secs=_NEVER,
            api_call_interval=-1,
            pue=1.0,  # codecarbon's own settings files must not add to what the record keeps
            tracking_mode="machine",
            output_methods=[],
            output_handlers=[Output()],
            allow_multiple_runs=True,
            log_level="error",
            **gpus,
        )
        tracker.start()
        return tracker


def _devices(hardware: Any) -> list[Device]:
    """The devices behind one of codecarbon's; only here does it show which values are measured."""
    kind = type(hardware).__name__
    if kind == "GPU":
        details = hardware.devices.get_gpu_static_info()
        chosen = [one for one in details if hardware.gpu_ids is None or one["gpu_index"] in hardware.gpu_ids]
        return [Device(GPU, one["name"], "measured", "energy counter of the card's driver") for one in chosen]
    if kind == "CPU":
        mode, name = hardware._mode, hardware._model or "unknown"
        if mode in _SENSORS:
            return [Device(CPU, name, "measured", _SENSORS[mode])]
        how = "times its load" if mode == "cpu_load" else "at half load"
        return [Device(CPU, name, "estimated", f"nominal power of {hardware._tdp:g} W {how}")]
    if kind == "AppleSiliconChip":
        return [Device(hardware.chip_part.lower(), hardware.get_model() or "Apple", "measured", "powermetrics")]
    return []  # memory: a constant for each module, of no sensor
