"""Charts of benchmarks: all cells, single cells, several machines.

Each function draws into the given axes, or into a new figure, and returns the axes. Charts are readable in print and by
colour-blind readers: they use Okabe and Ito's colours, and line styles or markers differ as well. Energies have a log
axis. All metrics in a chart are from one fidelity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas import drawing, pareto
from ecnas.benchmark import DEFAULT_OBJECTIVES, Benchmark
from ecnas.drawing import BLACK, BLUE, GREEN, ORANGE, VERMILLION, short
from ecnas.objectives import OBJECTIVES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RADAR: Final = ("val_accuracy", "energy", "training_time", "trainable_parameters")
_SOLUTIONS: Final = {
    "r0": ("least energy", "v", GREEN, "-"),
    "r1": ("best accuracy", "^", VERMILLION, (0, (5, 1.5))),
    "knee": ("knee", "D", ORANGE, (0, (1, 1))),
}
_NOTE: Final = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}


def scatter(benchmark: Benchmark, epochs: int | None = None, ax: Axes | None = None) -> Axes:
    """Validation accuracy against energy of all cells, with the exact front and its special solutions.

    Large spaces are shown as a density. Failed trainings, far below the front, are cut off and counted. If some cells
    were measured and others predicted, the measured ones are marked.
    """
    from matplotlib.colors import LogNorm

    ax = drawing.new_axes(ax, 5.2, 4.3)
    epochs = benchmark.check_epochs(epochs)
    energy, accuracy = benchmark.values("energy", epochs), benchmark.values("val_accuracy", epochs)
    front = benchmark.pareto_front(DEFAULT_OBJECTIVES, epochs).figures
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
    if benchmark.table.is_mixed:
        both = [benchmark.provenance(name, epochs) == "measured" for name in ("val_accuracy", "energy")]
        measured = shown & both[0] & both[1]
        ax.plot(energy[measured], accuracy[measured], ".", color=BLACK, markersize=4, label="measured", zorder=2)
    drawing.staircase(ax, front, DEFAULT_OBJECTIVES, color=BLUE, linewidth=1.6, label="exact front", zorder=3)
    _special_points(ax, front)
    drawing.set_labels(ax, "energy of one training (kWh)", "validation accuracy")
    drawing.set_title(ax, f"{drawing.as_text(benchmark.name)}: {benchmark.space.name} space, {epochs} epochs")
    drawing.set_scale(ax, "x", energy[shown], log=True)
    top = float(np.nanmax(accuracy))
    ax.set_ylim(floor, top + 0.04 * (top - floor))
    hidden = int(known.sum() - shown.sum())
    if hidden:
        note = f"{hidden:,} of {int(known.sum()):,} cells lie below"
        ax.text(0.99, 0.015, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=7.5, bbox=_NOTE)
    drawing.legend_below(ax)
    return ax


def _special_points(ax: Axes, front: NDArray[np.float64]) -> None:
    scaled = np.column_stack([front[:, 0], -np.log(front[:, 1])])
    for key, position in pareto.solutions(scaled)._asdict().items():
        label, marker, colour, _ = _SOLUTIONS[key]
        accuracy, energy = front[position]
        text = f"{label}: {accuracy:.3f}, {short(energy)} kWh"
        ax.plot(energy, accuracy, marker, color=colour, markersize=8, mec=BLACK, mew=0.7, ls="", label=text, zorder=4)


def radar(
    benchmark: Benchmark,
    rows: Mapping[str, int] | None = None,
    epochs: int | None = None,
    metrics: Sequence[str] = _RADAR,
    ax: Axes | None = None,
) -> Axes:
    """Several metrics of single cells, each from the worst (centre) to the best (rim) value of the exact front.

    Args:
        benchmark: The source of the metrics.
        rows: Cells by label; by default the front's least-energy, best-accuracy and knee solutions.
        epochs: Fidelity; the highest by default.
        metrics: Names from ``ecnas.OBJECTIVES``, one per spoke, each on the scale of the objective.
        ax: Polar axes.
    """
    if ax is None:
        ax = drawing.new_figure(5.6, 4.9).add_subplot(projection="polar")
    epochs = benchmark.check_epochs(epochs)
    front = benchmark.pareto_front(DEFAULT_OBJECTIVES, epochs)
    if rows is None:
        rows = {
            _SOLUTIONS[key][0]: int(front.rows[position])
            for key, position in pareto.solutions(front.scores)._asdict().items()
        }
    columns = np.stack([benchmark.values(name, epochs) for name in metrics], axis=1)
    kinds = [OBJECTIVES[name] for name in metrics]
    on_front = columns[front.rows]
    best = np.array([(np.max if kind.maximise else np.min)(c) for kind, c in zip(kinds, on_front.T, strict=True)])
    worst = np.array([(np.min if kind.maximise else np.max)(c) for kind, c in zip(kinds, on_front.T, strict=True)])
    angles = np.linspace(0, 2 * np.pi, len(metrics), endpoint=False)
    labels = [
        f"{kind.label}\n{short(low)} … {short(high)}{f' {kind.unit}' if kind.unit else ''}"
        for kind, low, high in zip(kinds, worst, best, strict=True)
    ]
    logs = np.array([kind.log for kind in kinds])

    def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(logs, np.log(values), values)

    low, high = scaled(worst), scaled(best)
    styles = [(colour, dashes) for _, _, colour, dashes in _SOLUTIONS.values()] + [(BLUE, "-"), (BLACK, "-.")]
    for number, (label, row) in enumerate(rows.items()):
        radius = (scaled(columns[row]) - low) / np.where(high != low, high - low, 1.0)
        colour, dashes = styles[number % len(styles)]
        closed = np.append(angles, angles[0]), np.append(radius, radius[0])
        ax.plot(*closed, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        ax.fill(*closed, color=colour, alpha=0.1)
    polar: Any = ax
    polar.set_theta_offset(np.pi / 2)
    polar.set_theta_direction(-1)
    ax.set_xticks(angles, labels)
    ax.tick_params(axis="x", pad=6)
    for angle, text in zip(angles, ax.get_xticklabels(), strict=True):
        side = np.sin(angle)
        text.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    ax.set_ylim(-0.05, 1.05)
    ax.set_yticks([0, 0.5, 1.0], ["", "", ""])
    ax.spines["polar"].set_color("#BBBBBB")
    drawing.set_title(
        ax, f"{drawing.as_text(benchmark.name)}, {epochs} epochs\nworst (centre) to best (rim) of the exact front"
    )
    drawing.legend_below(ax)
    return ax


def hardware(benchmarks: Sequence[Benchmark], epochs: int | None = None, figure: Figure | None = None) -> Figure:
    """Energies of the same cells on several machines: pairs below the diagonal, Kendall's rank correlation above.

    The diagonal has each machine's distribution on a log scale.
    """
    from scipy import stats

    n = len(benchmarks)
    if figure is None:
        figure = drawing.new_figure(max(1.9 * n + 0.4, 3.4), max(1.75 * n + 0.5, 2.6))
    grid = figure.subplots(n, n, squeeze=False)
    energies = [benchmark.values("energy", epochs) for benchmark in benchmarks]
    names = [drawing.as_text(benchmark.name.rsplit("_", 1)[-1]) for benchmark in benchmarks]
    fidelity = benchmarks[0].check_epochs(epochs)
    for i in range(n):
        for j in range(n):
            ax = grid[i][j]
            both = ~np.isnan(energies[i] + energies[j])
            x, y = energies[j][both], energies[i][both]
            if i == j:
                ax.hist(y, bins=np.geomspace(y.min(), y.max(), 16).tolist(), color="#BBBBBB")
                ax.set_title(f"{names[i]}\nmedian {short(float(np.median(y)))} kWh", fontsize=8.5)
                drawing.set_scale(ax, "x", y, log=True, most=3)
                ax.set_yticks([])
            elif i > j:
                ax.plot(x, y, ".", color=BLUE, markersize=3.5, alpha=0.7)
                drawing.set_scale(ax, "x", x, log=True, most=3)
                drawing.set_scale(ax, "y", y, log=True, most=4)
            else:
                tau = float(stats.kendalltau(x, y).statistic)
                ax.text(0.5, 0.5, f"τ = {tau:.2f}\n{both.sum()} cells", ha="center", va="center", fontsize=10)
                ax.axis("off")
            ax.tick_params(labelsize=7)
            if i == n - 1:
                ax.set_xlabel(f"{names[j]} (kWh)", fontsize=7.5)
            if j == 0 and i:
                ax.set_ylabel(f"{names[i]} (kWh)", fontsize=7.5)
    figure.suptitle(f"Energy of training the same cells,\n{fidelity} epochs, and its rank correlation", fontsize=9.5)
    return figure
