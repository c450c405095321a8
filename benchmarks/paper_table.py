"""Table 1 of the EC-NAS paper on the embedded 7V benchmark, by the paper's protocol and by a fair one.

python benchmarks/paper_table.py [--seeds 10] [--runs runs/paper] [--write docs/paper.md]

Prints two tables in Markdown, or puts them between the marks of a document. Records of runs are kept, so that a second
call only reads them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from page import write_sections

import ecnas
from ecnas import pareto, search
from ecnas.benchmark import REFERENCE_MARGIN
from ecnas.runs import Evaluator, Method, RunRecord, analysis
from ecnas.runs.method import display_name

EVALUATIONS: Final = 1000
"""Full trainings that the fair protocol's budget is worth."""

PAPER: Final = {
    "SEMOA": (".94 / .62", ".92 / .07"),
    "random search": (".94 / .41", ".89 / .07"),
    "MS-EHVI": (".92 / .25", ".83 / .02"),
    "SH-EMOA": (".91 / .27", ".85 / .04"),
}
"""The paper's r1 and knee, 7V; r0 is .52 / .01 for all (Bakhtiarifard et al. 2024, table 1)."""


@dataclass(frozen=True)
class PublishedRandomSearch:
    """Random search as the publisher's scripts do it.

    Numbers of vertices and of edges are drawn from their bounds alone (2 or 7, 1 or 21), the matrix is filled row by
    row up to the number of edges, and the epochs are one more parameter. What is no cell of the space is lost.
    """

    generations: int = 1000
    name: ClassVar[str] = "random search"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        for _ in range(self.generations):
            vertices = int(rng.choice([2, 7]))
            edges = int(rng.choice([1, 21]))
            present = rng.integers(2, size=(vertices, vertices)) * np.triu(np.ones((vertices, vertices), int), 1)
            flat = present.reshape(-1)
            flat[np.cumsum(flat) > edges] = 0
            ops = [ecnas.OPERATIONS[op] for op in rng.integers(3, size=vertices - 2)]
            epochs = int(rng.choice(evaluate.benchmark.epochs))
            if flat.sum() > 9:
                continue
            try:
                cell = ecnas.Cell(flat.reshape(vertices, vertices), ops)
            except ecnas.InvalidCellError:
                continue
            evaluate(cell, epochs)


@dataclass(frozen=True)
class MixedMSEHVI:
    """MS-EHVI by the paper's protocol: energies are known, and trainings spread over the four fidelities."""

    generations: int = 110  # trainings
    name: ClassVar[str] = "MS-EHVI"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        fidelities = evaluate.benchmark.epochs
        for epochs in fidelities:
            part = ecnas.Budget(evaluations=self.generations // len(fidelities))
            inner = Evaluator(replace(evaluate.task, epochs=epochs), part, evaluate.record)
            try:
                search.MSEHVI(num_initial=5, known=("energy",)).run(inner, rng)
            except ecnas.BudgetExhaustedError:
                continue


def paper_runs(benchmark: ecnas.Benchmark, seed: int, folder: Path) -> dict[str, RunRecord]:
    """One run of each method by the paper's protocol: different budgets, all fidelities in one front."""
    methods: dict[str, tuple[Method, ecnas.Budget | None]] = {
        "SEMOA": (search.SEMOA(generations=100, min_epochs=4, repeats=True), None),
        "random search": (PublishedRandomSearch(), None),
        "MS-EHVI": (MixedMSEHVI(), None),
        "SH-EMOA": (search.SHEMOA(expected_ops=0), ecnas.Budget(evaluations=100)),
    }
    return {
        name: search.run(searcher, benchmark, budget, seed, path=folder / "paper" / f"{name}-{seed}.jsonl")
        for name, (searcher, budget) in methods.items()
    }


def fair_runs(benchmark: ecnas.Benchmark, seed: int, folder: Path) -> dict[str, RunRecord]:
    """One run of each method by the fair protocol: the same epochs of training for all, fronts at 108 epochs."""
    searchers: tuple[Method, ...] = (
        search.SEMOA(),
        search.NSGA2(),
        search.MSEHVI(batch_size=10),
        search.SHEMOA(),
        search.RandomSearch(),
    )
    return {
        display_name(searcher): search.run(
            searcher,
            benchmark,
            ecnas.Budget(epochs=EVALUATIONS * benchmark.epochs[-1]),
            seed,
            path=folder / "fair" / f"{display_name(searcher)}-{seed}.jsonl",
        )
        for searcher in searchers
    }


def mixed_front(record: RunRecord) -> NDArray[np.float64]:
    """The front over trainings of all fidelities, ascending in accuracy: shape (n, 2)."""
    figures = np.stack([record.column("val_accuracy"), record.column("energy")], axis=1)
    return figures[pareto.non_dominated(figures * [1, -1])]


def special_points(front: NDArray[np.float64], published: bool = False) -> NDArray[np.float64]:
    """Accuracy and energy of r0, r1 and the knee, shape (3, 2).

    The published knee is the sharpest bend between adjacent points with energy in kWh; ours has the front's ends as
    neighbours of every point and the energy on a log scale, so that noise in single points does not decide.
    """
    if published:
        chosen = pareto.solutions(front * [1, -1], "adjacent")
    else:
        chosen = pareto.solutions(np.column_stack([front[:, 0], -np.log(front[:, 1])]))
    return front[list(chosen)]


def mean_and_spread(values: NDArray[np.float64], digits: int = 3) -> str:
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def point(values: NDArray[np.float64]) -> str:
    """Accuracy and energy over runs, shape (runs, 2)."""
    return f"{mean_and_spread(values[:, 0])} / {mean_and_spread(values[:, 1])}"


def paper_table(benchmark: ecnas.Benchmark, runs: list[dict[str, RunRecord]]) -> str:
    lines = [
        "| method | paper r1 | paper knee | r0 here | r1 here | knee here | trainings | epochs of training |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (r1, knee) in PAPER.items():
        records = [run[name] for run in runs]
        points = np.array([special_points(mixed_front(record), published=True) for record in records])
        cells = " | ".join(point(points[:, k]) for k in range(3))
        trainings = np.mean([len(record) for record in records])
        epochs = np.mean([record.column("cumulative_epochs")[-1] for record in records])
        lines.append(f"| {name} | {r1} | {knee} | {cells} | {trainings:,.0f} | {epochs:,.0f} |")
    return "\n".join(lines) + "\n"


def fair_table(benchmark: ecnas.Benchmark, runs: list[dict[str, RunRecord]]) -> str:
    lines = [
        "| method | r0 | r1 | knee | hypervolume | IGD+ | trainings |",
        "|---|---|---|---|---|---|---|",
    ]
    exact = benchmark.pareto_front()
    normalisation = benchmark.normalisation()
    reference = np.full(2, -REFERENCE_MARGIN)
    whole = pareto.hypervolume(exact.scores, reference)
    for name in runs[0]:
        records = [run[name] for run in runs]
        fronts = [analysis.front(record, benchmark) for record in records]
        scores = [normalisation.scores(front) for front in fronts]
        points = np.array([special_points(front) for front in fronts])
        volumes = np.array([pareto.hypervolume(each, reference) / whole for each in scores])
        distances = np.array([pareto.igd_plus(each, exact.scores) for each in scores])
        cells = " | ".join(point(points[:, k]) for k in range(3))
        trainings = np.mean([len(record) for record in records])
        lines.append(
            f"| {name} | {cells} | {mean_and_spread(volumes)} | {mean_and_spread(distances, 4)} | {trainings:,.0f} |"
        )
    ends = " | ".join(f"{accuracy:.3f} / {energy:.3f}" for accuracy, energy in special_points(exact.figures))
    lines.append(f"| exact front ({len(exact)} cells) | {ends} | 1 | 0 | {len(benchmark.space):,} |")
    return "\n".join(lines) + "\n"


def shares_of_cells(runs: list[dict[str, RunRecord]]) -> str:
    rows = np.concatenate([run["random search"].column("row") for run in runs])
    return f"Of the published random search's valid queries {100 * np.mean(rows == 0):.0f}% are the 2-vertex cell.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="surrogate-7V")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"))
    parser.add_argument("--write", type=Path, help="a document to put the tables into, between its marks")
    arguments = parser.parse_args()
    benchmark = ecnas.load(arguments.benchmark)
    folder = arguments.runs / benchmark.digest[:12]  # runs on other figures are other runs
    parts: list[tuple[str, Callable[..., str], list[dict[str, RunRecord]]]] = []
    for title, make, table in (
        ("The paper's protocol", paper_runs, paper_table),
        ("The fair protocol", fair_runs, fair_table),
    ):
        runs = []
        for seed in range(arguments.seeds):
            runs.append(make(benchmark, seed, folder))
            print(f"{title}: seed {seed} done", flush=True)
        parts.append((title, table, runs))
    text = f"{benchmark.name}, table {benchmark.digest[:12]}, {arguments.seeds} seeds; validation accuracy / kWh, "
    text += "mean ± standard deviation over seeds.\n"
    for title, table, runs in parts:
        text += f"\n### {title}\n\n{table(benchmark, runs)}"
        if table is paper_table:
            text += f"\n{shares_of_cells(runs)}"
    if arguments.write is None:
        print(f"\n{text}")
        return
    write_sections(arguments.write, {"tables": text})
    print(f"wrote the tables into {arguments.write}")


if __name__ == "__main__":
    main()
