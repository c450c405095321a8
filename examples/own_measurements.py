"""From a lab's file to an environment, a search, and a chart in which measured cells are marked.

python examples/own_measurements.py [--file lab.csv --space 5V] [--out runs/own-measurements]

Without a file it makes one up: 60 cells of five vertices, trained three times each in a world of the embedded table, on
a machine that needs a third more energy. (Needs the extras [surrogate] and [agents].)
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro

import ecnas
import ecnas_gym  # noqa: F401  registers the environments
from ecnas import charts, drawing, measured, search


@dataclass
class Args:
    """Make a benchmark of measurements and search on it."""

    file: Path | None = None
    """Measurements; made up without it."""
    space: str = "5V"
    """Space whose other cells are predicted."""
    budget: int = 150
    """Evaluations of the search."""
    seed: int = 0
    """Seed of the search."""
    out: Path = Path("runs/own-measurements")
    """Folder for the table, the record and the chart."""


def make_up(path: Path) -> Path:
    """Writes a file as a lab might: one line per training."""
    world = ecnas.load("surrogate-5V~7")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["hash", "epochs", "repeat", "val_accuracy (%)", "test_accuracy (%)", "energy (Wh)"])
        for cell in sorted(set(world.space.sample(np.random.default_rng(0), 60)), key=lambda cell: cell.row):
            for repeat in range(3):
                found = world.query(cell, 108, repeat=repeat)
                writer.writerow(
                    [
                        cell.hash,
                        108,
                        repeat + 1,
                        f"{100 * found.val_accuracy:.2f}",
                        f"{100 * found.test_accuracy:.2f}",
                        f"{1330 * found.energy:.1f}",
                    ]
                )
    return path


def main(args: Args) -> None:
    """Reads, fills, searches, draws."""
    reading = measured.read(args.file or make_up(args.out / "lab.csv"), name="my-lab", space=args.space)
    print(f"{reading}\n")

    # What was measured is a benchmark already: its masks lead only to cells that the lab trained.
    env = gym.make(f"ECNAS-{args.space}-v0", benchmark=ecnas.Benchmark(reading.table))
    _, info = env.reset(seed=args.seed)
    terminated = False
    while not terminated:
        action = env.action_space.sample(mask=info["action_mask"])
        _, reward, terminated, _, info = env.step(action)
    print(f"A random episode ends with a cell that was measured; its reward is {reward:.3f}:\n{info['cell']}\n")

    # The rest is predicted, and a search may go everywhere.
    filled = measured.fill(reading.table)
    print(f"{filled}\n")
    folder = measured.store(filled.table, args.out / "table", replace=True)
    benchmark = ecnas.load(folder)
    record = search.run(
        search.RegularisedEvolution(population_size=30, tournament_size=5),
        benchmark,
        args.budget,
        args.seed,
        path=args.out / f"evolution-{benchmark.digest[:8]}-{args.seed}.jsonl",
    )
    rewards = record.column("reward")
    print(f"{len(record)} evaluations: best reward {rewards.max():.4f} of {benchmark.optimum()[1]:.4f}\n")

    front = benchmark.pareto_front()
    accuracy, energy = (benchmark.provenance(name, rows=front.rows) for name in ("val_accuracy", "energy"))
    print(f"The front: {len(front)} cells, {int((accuracy == 'measured').sum())} of them measured")
    for row, figures, *origins in zip(front.rows.tolist(), front.figures, accuracy, energy, strict=True):
        print(f"  row {row:>6}  {figures[0]:.4f} ({origins[0]})  {figures[1]:.4f} kWh ({origins[1]})")

    with drawing.style():
        drawing.save(drawing.figure_of(charts.scatter(benchmark)), args.out / "front")
    print(f"\nThe table, the record and the chart are in {args.out}/")


if __name__ == "__main__":
    main(tyro.cli(Args))
