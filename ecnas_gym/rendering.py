"""Pictures of a cell under construction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecnas import OPERATIONS, Evaluation
from ecnas.encoding import INPUT, NUM_OPERATIONS, OP_WEIGHTS, OUTPUT, edge_bit
from ecnas_gym.builder import CellBuilder, Decision

_PIXELS = 480
_DPI = 96


def _label(builder: CellBuilder, vertex: int) -> str:
    """What a vertex is, as far as it is decided."""
    if vertex == 0:
        return INPUT
    if vertex == builder.space.num_vertices - 1:
        return OUTPUT
    decided = any(d.vertex == vertex and not d.is_edge for d in builder.decisions[: builder.cursor])
    op = builder.op_code // OP_WEIGHTS[vertex - 1] % NUM_OPERATIONS
    return OPERATIONS[op].removesuffix("-bn-relu") if decided else "?"


def _mark(builder: CellBuilder, source: int, vertex: int) -> str:
    decided = any((d.vertex, d.source) == (vertex, source) for d in builder.decisions[: builder.cursor])
    if not decided:
        return "?"
    return "1" if builder.edge_bits >> edge_bit(source, vertex) & 1 else "·"


def _next(decision: Decision) -> str:
    if decision.is_edge:
        return f"edge from vertex {decision.source} to vertex {decision.vertex}?"
    return f"operation of vertex {decision.vertex}?"


def _edits(number: int) -> str:
    return f"{number} edit{'' if number == 1 else 's'} left"


def _summary(evaluation: Evaluation) -> str:
    return f"validation accuracy {evaluation.val_accuracy:.4f}, {evaluation.energy:.4f} kWh ({evaluation.provenance})"


def text(builder: CellBuilder, evaluation: Evaluation | None, edits_left: int | None = None) -> str:
    """One line per vertex with its operation and the edges from earlier vertices; then the state of the episode.

    Args:
        builder: The cell.
        evaluation: Its evaluation at the end of the episode.
        edits_left: Number of edits left, where cells are edited.
    """
    width = max(len(_label(builder, v)) for v in range(builder.space.num_vertices))
    lines = [
        f"{v} {_label(builder, v):<{width}} " + " ".join(_mark(builder, u, v) for u in range(v))
        for v in range(builder.space.num_vertices)
    ]
    if not builder.finished:
        lines.append(f"next: {_next(builder.decisions[builder.cursor])} ({builder.num_edges} edges so far)")
    elif evaluation is not None:
        lines.append(_summary(evaluation))
    elif edits_left is not None:
        lines.append(_edits(edits_left))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def pixels(builder: CellBuilder, evaluation: Evaluation | None, edits_left: int | None = None) -> NDArray[np.uint8]:
    """The same as a picture, uint8 of shape (480, 480, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ecnas.drawing import draw_graph

    figure = Figure(figsize=(_PIXELS / _DPI, _PIXELS / _DPI), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    num_vertices = builder.space.num_vertices
    edges = [(x, y) for y in range(num_vertices) for x in range(y) if builder.edge_bits >> edge_bit(x, y) & 1]
    draw_graph([_label(builder, v) for v in range(num_vertices)], edges, axes)
    if not builder.finished:
        axes.set_title(_next(builder.decisions[builder.cursor]), fontsize=11)
    elif evaluation is not None:
        axes.set_title(_summary(evaluation), fontsize=9)
    elif edits_left is not None:
        axes.set_title(_edits(edits_left), fontsize=11)
    canvas.draw()  # type: ignore[no-untyped-call]
    rgba: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    pixels: NDArray[np.uint8] = rgba[..., :3].copy()
    return pixels
