"""Charts of benchmarks and of runs.

Each function draws into the axes it is given, or into a new figure, and returns them. Made to be read in print and by
colour-blind readers: Okabe and Ito's colours, told apart by line style or marker as well; energies on a log axis;
accuracies and energies of one fidelity in one chart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas import pareto
from ecnas.benchmark import Benchmark
from ecnas.drawing import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from ecnas.objectives import OBJECTIVES
from ecnas.runs import analysis
from ecnas.runs.analysis import Curve
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, "#888888")
_DASHES: Final[tuple[Any, ...]] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
_RADAR: Final = ("val_accuracy", "energy", "training_time", "trainable_parameters")

STYLE: Final[dict[Any, Any]] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "ecnas",
}
"""What all charts have in common, as matplotlib's rcParams."""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The charts' style within a ``with`` block."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        yield


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes a figure; to ``.png`` and ``.svg`` both if the path has neither suffix. Returns the paths."""
    paths = [path] if path.suffix in (".png", ".svg", ".pdf") else [Path(f"{path}.png"), Path(f"{path}.svg")]
    path.parent.mkdir(parents=True, exist_ok=True)
    for each in paths:
        # Without a date the same figure gives the same bytes.
        figure.savefig(each, metadata={"Date": None} if each.suffix == ".svg" else {})
    return paths


def scatter(benchmark: Benchmark, epochs: int | None = None, ax: Axes | None = None) -> Axes:
    """Validation accuracy against energy of all cells, with the exact front and its special solutions.

    Large spaces are shown as a density. Failed trainings, far below the front, are cut off and counted. Where only some
    cells were measured and the others predicted, the measured ones are marked.
    """
    from matplotlib.colors import LogNorm

    ax = _axes(ax, (5.2, 4.3))
    epochs = benchmark.check_epochs(epochs)
    energy, accuracy = benchmark.values("energy", epochs), benchmark.values("val_accuracy", epochs)
    front = benchmark.pareto_front(("val_accuracy", "energy"), epochs).figures
    known = ~np.isnan(energy + accuracy)
    floor = min(float(np.quantile(accuracy[known], 0.005)), float(front[:, 0].min()))
    floor -= 0.04 * (float(front[:, 0].max()) - floor)
    shown = known & (accuracy >= floor)
    if shown.sum() > 5000:
        cells = ax.hexbin(
            energy[shown], accuracy[shown], gridsize=70, xscale="log", norm=LogNorm(), cmap="Greys", linewidths=0.1
        )
        ax.figure.colorbar(cells, ax=ax, label="cells", shrink=0.85)
    else:
        label = "predicted" if benchmark.table.is_mixed else "cell"
        ax.plot(energy[shown], accuracy[shown], ".", color="#999999", markersize=4, label=label, zorder=1)
    _staircase(ax, front, color=BLUE, linewidth=1.6, label="exact front", zorder=3)
    _special_points(ax, front)
    if benchmark.table.is_mixed:
        both = [benchmark.provenance(name, epochs) == "measured" for name in ("val_accuracy", "energy")]
        measured = shown & both[0] & both[1]
        ax.plot(energy[measured], accuracy[measured], ".", color=BLACK, markersize=4, label="measured", zorder=2)
    hidden = int(known.sum() - shown.sum())
    _energy_axes(ax, f"{benchmark.space.name} space, {epochs} epochs: {benchmark.name}")
    top = float(np.nanmax(accuracy))
    ax.set_ylim(floor, top + 0.04 * (top - floor))
    if hidden:
        note = f"{hidden} of {int(known.sum())} cells lie below"
        ax.text(0.99, 0.015, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=7.5, bbox=_NOTE)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=8)
    return ax


def radar(
    benchmark: Benchmark,
    rows: Mapping[str, int] | None = None,
    epochs: int | None = None,
    figures: Sequence[str] = _RADAR,
    ax: Axes | None = None,
) -> Axes:
    """Several figures of single cells, each from the worst (centre) to the best (rim) value of the exact front.

    Args:
        benchmark: The figures.
        rows: Cells by label; by default the front's least-energy, best-accuracy and knee solutions.
        epochs: Fidelity; the highest by default.
        figures: Names out of ``ecnas.objectives.OBJECTIVES``, one a spoke; those on a log scale are so here too.
        ax: Polar axes.
    """
    from matplotlib import pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained", subplot_kw={"projection": "polar"})[1]
    epochs = benchmark.check_epochs(epochs)
    front = benchmark.pareto_front(("val_accuracy", "energy"), epochs)
    if rows is None:
        rows = {
            _SOLUTIONS[key][0]: int(front.rows[position])
            for key, position in pareto.solutions(front.scores)._asdict().items()
        }
    columns = np.stack([benchmark.values(name, epochs) for name in figures], axis=1)
    on_front = columns[front.rows]
    angles = np.linspace(0, 2 * np.pi, len(figures), endpoint=False)
    closed = np.append(angles, angles[0])
    labels = []
    best, worst = [], []
    for name, column in zip(figures, on_front.T, strict=True):
        kind = OBJECTIVES[name]
        high, low = (column.max(), column.min()) if kind.maximise else (column.min(), column.max())
        best.append(high)
        worst.append(low)
        unit = f" {kind.unit}" if kind.unit else ""
        labels.append(f"{kind.label}\n{_short(low)} … {_short(high)}{unit}")
    logs = np.array([OBJECTIVES[name].log for name in figures])

    def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(logs, np.log(values), values)

    low, high = scaled(np.array(worst)), scaled(np.array(best))
    for number, (label, row) in enumerate(rows.items()):
        radius = (scaled(columns[row]) - low) / np.where(high != low, high - low, 1.0)
        radius = np.append(radius, radius[0])
        colour = COLOURS[number % len(COLOURS)]
        ax.plot(closed, radius, color=colour, linestyle=_DASHES[number % len(_DASHES)], linewidth=1.8, label=label)
        ax.fill(closed, radius, color=colour, alpha=0.12)
    ax.set_theta_offset(np.pi / 2)  # type: ignore[attr-defined]  # polar axes
    ax.set_theta_direction(-1)  # type: ignore[attr-defined]
    ax.set_xticks(angles, labels)
    ax.tick_params(axis="x", pad=8)
    for angle, text in zip(angles, ax.get_xticklabels(), strict=True):
        side = np.sin(angle)
        text.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    ax.set_ylim(-0.05, 1.05)
    ax.set_yticks([0, 0.5, 1.0], ["", "", ""])
    ax.spines["polar"].set_color("#BBBBBB")
    ax.set_title(f"{benchmark.name}, {epochs} epochs: worst (centre) to best (rim) of the front", pad=16)
    ax.legend(loc="upper left", bbox_to_anchor=(0.95, 0.16))
    return ax


def fronts(
    records: Sequence[RunRecord], benchmark: Benchmark, epochs: int | None = None, ax: Axes | None = None
) -> Axes:
    """The front that each of several runs found, and the exact one."""
    ax = _axes(ax, (5.2, 3.8))
    for number, record in enumerate(records):
        front = analysis.front(record, benchmark, ("val_accuracy", "energy"), epochs)
        label = f"{len(records)} runs" if number == 0 else None
        _staircase(ax, front, color=VERMILLION, alpha=0.6, linewidth=0.9, label=label, zorder=2)
    fidelity = _fidelity(records, epochs)
    exact = benchmark.pareto_front(("val_accuracy", "energy"), fidelity).figures
    _staircase(ax, exact, color=BLACK, linewidth=1.6, linestyle="--", label="exact front", zorder=3)
    _energy_axes(ax, f"{records[0].name} on {benchmark.name}, {fidelity} epochs")
    ax.legend(loc="lower right")
    return ax


def attainment(
    runs: Mapping[str, Sequence[RunRecord]], benchmark: Benchmark, epochs: int | None = None, ax: Axes | None = None
) -> Axes:
    """What methods attain in half of their runs (line), and between the best and the worst of all runs (band)."""
    ax = _axes(ax, (5.2, 3.8))
    every = [record for records in runs.values() for record in records]
    fidelity = _fidelity(every, epochs)
    exact = benchmark.pareto_front(("val_accuracy", "energy"), fidelity).figures
    grid = np.geomspace(exact[:, 1].min() * 0.98, float(np.nanmax(benchmark.values("energy", fidelity))), 800)
    lowest = 1.0
    for number, (name, records) in enumerate(runs.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [analysis.front(record, benchmark, ("val_accuracy", "energy"), epochs) * [1, -1] for record in records]
        surfaces = pareto.attainment_surfaces(points, [1 / len(points), 0.5, 1.0])
        best, median, worst = (_height(surface, grid) for surface in surfaces)
        ax.fill_between(grid, worst, best, color=colour, alpha=0.2, linewidth=0, step="post")
        dashes = _DASHES[number % len(_DASHES)]
        ax.plot(grid, median, color=colour, linestyle=dashes, linewidth=1.5, drawstyle="steps-post", label=name)
        lowest = min(lowest, float(np.nanmin(median)))
    _staircase(ax, exact, color=BLACK, linewidth=1.0, linestyle="--", label="exact front", zorder=3)
    _energy_axes(ax, f"median, best and worst of the runs on {benchmark.name}, {fidelity} epochs")
    top = float(exact[:, 0].max())
    ax.set_ylim(lowest - 0.05 * (top - lowest), top + 0.04 * (top - lowest))
    ax.legend(loc="lower right")
    return ax


def hardware(benchmarks: Sequence[Benchmark], epochs: int | None = None, figure: Figure | None = None) -> Figure:
    """Energies of the same cells on several machines: pairs below the diagonal, Kendall's rank correlation above."""
    from matplotlib import pyplot as plt

    n = len(benchmarks)
    if figure is None:
        figure = plt.figure(figsize=(1.9 * n + 0.4, 1.75 * n + 0.4), layout="constrained")
    grid = figure.subplots(n, n, squeeze=False)
    energies = [benchmark.values("energy", epochs) for benchmark in benchmarks]
    names = [benchmark.name.rsplit("_", 1)[-1] for benchmark in benchmarks]
    fidelity = benchmarks[0].check_epochs(epochs)
    for i in range(n):
        for j in range(n):
            ax = grid[i][j]
            both = ~np.isnan(energies[i] + energies[j])
            if i == j:
                ax.hist(np.log10(energies[i][both]), bins=15, color="#BBBBBB")
                ax.set_title(f"{names[i]}\nmedian {_short(float(np.median(energies[i][both])))} kWh", fontsize=8.5)
                ax.set_yticks([])
                ax.set_xticks([])
            elif i > j:
                ax.loglog(energies[j][both], energies[i][both], ".", color=BLUE, markersize=3.5, alpha=0.7)
                _plain_ticks(ax.xaxis, (1.0, 3.0))
                _plain_ticks(ax.yaxis, (1.0, 3.0))
                ax.tick_params(labelsize=7)
            else:
                tau = kendall(energies[i][both], energies[j][both])
                ax.text(0.5, 0.5, f"τ = {tau:.2f}\n{both.sum()} cells", ha="center", va="center", fontsize=10)
                ax.axis("off")
            if i == n - 1:
                ax.set_xlabel(f"{names[j]} (kWh)" if i != j else f"{names[j]} (log kWh)", fontsize=7.5)
            if j == 0 and i:
                ax.set_ylabel(f"{names[i]} (kWh)", fontsize=7.5)
    figure.suptitle(f"Training energy of the same cells, {fidelity} epochs, and its rank correlation", fontsize=10)
    return figure


def kendall(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Kendall's τ-b of two arrays of shape (n,): 1 for the same order, −1 for the opposite; ties do not count."""
    a, b = (np.sign(x[:, None] - x[None, :]) for x in (first, second))
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def anytime(
    curves: Mapping[str, Curve],
    label: str,
    axis: str = "evaluations",
    log: bool = False,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Curves of several methods: interquartile mean (line) and its confidence interval (band) against cost.

    Args:
        curves: By name of the method (:func:`ecnas.runs.analysis.curve`), on the same axis of cost.
        label: What the curves show, with its unit.
        axis: What cost is.
        log: Draw the values on a log axis.
        title: Title of the chart.
        ax: Where to draw.
    """
    ax = _axes(ax, (5.2, 3.6))
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        dashes = _DASHES[number // 2 % len(_DASHES)]
        ax.plot(curve.grid, curve.centre, color=colour, linestyle=dashes, linewidth=1.6, label=name)
        ax.fill_between(curve.grid, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    ax.set_xscale("log")
    costs = np.concatenate([curve.grid for curve in curves.values()])
    _plain_ticks(ax.xaxis, (1.0, 2.0, 5.0) if costs.max() < 100 * costs.min() else (1.0,))
    if log:
        ax.set_yscale("log")
        _plain_ticks(ax.yaxis)
    ax.set(xlabel=CURRENCIES[axis].label, ylabel=label, title=title)
    ax.legend(fontsize=8)
    return ax


# ---------------------------------------------------------------------------------------------------------------------

_SOLUTIONS: Final = {
    "r0": ("least energy", "v", GREEN),
    "r1": ("best accuracy", "^", VERMILLION),
    "knee": ("knee", "D", ORANGE),
}


_NOTE: Final = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def _staircase(ax: Axes, front: NDArray[np.float64], **line: Any) -> None:
    """A front of (accuracy, energy), ascending in accuracy: what it attains is right of and below the line."""
    ax.step(front[:, 1], front[:, 0], where="post", **line)


def _height(surface: NDArray[np.float64], energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best accuracy of a surface of (accuracy, −energy) within each energy; NaN where it needs more energy."""
    order = np.argsort(-surface[:, 1], kind="stable")
    spent, best = -surface[order, 1], np.maximum.accumulate(surface[order, 0])
    position = np.searchsorted(spent, energies, side="right") - 1
    return np.where(position >= 0, best[np.maximum(position, 0)], np.nan)


def _special_points(ax: Axes, front: NDArray[np.float64]) -> None:
    scaled = np.column_stack([front[:, 0], -np.log(front[:, 1])])
    for key, position in pareto.solutions(scaled)._asdict().items():
        label, marker, colour = _SOLUTIONS[key]
        accuracy, energy = front[position]
        text = f"{label}: {accuracy:.3f}, {_short(energy)} kWh"
        ax.plot(energy, accuracy, marker, color=colour, markersize=8, mec=BLACK, mew=0.7, ls="", label=text, zorder=4)


def _energy_axes(ax: Axes, title: str) -> None:
    ax.set_xscale("log")
    _plain_ticks(ax.xaxis)
    ax.set(xlabel="energy of one training (kWh)", ylabel="validation accuracy", title=title)


def _plain_ticks(axis: Any, steps: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Labels a log axis 0.1, 0.2, 0.5, 1 … instead of with powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(NullFormatter())


def _fidelity(records: Sequence[RunRecord], epochs: int | None) -> int:
    return epochs if epochs is not None else int(records[0].column("epochs").max())


def _short(value: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"
