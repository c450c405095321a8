"""The look of all figures: colours, and how a graph of operations is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecnas.encoding import INPUT, OUTPUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    "conv3x3": "#F2B48C",
    "conv1x1": "#A9D3EC",
    "maxpool3x3": "#A8DBC5",
}


def draw_graph(names: Sequence[str], edges: Sequence[tuple[int, int]], ax: Axes) -> Axes:
    """Draws vertices by name, one a level from the input (top) down, and their edges so that no two coincide."""
    from matplotlib.patches import FancyArrowPatch

    last = len(names) - 1
    for source, target in edges:
        span = target - source
        # Neighbours are joined by a straight line; longer edges bow out, to the left and to the right in turn.
        bow = 0.0 if span == 1 else (1.1 / span + 0.15) * (1 if (source + target) % 2 else -1)
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
            name,
            ha="center",
            va="center",
            fontsize=9,
            zorder=2,
            bbox={
                "boxstyle": "round,pad=0.35",
                "facecolor": _FILL.get(name, "#FFFFFF"),
                "edgecolor": "#444444",
                "linewidth": 0.8,
            },
        )
    ax.set(xlim=(-1.3, 1.3), ylim=(-last - 0.45, 0.45))
    ax.axis("off")
    return ax
