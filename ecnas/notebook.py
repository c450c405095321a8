"""HTML representations of objects in notebooks, readable on light and dark backgrounds."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ecnas.drawing import edge_paths
from ecnas.encoding import INPUT, OUTPUT

if TYPE_CHECKING:
    from ecnas.benchmark import Benchmark, Evaluation, Front
    from ecnas.cell import Cell
    from ecnas.runs.record import RunRecord

UNITS: Final = {"energy": "kWh", "co2": "g", "training_time": "s"}
MOST_ROWS: Final = 12
"""Longer tables are shortened to this number of rows."""

_FILL: Final = {"conv3x3-bn-relu": "#f2b48c", "conv1x1-bn-relu": "#a9d3ec", "maxpool3x3": "#a8dbc5"}
_SCALE: Final = 60  # pixels from vertex to vertex


def table(rows: Iterable[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """A table of texts and numbers, escaped; the first column is the left one."""

    def line(values: Sequence[Any], tag: str) -> str:
        aligned = ("left", *["right"] * (len(values) - 1))
        cells = (
            f'<{tag} style="text-align:{side}">{html.escape(str(value))}</{tag}>'
            for side, value in zip(aligned, values, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    return f"<table>{top}<tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"


def metric(name: str, value: float) -> str:
    """A metric with its unit: accuracies in four decimals, costs in four digits."""
    if math.isnan(value):
        return "–"
    if name.endswith("accuracy"):
        return f"{value:.4f}"
    if name == "trainable_parameters":
        return f"{value:,.0f}"
    return f"{value:.4g} {UNITS[name]}"


def drawing(cell: Cell) -> str:
    """The cell as SVG, as :meth:`ecnas.Cell.draw` draws it."""
    names = [INPUT, *cell.ops, OUTPUT]
    edges = [(x, y) for x, y in np.argwhere(cell.adjacency).tolist()]
    paths = [path * (_SCALE * 1.3, -_SCALE) for path in edge_paths(edges)]
    half = max([_SCALE * 0.65, *(float(np.abs(path[:, 0]).max()) for path in paths)]) + 6
    height = (len(names) - 1) * _SCALE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * half:.0f}" height="{height + 44}" '
        f'viewBox="{-half:.1f} -22 {2 * half:.1f} {height + 44}" role="img" style="color:#808890">'
    ]
    for path in paths:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        (x0, y0), (x, y) = path[-2:].tolist()
        length = math.hypot(x - x0, y - y0)
        dx, dy = 6 * (x - x0) / length, 6 * (y - y0) / length
        head = (
            f"{x:.1f},{y:.1f} {x - dx + dy / 2:.1f},{y - dy - dx / 2:.1f} {x - dx - dy / 2:.1f},{y - dy + dx / 2:.1f}"
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.3"/>')
        parts.append(f'<polygon points="{head}" fill="currentColor"/>')
    for vertex, name in enumerate(names):
        y = vertex * _SCALE
        parts.append(
            f'<rect x="{-_SCALE * 0.65:.1f}" y="{y - 0.23 * _SCALE:.1f}" width="{_SCALE * 1.3:.1f}" '
            f'height="{0.46 * _SCALE:.1f}" rx="6" fill="{_FILL.get(name, "#dddddd")}" stroke="#444"/>'
            f'<text x="0" y="{y + 4}" text-anchor="middle" font-size="12" font-family="sans-serif" fill="#000">'
            f"{name.removesuffix('-bn-relu')}</text>"
        )
    return "".join(parts) + "</svg>"


def of_cell(cell: Cell) -> str:
    """A cell: its drawing and its exact properties."""
    about = table(
        [
            ("row", f"{cell.row:,}" if cell.row >= 0 else "in no space"),
            ("vertices", cell.num_vertices),
            ("edges", cell.num_edges),
            ("parameters", metric("trainable_parameters", cell.trainable_parameters)),
            ("hash", cell.hash),
        ]
    )
    return f'<div style="display:flex;gap:1.5em;align-items:center;flex-wrap:wrap">{drawing(cell)}{about}</div>'


def of_evaluation(evaluation: Evaluation) -> str:
    """An evaluation: its metrics, epochs and provenance."""
    names = ("val_accuracy", "test_accuracy", "train_accuracy", "energy", "co2", "training_time")
    rows: list[tuple[str, Any]] = [(name, metric(name, getattr(evaluation, name))) for name in names]
    rows.append(("trainable_parameters", metric("trainable_parameters", evaluation.trainable_parameters)))
    rows += [("epochs", evaluation.epochs), ("provenance", evaluation.provenance)]
    if evaluation.repeat is not None:
        rows.append(("repeat", evaluation.repeat))
    return table(rows)


def of_benchmark(benchmark: Benchmark) -> str:
    """A benchmark: its space, its epochs and its metrics."""
    there = benchmark.table
    cells = len(there.space) - len(there.missing)
    return table(
        [
            ("benchmark", benchmark.name),
            ("cells", f"{cells:,} of {len(there.space):,} in space {there.space.name}"),
            ("epochs", ", ".join(f"{epochs} ({there.provenance[epochs]})" for epochs in benchmark.epochs)),
            ("trainings of a cell", there.repeats),
            ("metrics", ", ".join(there.columns)),
            ("digest", f"{benchmark.digest[:16]}…"),
        ]
    )


def of_front(front: Front) -> str:
    """A front: its cells and their objectives, some of them if they are many."""
    shown = np.unique(np.linspace(0, len(front) - 1, min(MOST_ROWS, len(front))).round().astype(int)).tolist()
    names = front.objectives
    if names:
        head = ["row", *names]
        rows = [(int(front.rows[i]), *map(metric, names, front.figures[i].tolist())) for i in shown]
    else:
        head = ["row", *(f"objective {k}" for k in range(front.figures.shape[1]))]
        rows = [(int(front.rows[i]), *(f"{value:.5g}" for value in front.figures[i])) for i in shown]
    some = f", {len(rows)} of them shown" if len(rows) < len(front) else ""
    return f"<p>{len(front)} cells on the exact front{some}</p>{table(rows, head)}"


def of_record(record: RunRecord) -> str:
    """A run: its method, its benchmark, and the recommended cell."""
    task = record.header["task"]
    rows = [
        ("method", record.name),
        ("benchmark", task["benchmark"]),
        ("objectives", ", ".join(record.objectives)),
        ("seed", record.seed),
        ("evaluations", len(record)),
    ]
    if len(record) and (chosen := int(record.recommended_rows()[-1])) >= 0:
        best = record.row(int(record.best_seen()[-1]))
        rows += [
            ("recommended row", chosen),
            ("best reward", f"{best['reward']:.4f}"),
            ("its validation accuracy", metric("val_accuracy", best["val_accuracy"])),
            ("its energy", metric("energy", best["energy"])),
        ]
        rows.append(("energy of all trainings", metric("energy", float(record.column("cumulative_energy")[-1]))))
    return table(rows)
