"""Figures. Each function draws into the axes it is given, or into a new figure, and returns the axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ecnas.encoding import INPUT, OUTPUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ecnas.cell import Cell

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/): told apart by colour-blind readers and in grey print.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#000000",
)

_FILL = {
    INPUT: "#DDDDDD",
    OUTPUT: "#DDDDDD",
    "conv3x3-bn-relu": "#F2B48C",
    "conv1x1-bn-relu": "#A9D3EC",
    "maxpool3x3": "#A8DBC5",
}


def draw_cell(cell: Cell, ax: Axes | None = None) -> Axes:
    """Draws a cell from its input (top) to its output (bottom), one vertex a level, so that no two edges coincide."""
    from matplotlib import pyplot as plt
    from matplotlib.patches import FancyArrowPatch

    if ax is None:
        _, ax = plt.subplots(figsize=(3.2, 0.75 * cell.num_vertices + 0.4), layout="constrained")
    names = [INPUT, *cell.ops, OUTPUT]
    last = cell.num_vertices - 1
    sources, targets = np.nonzero(cell.adjacency)
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        span = target - source
        # Neighbours are joined by a straight line; longer edges bow out, to the left and to the right in turn.
        bow = 0.0 if span == 1 else (0.32 if (source + target) % 2 else -0.32)
        ax.add_patch(
            FancyArrowPatch(
                (0.0, -source),
                (0.0, -target),
                connectionstyle=f"arc3,rad={bow}",
                arrowstyle="-|>",
                mutation_scale=11,
                shrinkA=11,
                shrinkB=12,
                color="#444444",
                linewidth=1.1,
                zorder=1,
            )
        )
    for vertex, name in enumerate(names):
        ax.text(
            0.0,
            -vertex,
            name.removesuffix("-bn-relu"),
            ha="center",
            va="center",
            fontsize=9,
            zorder=2,
            bbox={"boxstyle": "round,pad=0.35", "facecolor": _FILL[name], "edgecolor": "#444444", "linewidth": 0.8},
        )
    reach = 0.32 * last / 2 + 0.3
    ax.set(xlim=(-max(reach, 0.7), max(reach, 0.7)), ylim=(-last - 0.45, 0.45))
    ax.axis("off")
    return ax
