"""The fit report: figures of merit on cells that the models did not learn from.

Tables are written between marks in ``docs/surrogate.md`` and in the table's card; figures go to ``docs/images``.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.loading import load
from ecnas.noise import LUCKS, Residuals
from ecnas.space import Space
from ecnas.surrogate import energy as user_energy
from ecnas.surrogate.data import EPOCHS, FAILED, TARGETS, target
from ecnas.surrogate.stages import TRAINED_FOLDS
from ecnas.surrogate.tables import Predictions, unseen_predictions

BEGIN: Final = "<!-- begin: {} (written by make surrogate) -->"
END: Final = "<!-- end: {} -->"

ACCURACIES: Final = ("test_108", "val_108", "val_36", "val_12", "val_4")
GOOD: Final = 0.93
TOP: Final = (10, 100, 1000)
RANGES: Final = (0.80, 0.85, 0.88, 0.90, 0.91, 0.92, 0.93, 0.94)
GPUS: Final = {
    "Quadro RTX 6000": "quadrortx6000",
    "RTX 3060": "rtx3060",
    "RTX 3090": "rtx3090",
    "Titan Xp": "titanxp",
}
LEARNED_FROM: Final = (5, 10, 20, 30, 45, 60, 75)
DRAWS: Final = 5

Figures = NDArray[np.float64]


def kendall(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """Kendall's τ-b of two arrays."""
    from scipy.stats import kendalltau

    return float(kendalltau(left, right).statistic)


def merit(predicted: Figures, measured: Figures) -> tuple[int, float, float, float]:
    """Number of cells, Kendall's τ, mean and median absolute error; over cells with both values and no failure."""
    use = np.isfinite(predicted) & np.isfinite(measured)
    error = np.abs(predicted - measured)[use]
    return int(use.sum()), kendall(predicted[use], measured[use]), float(error.mean()), float(np.median(error))


def fit_table(unseen: Figures, figures: Figures) -> str:
    """τ and errors of each target by number of vertices, as Markdown."""
    lines = [
        "| target | cells | unseen cells | Kendall τ | mean abs. error | median abs. error |",
        "|---|---|---:|---:|---:|---:|",
    ]
    num_vertices = Space("7V").cells.num_vertices
    for name in (*ACCURACIES, "log_time_108"):
        measured = figures[:, target(name)].copy()
        if name in ("test_108", "val_108"):
            measured[measured < FAILED] = np.nan
        for label, chosen in (
            ("all", num_vertices > 0),
            *((f"{size} vertices", num_vertices == size) for size in (5, 6, 7)),
        ):
            known = chosen & np.isfinite(measured) & np.isfinite(unseen[:, target(name)])
            if known.sum() < 30:
                continue
            count, tau, mean, median = merit(unseen[known, target(name)], measured[known])
            lines.append(f"| {name} | {label} | {count:,} | {tau:.4f} | {mean:.5f} | {median:.5f} |")
    return "\n".join(lines)


def good_cells(unseen: Figures, figures: Figures) -> str:
    """Order of the trained cells above 93% test accuracy, as Markdown."""
    predicted, measured = unseen[:, target("test_108")], figures[:, target("test_108")]
    rows = np.flatnonzero((measured > GOOD) & np.isfinite(predicted))
    predicted, measured = predicted[rows], measured[rows]
    by_prediction, by_measurement = np.argsort(-predicted, kind="stable"), np.argsort(-measured, kind="stable")
    lines = [
        f"{len(rows):,} unseen cells had a test accuracy above {GOOD:.0%} in their one training; τ among them is "
        f"{kendall(predicted, measured):.3f}. The best had {measured.max():.4f}.",
        "",
        "| predicted best | their mean | mean of measured best | regret of mean | best among them | its regret |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for k in TOP:
        chosen, best = measured[by_prediction[:k]], measured[by_measurement[:k]]
        lines.append(
            f"| {k:,} | {chosen.mean():.4f} | {best.mean():.4f} | {best.mean() - chosen.mean():.4f} "
            f"| {chosen.max():.4f} | {measured.max() - chosen.max():.4f} |"
        )
    return "\n".join(lines)


def energy_fit(unseen_energy: Figures, figures: Figures) -> str:
    """Energy of measured cells by Gaussian processes that never saw them, as Markdown."""
    rows = np.flatnonzero(np.isfinite(figures[:, target("log_energy_4")]))
    measured = figures[rows, target("log_energy_4")]
    sizes = Space("7V").cells.num_vertices[rows]
    lines = [
        "| cells | number | Kendall τ | median relative error | mean relative error |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, chosen in (("all", sizes > 0), *((f"{size} vertices", sizes == size) for size in (5, 6, 7))):
        relative = np.abs(np.expm1(unseen_energy - measured))[chosen]
        tau = kendall(unseen_energy[chosen], measured[chosen])
        lines.append(f"| {name} | {len(relative):,} | {tau:.4f} | {np.median(relative):.2%} | {relative.mean():.2%} |")
    return "\n".join(lines)


def new_machines(folder: Path) -> tuple[str, dict[str, list[tuple[int, float, float]]]]:
    """Learns from n of the cells of each published hardware file and predicts the rest.

    Returns:
        Markdown, and per GPU (n, median relative error, τ), means over :data:`DRAWS` random choices.
    """
    measured = {
        gpu: user_energy.measurements(load(folder / "official" / "hardware" / f"energy_4V9E_{stem}.tfrecord"))
        for gpu, stem in GPUS.items()
    }
    curves: dict[str, list[tuple[int, float, float]]] = {}
    for gpu, (rows, energies, epochs) in measured.items():
        curves[gpu] = []
        for number in LEARNED_FROM:
            scores = []
            for draw in range(DRAWS):
                order = np.random.default_rng(draw).permutation(len(rows))
                learn, rest = order[:number], order[number:]
                model = user_energy.fit(user_energy.Measurements(rows[learn], energies[learn], epochs))
                predicted = model.predict(rows[rest])
                error = np.abs(predicted / energies[rest] - 1)
                scores.append((float(np.median(error)), kendall(predicted, energies[rest])))
            error_mean, tau_mean = np.mean(scores, axis=0)
            curves[gpu].append((number, float(error_mean), float(tau_mean)))
    lines = ["| learned from | " + " | ".join(GPUS) + " |", "|---:|" + "---:|" * len(GPUS)]
    for position, number in enumerate(LEARNED_FROM):
        cells = (f"{curves[gpu][position][1]:.1%}, {curves[gpu][position][2]:.3f}" for gpu in GPUS)
        lines.append(f"| {number} | " + " | ".join(cells) + " |")
    lines += ["", "| τ between GPUs | " + " | ".join(GPUS) + " |", "|---|" + "---:|" * len(GPUS)]
    taus = {(gpu, gpu): 1.0 for gpu in GPUS}
    for one, other in combinations(GPUS, 2):
        _, i, j = np.intersect1d(measured[one].rows, measured[other].rows, return_indices=True)
        tau = kendall(measured[one].energies[i], measured[other].energies[j])
        taus[one, other] = taus[other, one] = tau
    lines += [f"| {one} | " + " | ".join(f"{taus[one, other]:.3f}" for other in GPUS) + " |" for one in GPUS]
    return "\n".join(lines), curves


def mean_of_three(predictions: Predictions, folder: Path) -> str:
    """Predictions of unseen 4V cells against NAS-Bench-101's mean of three trainings, as Markdown."""
    official = load(folder / "official" / "energy_4V9E_linscale.tfrecord")
    lines = [
        "| metric | epochs | unseen cells | Kendall τ | mean abs. error | median of predicted − published |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for column, predicted in (
        ("val_accuracy", predictions.val_accuracy),
        ("test_accuracy", predictions.test_accuracy),
    ):
        for position, epochs in enumerate(EPOCHS):
            published = official.values(column, epochs)
            ours = predicted[: len(published), position]
            use = np.isfinite(ours)
            difference = (ours - published)[use]
            lines.append(
                f"| {column} | {epochs} | {use.sum()} | {kendall(ours[use], published[use]):.3f} "
                f"| {np.abs(difference).mean():.4f} | {np.median(difference):+.4f} |"
            )
    return "\n".join(lines)


def noise_fit(model: Mapping[str, Any]) -> str:
    """Scatter of trainings, by metric and level, as Markdown."""
    lines = [
        "| metric | expected | interquartile range / 1.349 | 1% quantile | 99% quantile | shared by trainings "
        "| val–test correlation |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    parts = {f"validation, {epochs} epochs": part for epochs, part in model["val_accuracy"].items()}
    for name, part in {**parts, "test, 108 epochs": model["test_accuracy"]}.items():
        residuals = Residuals(**{key: np.array(values) for key, values in part.items()})
        for position in range(1, len(residuals.levels), 2):
            row = residuals.quantiles[position]
            low, left, right, high = np.interp([-2.326, -0.6745, 0.6745, 2.326], LUCKS, row)
            lines.append(
                f"| {name} | {residuals.levels[position]:.3f} | {(right - left) / 1.349:.4f} | {low:+.4f} "
                f"| {high:+.4f} | {residuals.common[position]:.0%} | {residuals.together[position]:.2f} |"
            )
    lines += ["", "| predicted validation accuracy at 108 epochs | failed trainings |", "|---:|---:|"]
    for level, probability in zip(
        model["failures"]["108"]["levels"], model["failures"]["108"]["probability"], strict=True
    ):
        lines.append(f"| {level:.3f} | {probability:.2%} |")
    lines += [
        "",
        f"Of the failed trainings, {model['failures']['108']['always']:.0%} belong to cells that always fail. Training "
        f"times scatter by {model['time']:.1%} and energies by {model['energy']:.1%}; their\ncorrelation is "
        f"{model['cost_together']:.2f}.",
    ]
    return "\n".join(lines)


def write(
    docs: Path,
    table_folder: Path,
    folder: Path,
    networks: NDArray[np.float32],
    figures: Figures,
    unseen_finished: Predictions,
    noise_model: Mapping[str, Any],
    unseen_energy: Figures,
    curve: Mapping[int, NDArray[np.float32]],
) -> None:
    """Writes the report.

    Args:
        docs: Folder of ``surrogate.md`` and ``images``.
        table_folder: The embedded table, whose card is beside it.
        folder: The folder of training data.
        networks: Predictions of the trained networks, shape (folds, cells, targets).
        figures: Measurements, shape (cells, targets).
        unseen_finished: Accuracies as in the table, by networks that did not see the cell.
        noise_model: The result of :func:`ecnas.surrogate.noise.fit`.
        unseen_energy: Log kWh of the measured cells by models that never saw them, shape (n,).
        curve: Predictions of networks that learned from fewer cells, by their number.
    """
    unseen = unseen_predictions(networks, TRAINED_FOLDS)
    machines, machine_curves = new_machines(folder)
    energy = energy_fit(unseen_energy, figures)
    fit = fit_table(unseen, figures)
    sections = {
        "fit": fit,
        "good cells": good_cells(unseen, figures),
        "energy": energy,
        "machines": machines,
        "noise": noise_fit(noise_model),
        "mean of three": mean_of_three(unseen_finished, folder),
    }
    replace_sections(docs / "surrogate.md", sections)
    replace_sections(table_folder.parent / "CARD.md", {"fit": fit, "energy": energy, "digests": digests(table_folder)})
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    _scatter(images / "surrogate-scatter.png", unseen, figures)
    _residuals(images / "surrogate-residuals.png", unseen, figures)
    _learning(images / "surrogate-learning.png", curve, networks[TRAINED_FOLDS.index(0)], figures)
    _machines(images / "surrogate-machines.png", machine_curves)


def digests(table_folder: Path) -> str:
    """SHA-256 of the table's files, as Markdown."""
    lines = ["| file | bytes | SHA-256 |", "|---|---:|---|"]
    for path in sorted(table_folder.iterdir()):
        content = path.read_bytes()
        lines.append(f"| {path.name} | {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |")
    return "\n".join(lines)


def replace_sections(path: Path, sections: Mapping[str, str]) -> None:
    """Replaces the text between the marks of each section.

    Raises:
        ValueError: A mark is missing.
    """
    text = path.read_text(encoding="utf-8")
    for name, content in sections.items():
        begin, end = BEGIN.format(name), END.format(name)
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{path}: must have the marks {begin} and {end} once each")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"
    path.write_text(text, encoding="utf-8")


def _figure(path: Path, shape: tuple[int, int], draw: Callable[[Any], None]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    rows, columns = shape
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 3.6 * rows), squeeze=False)
    draw(axes.ravel())
    figure.tight_layout()
    with io.BytesIO() as drawn:
        figure.savefig(drawn, dpi=72)
        plt.close(figure)
        # 64 colours are plenty and make the file a third as large.
        Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)


def _scatter(path: Path, unseen: Figures, figures: Figures) -> None:
    names = (*ACCURACIES, "log_time_108")

    def draw(axes: Any) -> None:
        for axis, name in zip(axes, names, strict=True):
            x, y = unseen[:, target(name)], figures[:, target(name)]
            use = np.isfinite(x) & np.isfinite(y)
            low, high = np.quantile(np.concatenate([x[use], y[use]]), [0.01, 1.0])
            axis.hexbin(y[use], x[use], gridsize=40, bins="log", extent=(low, high, low, high), mincnt=1)
            axis.plot([low, high], [low, high], color="black", linewidth=0.8)
            axis.set(xlabel=f"measured {name}", ylabel="predicted, unseen", xlim=(low, high), ylim=(low, high))

    _figure(path, (2, 3), draw)


def _residuals(path: Path, unseen: Figures, figures: Figures) -> None:
    def draw(axes: Any) -> None:
        for axis, name in zip(axes, ("test_108", "val_108"), strict=True):
            x, y = unseen[:, target(name)], figures[:, target(name)]
            residuals = [(y - x)[(x > low) & (x <= high) & (y > FAILED)] for low, high in pairwise(RANGES)]
            axis.boxplot(residuals, showfliers=False, whis=(5, 95))
            axis.set_xticks(range(1, len(RANGES)), [f"{low:.2f}–" for low in RANGES[:-1]], fontsize=8)
            axis.axhline(0, color="black", linewidth=0.6)
            axis.set(xlabel=f"predicted {name}", ylabel="measured − predicted")

    _figure(path, (1, 2), draw)


def _learning(
    path: Path, curve: Mapping[int, NDArray[np.float32]], full: NDArray[np.float32], figures: Figures
) -> None:
    from ecnas.surrogate.stages import fold_of_cells

    fold = fold_of_cells(len(full))
    models = {**curve, int((fold != 0).sum()): full}

    def draw(axes: Any) -> None:
        for name in (*ACCURACIES, "log_time_108", "log_energy_4"):
            measured = figures[:, target(name)]
            use = np.flatnonzero((fold == 0) & np.isfinite(measured))[:20000]
            taus = [kendall(model[use, TARGETS.index(name)], measured[use]) for model in models.values()]
            axes[0].plot(list(models), taus, marker="o", label=name)
        axes[0].set(xscale="log", xlabel="cells learned from", ylabel="Kendall τ, unseen cells")
        axes[0].legend(fontsize=7)

    _figure(path, (1, 1), draw)


def _machines(path: Path, curves: Mapping[str, list[tuple[int, float, float]]]) -> None:
    def draw(axes: Any) -> None:
        for gpu, points in curves.items():
            numbers, errors, taus = zip(*points, strict=True)
            axes[0].plot(numbers, errors, marker="o", label=gpu)
            axes[1].plot(numbers, taus, marker="o", label=gpu)
        axes[0].set(xlabel="cells learned from", ylabel="median relative error", yscale="log")
        axes[1].set(xlabel="cells learned from", ylabel="Kendall τ of the rest")
        axes[0].legend(fontsize=8)

    _figure(path, (1, 2), draw)
