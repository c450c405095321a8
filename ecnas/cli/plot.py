"""The command ``ecnas plot``: charts of benchmarks, cells and runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ecnas
from ecnas.benchmark import Benchmark
from ecnas.runs.currency import CURRENCIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ecnas.runs.comparison import Comparison

HARDWARE: Final = ("quadrortx6000", "rtx3060", "rtx3090", "titanxp")
"""The four published files that hold the 4V cells' energies on one graphics card each."""

CENTIMETRES: Final = 2.54

SUMMARY: Final = "draw a chart of a benchmark or of runs"
TEXT: Final = """\
charts of a benchmark:
  scatter      accuracy against energy of all cells, with the exact front
  radar        the ends and the knee of the front in four metrics
  cell         one cell as a graph
  hardware     energies of the same cells on several machines
charts of runs (records, or folders of them):
  regret       regret of the recommended cell, against cost
  hypervolume  hypervolume of the trained cells, against cost (several objectives)
  fronts       the front that each run found (two objectives)
  attainment   the median attainment surface, with best and worst (two objectives)
  profile      performance profiles, over all tasks of the runs
  intervals    the final value of each method, with its interval

examples:
  ecnas plot scatter surrogate-7V
  ecnas plot cell surrogate-7V --row 100000 --out cell.pdf
  ecnas plot hardware
  ecnas plot regret runs/mine --baseline rl-nas
  ecnas plot regret runs/rl-nas --only editing BANANAS "random search" --label editing=ours --out regret.pdf --size 8 7
  ecnas plot regret runs/rl-nas --axis energy --linear --title "Energy needed to find the best cell"

A method has the same colour, dashes and marker in all charts and pages. Without --out, or with a path that does not
end in .png, .svg or .pdf, a PNG and an SVG file are written. Needs matplotlib (pip install 'ecnas-gym[plots]');
charts of runs need the extra [report]."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas plot``."""
    parser.add_argument(
        "kind", choices=[*_OF_BENCHMARKS, *_OF_RUNS], metavar="KIND", help="which chart to draw (see below)"
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="benchmarks, run records, or folders of run records")
    parser.add_argument("--out", type=Path, metavar="PATH", help="file to write (default: KIND.png and KIND.svg)")
    parser.add_argument(
        "--size", type=float, nargs=2, metavar=("W", "H"), help="width and height in cm; a long legend adds height"
    )
    parser.add_argument("--title", help='title of the chart; "" for none')
    benchmarks = parser.add_argument_group("charts of a benchmark")
    benchmarks.add_argument("--epochs", type=int, help="epochs of training (default: the highest number)")
    benchmarks.add_argument("--row", type=int, help="row of the cell to draw (default: the knee of the exact front)")
    runs = parser.add_argument_group("charts of runs")
    runs.add_argument(
        "--axis", choices=list(CURRENCIES), default="evaluations", help="cost on the x axis (default: evaluations)"
    )
    runs.add_argument(
        "--statistic",
        choices=["iqm", "mean"],
        default="iqm",
        help="interquartile mean or mean over runs (default: iqm)",
    )
    scale = runs.add_mutually_exclusive_group()
    scale.add_argument("--log", dest="log", action="store_true", default=None, help="logarithmic scale for values")
    scale.add_argument("--linear", dest="log", action="store_false", help="linear scale for values")
    runs.add_argument("--linear-costs", action="store_true", help="linear scale for costs")
    runs.add_argument("--only", nargs="+", metavar="METHOD", help="only these methods, in this order")
    runs.add_argument(
        "--label", action="append", default=[], metavar="METHOD=TEXT", help="rename a method in the chart; repeatable"
    )
    runs.add_argument("--baseline", metavar="NAME", help="add the methods of a baseline: rl-nas, or a file")


def run(arguments: argparse.Namespace) -> None:
    """Draws a chart and says where it was written."""
    from ecnas import drawing

    with drawing.style(arguments.size and _inches(arguments.size)[0]):
        figure = {**_OF_BENCHMARKS, **_OF_RUNS}[arguments.kind](arguments)
        for path in drawing.save(figure, arguments.out or Path(arguments.kind)):
            print(path)


# ---------------------------------------------------------------------------------------------------------------------
# Of benchmarks


def _scatter(arguments: argparse.Namespace) -> Figure:
    from ecnas import charts

    return _finished(arguments, charts.scatter(_benchmark(arguments), arguments.epochs, _axes(arguments)))


def _radar(arguments: argparse.Namespace) -> Figure:
    from ecnas import charts, drawing

    ax = None
    if arguments.size:
        ax = drawing.new_figure(*_inches(arguments.size)).add_subplot(projection="polar")
    return _finished(arguments, charts.radar(_benchmark(arguments), epochs=arguments.epochs, ax=ax))


def _cell(arguments: argparse.Namespace) -> Figure:
    from ecnas import drawing, pareto

    benchmark = _benchmark(arguments)
    row = arguments.row
    if row is None:
        front = benchmark.pareto_front(epochs=arguments.epochs)
        row = int(front.rows[pareto.knee(front.scores)])
    if not 0 <= row < len(benchmark.space):
        raise ValueError(f"--row must be from 0 to {len(benchmark.space) - 1}, got {row}")
    cell = benchmark.space[row]
    ax = _axes(arguments) or drawing.new_axes(None, 2.6, 0.55 * cell.num_vertices + 0.2)
    return _finished(arguments, cell.draw(ax))


def _hardware(arguments: argparse.Namespace) -> Figure:
    from ecnas import charts, drawing

    names = arguments.inputs or [f"energy_4V9E_{card}" for card in HARDWARE]
    benchmarks = [ecnas.load(name) for name in names]
    if len({benchmark.space for benchmark in benchmarks}) > 1:
        raise ValueError("hardware needs benchmarks of one space: rows of different spaces are not the same cells")
    figure = drawing.new_figure(*_inches(arguments.size)) if arguments.size else None
    figure = charts.hardware(benchmarks, arguments.epochs, figure)
    if arguments.title is not None:
        figure.suptitle(arguments.title)
    return figure


def _benchmark(arguments: argparse.Namespace) -> Benchmark:
    if len(arguments.inputs) != 1:
        raise ValueError(f"{arguments.kind} needs one benchmark, got {len(arguments.inputs)} inputs")
    return ecnas.load(arguments.inputs[0])


# ---------------------------------------------------------------------------------------------------------------------
# Of runs


def _regret(arguments: argparse.Namespace) -> Figure:
    comparison = _comparison(arguments)
    quantities = [name for name in comparison.judge.quantities if name.endswith("regret")]
    if not quantities:
        raise ValueError("these runs have a custom scalarisation, for which records contain no regret")
    return _anytime(arguments, comparison, quantities[0])


def _hypervolume(arguments: argparse.Namespace) -> Figure:
    comparison = _comparison(arguments)
    if "hypervolume" not in comparison.judge.quantities:
        raise ValueError(f"hypervolume needs several objectives, these runs have only {comparison.judge.objectives[0]}")
    return _anytime(arguments, comparison, "hypervolume")


def _anytime(arguments: argparse.Namespace, comparison: Comparison, quantity: str) -> Figure:
    from ecnas.runs import charts

    ax = charts.anytime(
        comparison,
        quantity,
        arguments.axis,
        arguments.statistic,
        arguments.log,
        not arguments.linear_costs,
        _labels(arguments),
        ax=_axes(arguments),
    )
    return _finished(arguments, ax)


def _fronts(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    return _finished(arguments, charts.fronts(_comparison(arguments), _labels(arguments), ax=_axes(arguments)))


def _attainment(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    return _finished(arguments, charts.attainment(_comparison(arguments), _labels(arguments), ax=_axes(arguments)))


def _profile(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    comparisons = _comparisons(arguments)
    return _finished(arguments, charts.profile(comparisons, arguments.axis, _labels(arguments), ax=_axes(arguments)))


def _intervals(arguments: argparse.Namespace) -> Figure:
    from ecnas.runs import charts

    comparison = _comparison(arguments)
    ax = charts.intervals(
        comparison,
        currency=arguments.axis,
        statistic=arguments.statistic,
        log=arguments.log,
        labels=_labels(arguments),
        ax=_axes(arguments),
    )
    return _finished(arguments, ax)


def _comparison(arguments: argparse.Namespace) -> Comparison:
    comparisons = _comparisons(arguments)
    if len(comparisons) > 1:
        tasks = "; ".join(f"{each.name} for {' and '.join(each.judge.objectives)}" for each in comparisons)
        raise ValueError(f"{arguments.kind} needs runs of one task, got {len(comparisons)}: {tasks}")
    return comparisons[0]


def _comparisons(arguments: argparse.Namespace) -> list[Comparison]:
    from ecnas.runs.baseline import add_baseline
    from ecnas.runs.charts import best_first, ordered
    from ecnas.runs.comparison import collect

    if not arguments.inputs:
        raise ValueError(f"{arguments.kind} needs the records of runs (.jsonl), or folders of them")
    comparisons = collect(map(Path, arguments.inputs))
    if arguments.baseline is not None:
        comparisons = add_baseline(comparisons, arguments.baseline)
    return [
        replace(
            each,
            methods=ordered(each.methods, arguments.only) if arguments.only else best_first(each, arguments.statistic),
        )
        for each in comparisons
    ]


def _labels(arguments: argparse.Namespace) -> dict[str, str]:
    for text in arguments.label:
        if "=" not in text:
            raise ValueError(f"--label must be METHOD=TEXT, got {text!r}")
    return dict(text.rsplit("=", 1) for text in arguments.label)


_OF_BENCHMARKS: Final[dict[str, Callable[[argparse.Namespace], Figure]]] = {
    "scatter": _scatter,
    "radar": _radar,
    "cell": _cell,
    "hardware": _hardware,
}
_OF_RUNS: Final[dict[str, Callable[[argparse.Namespace], Figure]]] = {
    "regret": _regret,
    "hypervolume": _hypervolume,
    "fronts": _fronts,
    "attainment": _attainment,
    "profile": _profile,
    "intervals": _intervals,
}


# ---------------------------------------------------------------------------------------------------------------------
# Of all


def _inches(size: Sequence[float]) -> tuple[float, float]:
    if not all(2 <= length <= 100 for length in size):
        raise ValueError(
            f"--size must be two lengths from 2 to 100 cm, got {' '.join(f'{length:g}' for length in size)}"
        )
    return size[0] / CENTIMETRES, size[1] / CENTIMETRES


def _axes(arguments: argparse.Namespace) -> Axes | None:
    """Axes of the size that is asked for; None to leave it to the chart."""
    from ecnas import drawing

    return drawing.new_axes(None, *_inches(arguments.size)) if arguments.size else None


def _finished(arguments: argparse.Namespace, ax: Axes) -> Figure:
    from ecnas import drawing

    if arguments.title is not None:
        drawing.set_title(ax, arguments.title)
    return drawing.figure_of(ax)
