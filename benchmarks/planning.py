"""The plan of ecnas.network.planning against random choice of cells to measure, on the four published hardware files.

python benchmarks/planning.py [--seeds 20]

For each file, ecnas.surrogate.energy sees some of the measured energies and predicts the others. The seen ones are
drawn at random, or chosen by ecnas.network.planning.next_rows: the first without measurements, the next given those
seen so far. Writes the table and the figure of docs/measure.md. Needs the published files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from page import write_sections

import ecnas
from ecnas.measured.metrics import Training, table_of
from ecnas.network.planning import next_rows
from ecnas.surrogate import energy

CARDS = {
    "quadrortx6000": "Quadro RTX 6000",
    "rtx3060": "RTX 3060",
    "rtx3090": "RTX 3090",
    "titanxp": "Titan Xp",
}
SIZES = (6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
EPOCHS = 4
PANEL = 3.1
"""Width of a panel in inches."""


@dataclass
class Args:
    """Learning curves of the energy model, with planned and with random measurements."""

    folder: Path | None = None
    """Folder of the published files; they are fetched by default."""
    seeds: int = 20
    """Random choices."""
    figure: Path = Path("docs/images/planning.png")
    """Learning curves."""
    table: Path = Path("docs/measure.md")
    """Markdown file to write the table to, between marks."""


def main(args: Args) -> None:
    start = time.perf_counter()
    random, planned = {}, {}
    for card in CARDS:
        name = f"energy_4V9E_{card}"
        benchmark = ecnas.load(name if args.folder is None else args.folder / f"{name}.tfrecord")
        energies = benchmark.values("energy", EPOCHS)
        there = np.flatnonzero(np.isfinite(energies))
        random[card] = np.stack([chance(energies, there, seed) for seed in range(args.seeds)])
        planned[card] = plan(energies, there)
        print(f"{card}: after {time.perf_counter() - start:.0f} s", flush=True)
    text = "\n".join(table(random, planned))
    print(text)
    draw(random, planned, args.figure)
    if args.table.exists():
        write_sections(args.table, {"planning": text})


def chance(energies: NDArray[np.float64], there: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Errors with random measurements, shape (sizes, 2)."""
    order = np.random.default_rng(seed).permutation(there)
    return np.array([errors(energies, there, order[:size]) for size in SIZES])


def plan(energies: NDArray[np.float64], there: NDArray[np.int64]) -> NDArray[np.float64]:
    """Errors with planned measurements, shape (sizes, 2)."""
    known: list[int] = []
    curve = []
    for size in SIZES:
        shown = [Training(row, EPOCHS, 0, {"energy": float(energies[row])}) for row in known]
        known += next_rows(there, size - len(known), table_of(shown, "shown", "4V") if shown else None)
        curve.append(errors(energies, there, np.array(known)))
    return np.array(curve)


def errors(
    energies: NDArray[np.float64], there: NDArray[np.int64], known: NDArray[np.int64]
) -> tuple[np.floating, np.floating]:
    """Mean and median relative error of the unseen cells."""
    rest = np.setdiff1d(there, known)
    predicted = energy.fit(energy.Measurements(known, energies[known], EPOCHS)).predict(rest)
    off = np.abs(predicted / energies[rest] - 1)
    return off.mean(), np.median(off)


def table(random: dict[str, NDArray[np.float64]], planned: dict[str, NDArray[np.float64]]) -> list[str]:
    """Errors in percent: for random choice the mean over seeds; for the plan, in brackets, how often it was better."""
    shown = [SIZES.index(size) for size in (6, 10, 20, 30, 50)]
    lines = [
        "| card | choice | " + " | ".join(f"{SIZES[i]} cells" for i in shown) + " |",
        "|---|---|" + "---:|" * len(shown),
    ]
    for card, name in CARDS.items():
        seeds = len(random[card])
        for number, what in enumerate(("mean error", "median error")):
            by_chance = [f"{100 * random[card][:, i, number].mean():.1f}%" for i in shown]
            by_plan = [f"{100 * planned[card][i, number]:.1f}%" for i in shown]
            better = [f"{int((random[card][:, i, number] > planned[card][i, number]).sum())}" for i in shown]
            lines.append(f"| {name}, {what} | random | " + " | ".join(by_chance) + " |")
            cells = [f"{error} ({count})" for error, count in zip(by_plan, better, strict=True)]
            lines.append(f"| | planned (better than this many of {seeds}) | " + " | ".join(cells) + " |")
    return lines


def draw(random: dict[str, NDArray[np.float64]], planned: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Mean errors by the number of measured cells, a panel for each card."""
    from ecnas import drawing

    with drawing.style(PANEL):
        figure = drawing.new_figure(2 * PANEL, 2.3 * -(-len(CARDS) // 2) + 0.4)
        axes = list(figure.subplots(-(-len(CARDS) // 2), 2, squeeze=False).flat)
        for ax, (card, name) in zip(axes, CARDS.items(), strict=False):
            runs = 100 * random[card][..., 0]
            ax.plot(SIZES, runs.mean(axis=0), color=drawing.ORANGE, label="random, mean")
            low, high = np.percentile(runs, [10, 90], axis=0)
            ax.fill_between(SIZES, low, high, color=drawing.ORANGE, alpha=0.25, linewidth=0, label="random, 10 to 90%")
            ax.plot(SIZES, 100 * planned[card][:, 0], color=drawing.BLUE, marker=".", label="planned")
            ax.set(title=name, xlabel="measured cells", ylabel="mean error of the others (%)")
            drawing.set_scale(ax, "y", np.concatenate([low, 100 * planned[card][:, 0], high]), True)
        for free in axes[len(CARDS) :]:
            free.set_axis_off()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        drawing.save(figure, path)


if __name__ == "__main__":
    main(tyro.cli(Args))
