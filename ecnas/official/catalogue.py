"""The ten published EC-NAS-Bench files: names, checksums, and notes on each.

Source: Bakhtiarifard, Igel, Selvan: "EC-NAS: Energy Consumption Aware Tabular Benchmarks for Neural Architecture
Search", ICASSP 2024 (https://arxiv.org/abs/2210.06015), MIT licence; accuracies from NAS-Bench-101 (Ying et
al. 2019) Apache-2.0. Sizes and SHA-256 are those of the publisher's Git LFS objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ecnas.table import Provenance


@dataclass(frozen=True)
class PublishedFile:
    """A published file.

    Attributes:
        name: Its stem, under which the benchmark is loaded.
        path: Its path in the publisher's repository.
        size: In bytes.
        sha256: Of its content.
        space: Search space.
        hardware: The hardware for which energy was measured (or predicted).
        lowest: Provenance of the metrics at the lowest number of epochs.
        above: Provenance of the metrics at higher numbers of epochs.
        description: A description in one line.
        notes: Notes for users.
        middle_scale: Factor by which the file's middle evaluations at the lowest number of epochs exceed the
            measurement.
    """

    name: str
    path: str
    size: int
    sha256: str
    space: str
    hardware: str
    lowest: Provenance
    above: Provenance
    description: str
    notes: str
    middle_scale: float = 1.0

    def provenance(self, epochs: Iterable[int]) -> dict[int, Provenance]:
        """Provenance of the metrics, per number of epochs in ascending order."""
        return {number: self.above if i else self.lowest for i, number in enumerate(epochs)}


_OWN_TRAINING: Final = "All metrics are of the publisher's own trainings, accuracies included."
_SCALED: Final = (
    "Energy, CO2 and training time were measured for 4 epochs and multiplied by epochs/4, so cells rank alike at every "
    "number of epochs; accuracies are NAS-Bench-101's means of three trainings."
)
_OVERESTIMATE: Final = (
    " For cells that were really trained to 12–108 epochs the scaled energy is 11–17% too high on average."
)
_GPUS: Final = " Energies of different files cannot be compared as if they were of one machine."


def _hardware_file(
    suffix: str, gpu: str, size: int, sha256: str, notes: str = "", middle_scale: float = 1.0
) -> PublishedFile:
    return PublishedFile(
        f"energy_4V9E_{suffix}",
        f"hardware/energy_4V9E_{suffix}.tfrecord",
        size,
        sha256,
        "4V",
        gpu,
        "measured",
        "scaled",
        f"4V cells on a {gpu}, energy scaled linearly from 4 epochs",
        notes + _SCALED + _GPUS,
        middle_scale,
    )


_FILES: Final = (
    PublishedFile(
        "energy_4V9E_4epochs",
        "energy_4V9E_4epochs.tfrecord",
        893556,
        "eba6c177999103d7c938028e410836c1b62213a076b0e7436de85da8f81d974c",
        "4V",
        "Quadro RTX 6000",
        "measured",
        "measured",
        "4V cells, each trained three times to 4, 12, 36 and 108 epochs",
        f"{_OWN_TRAINING} In spite of its name it holds 4, 12, 36 and 108 epochs.",
    ),
    PublishedFile(
        "energy_4V9E_linscale",
        "energy_4V9E_linscale.tfrecord",
        297784,
        "e18becd6aac719a9af4c816940a6bf7bf5fb0a16870d531e78a27c1d8cf89010",
        "4V",
        "Quadro RTX 6000",
        "measured",
        "scaled",
        "4V cells, energy scaled linearly from 4 epochs",
        _SCALED + _OVERESTIMATE,
    ),
    PublishedFile(
        "energy_5V9E_4epochs",
        "energy_5V9E_4epochs.tfrecord",
        2136916,
        "0be8df1e21dac4e7a927ee13823fb3f30fd900f8dee2a41f1572319e8af702cc",
        "5V",
        "Quadro RTX 6000",
        "measured",
        "measured",
        "5V cells trained for 4 epochs",
        f"{_OWN_TRAINING} The space has 2,532 cells, not 2,632 as the publisher's table says.",
    ),
    PublishedFile(
        "energy_5V9E_linscale",
        "energy_5V9E_linscale.tfrecord",
        8557792,
        "31d4fdc8998f831e8f8629f3ed8b2837e474dd67da420ff5dcf8641f6bc882fe",
        "5V",
        "Quadro RTX 6000",
        "measured",
        "scaled",
        "5V cells, energy scaled linearly from 4 epochs",
        _SCALED,
    ),
    PublishedFile(
        "energy_7V9E_4epochs",
        "energy_7V9E_4epochs.tfrecord",
        17522300,
        "c296461a59532bd370517b5adcb48dbe447ac56efdd2217eaa611287459ed725",
        "7V",
        "Quadro RTX 6000",
        "measured",
        "measured",
        "A sample of 7V cells trained for 4 epochs: what the publisher's surrogate was fitted to",
        "Most cells of the space are missing. Energies are about 0.6 times those of the 4V and 5V files for the same "
        "cells (another machine and measuring set-up).",
    ),
    PublishedFile(
        "energy_7V9E_surrogate",
        "energy_7V9E_surrogate.tfrecord",
        613992864,
        "93e4a806c737ac077231fa716b13e01d5fbfa3bc261d456284f8a3fdbb322f02",
        "7V",
        "Quadro RTX 6000",
        "surrogate",
        "surrogate",
        "All 7V cells, energy predicted by the publisher's surrogate",
        "Energies are predictions of a multilayer perceptron fitted to energy_7V9E_4epochs; accuracies are "
        "NAS-Bench-101's.",
    ),
    _hardware_file(
        "quadrortx6000",
        "Quadro RTX 6000",
        297784,
        "b50e93e1ef94275ece211533fe954a7a6629157a4e94bb963f0e896d8bc7be09",
        middle_scale=2.0,
    ),
    _hardware_file(
        "rtx3060",
        "GeForce RTX 3060",
        290272,
        "30880a853e1bd1f6b54022c5aada8e9c4a150c5c84c88f5e1a21777beac238e5",
        "It holds 88 of the 91 cells. ",
    ),
    _hardware_file(
        "rtx3090",
        "GeForce RTX 3090",
        300232,
        "55a89f91f4906e8c3c2e2578e64b0a62133d25b2e2e8e00f30513c7623f0a2f6",
    ),
    _hardware_file(
        "titanxp",
        "TITAN Xp",
        292952,
        "ace80dda5f16dafa465b2a3e11c29518d8622884e174c15ed8d826a411f3373d",
    ),
)

CATALOGUE: Final = {file.name: file for file in _FILES}
"""The published files by the name under which they are loaded."""

BY_DIGEST: Final = {file.sha256: file for file in _FILES}
"""The same by SHA-256, to recognise a file under any name."""
