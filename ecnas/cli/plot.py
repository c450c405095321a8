"""The command ``ecnas plot``: every chart of :mod:`ecnas.runs.charts`, and a cell, from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

import ecnas
from ecnas.benchmark import Benchmark
from ecnas.runs.record import RunRecord, benchmark_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HARDWARE: Final = ("quadrortx6000", "rtx3060", "rtx3090", "titanxp")
"""The four published files that hold the 4V cells' energies on one graphics card each."""

SUMMARY: Final = "draw a chart of a benchmark or of runs"
TEXT: Final = """\
examples:
  ecnas plot scatter surrogate-7V
  ecnas plot radar energy_4V9E_linscale --epochs 36 --out figures/radar.svg
  ecnas plot hardware
  ecnas plot cell surrogate-7V --row 100000
  ecnas plot fronts runs/semoa/*.jsonl
  ecnas plot attainment runs/semoa/*.jsonl runs/random/*.jsonl
  ecnas plot regret runs/*/*.jsonl --axis energy
  ecnas plot hypervolume runs/*/*.jsonl

Runs are grouped by their algorithm, and must all be on one benchmark. Without --out, or with a path that has no suffix,
a PNG and an SVG file are written. Needs matplotlib (pip install 'ecnas-gym[plots]'); charts of runs need the extra
[search] as well."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas plot``."""
    parser.add_argument("kind", choices=list(_CHARTS), help="what to draw")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="a benchmark, or the records of runs (.jsonl)")
    parser.add_argument("--epochs", type=int, help="fidelity; the highest by default")
    parser.add_argument("--row", type=int, help="cell: its row in the space (default: the knee of the exact front)")
    parser.add_argument(
        "--axis", choices=["evaluations", "epochs", "energy", "time"], default="evaluations", help="what cost is"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="file to write (default: KIND.png and KIND.svg)")


def run(arguments: argparse.Namespace) -> None:
    """Draws a chart and says where it was written."""
    import matplotlib

    matplotlib.use("Agg")
    from ecnas.runs import charts

    with charts.style():
        figure = _CHARTS[arguments.kind](arguments)
        for path in charts.save(figure, arguments.out or Path(arguments.kind)):
            print(path)


def _scatter(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    return _figure(charts.scatter(_benchmark(arguments), arguments.epochs))


def _radar(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    return _figure(charts.radar(_benchmark(arguments), epochs=arguments.epochs))


def _cell(arguments: argparse.Namespace) -> Figure:
    from ecnas import pareto

    benchmark = _benchmark(arguments)
    row = arguments.row
    if row is None:
        front = benchmark.pareto_front(epochs=arguments.epochs)
        row = int(front.rows[pareto.knee(front.scores)])
    if not 0 <= row < len(benchmark.space):
        raise ValueError(f"--row must be from 0 to {len(benchmark.space) - 1}, got {row}")
    return _figure(benchmark.space[row].draw())


def _hardware(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    names = arguments.inputs or [f"energy_4V9E_{card}" for card in HARDWARE]
    benchmarks = [ecnas.load(name) for name in names]
    if len({benchmark.space for benchmark in benchmarks}) > 1:
        raise ValueError("hardware needs benchmarks of one space: rows of different spaces are not the same cells")
    return charts.hardware(benchmarks, arguments.epochs)


def _fronts(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    runs, benchmark = _runs(arguments.inputs)
    if len(runs) > 1:
        raise ValueError(f"fronts needs runs of one algorithm, got {sorted(runs)}")
    return _figure(charts.fronts(next(iter(runs.values())), benchmark, arguments.epochs))


def _attainment(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    return _figure(charts.attainment(*_runs(arguments.inputs), epochs=arguments.epochs))


def _regret(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import analysis

    runs, benchmark = _runs(arguments.inputs)
    label = "test regret of the best by validation accuracy"
    return _anytime(arguments, runs, label, lambda run: analysis.regret(run, benchmark, epochs=arguments.epochs))


def _hypervolume(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import analysis

    runs, benchmark = _runs(arguments.inputs)
    label = "hypervolume (part of the exact front's)"
    return _anytime(arguments, runs, label, lambda run: analysis.hypervolume(run, benchmark, epochs=arguments.epochs))


def _anytime(
    arguments: argparse.Namespace,
    runs: dict[str, list[RunRecord]],
    label: str,
    quantity: Callable[[RunRecord], NDArray[np.float64]],
) -> Figure:
    from ecnas.runs import analysis, charts

    every = [record for records in runs.values() for record in records]
    grid = analysis.common_grid(every, arguments.axis)
    curves = {name: analysis.curve(records, quantity, arguments.axis, grid) for name, records in runs.items()}
    title = f"{every[0].header['task']['benchmark']}: interquartile mean, 95 % interval"
    log = arguments.kind == "regret" and all(np.nanmin(curve.low) > 0 for curve in curves.values())
    return _figure(charts.anytime(curves, label, arguments.axis, log, title))


_CHARTS: Final[dict[str, Callable[[argparse.Namespace], Figure]]] = {
    "scatter": _scatter,
    "radar": _radar,
    "cell": _cell,
    "hardware": _hardware,
    "fronts": _fronts,
    "attainment": _attainment,
    "regret": _regret,
    "hypervolume": _hypervolume,
}


def _benchmark(arguments: argparse.Namespace) -> Benchmark:
    if len(arguments.inputs) != 1:
        raise ValueError(f"{arguments.kind} needs one benchmark, got {len(arguments.inputs)} inputs")
    return ecnas.load(arguments.inputs[0])


def _runs(paths: Sequence[str]) -> tuple[dict[str, list[RunRecord]], Benchmark]:
    """Records by algorithm, and the benchmark that they are on."""
    if not paths:
        raise ValueError("the records of one or more runs are needed (.jsonl)")
    records = [RunRecord.load(Path(path)) for path in paths]
    if len({record.header["task"]["digest"] for record in records}) > 1:
        names = sorted({record.header["task"]["benchmark"] for record in records})
        raise ValueError(f"all runs must be on one benchmark, got {names}")
    benchmark = benchmark_of(records[0].header)
    runs: dict[str, list[RunRecord]] = {}
    for record in records:
        runs.setdefault(record.name, []).append(record)
    return runs, benchmark


def _figure(ax: object) -> Figure:
    figure: Figure = ax.figure  # type: ignore[attr-defined]
    return figure
