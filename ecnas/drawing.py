"""The look of all charts: styles, colours, labels, log axes, and how a graph of operations is drawn.

Drawing needs matplotlib. Colours and labels do not, so pages share them.
"""

from __future__ import annotations

import contextlib
import html
import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecnas.encoding import INPUT, OUTPUT
from ecnas.objectives import OBJECTIVES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
GREY: Final = "#888888"

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
    "pdf.fonttype": 42,  # outlines that journals accept, not bitmaps
}
"""The style of all charts, as matplotlib's rcParams."""


NARROW: Final = 4.2
"""Charts narrower than this, in inches, are for a column of a paper and have smaller type."""

_SMALL: Final[dict[Any, Any]] = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "lines.markersize": 3.5,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
}


@contextlib.contextmanager
def style(width: float | None = None) -> Iterator[None]:
    """The style of charts of a width in inches, for a ``with`` block."""
    from matplotlib import rc_context

    with rc_context(STYLE | (_SMALL if width is not None and width < NARROW else {})):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches, without pyplot: it opens no display and leaves no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or those of a new figure of a size in inches."""
    if ax is None:
        axes: Axes = new_figure(width, height).subplots()
        return axes
    return ax


def figure_of(ax: Axes) -> Figure:
    """The figure that axes lie in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def is_alone(ax: Axes) -> bool:
    """Whether axes are the only ones of their figure, apart from colour bars."""
    return all(each is ax or each.get_label() == "<colorbar>" for each in figure_of(ax).axes)


def legend_below(ax: Axes) -> None:
    """Puts the legend below the axes, where it hides no data, in as many columns as fit.

    A legend that takes more than a third of the figure's height makes the figure taller instead of squeezing the axes.
    """
    from matplotlib import rcParams

    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    figure, size = figure_of(ax), 0.85 * rcParams["font.size"]
    width = figure.get_figwidth() if is_alone(ax) else 0.9 * figure.get_figwidth() / len(figure.axes)
    beside = rcParams["legend.handlelength"] + rcParams["legend.handletextpad"] + rcParams["legend.columnspacing"]
    column = text_width(labels, size) + beside * size / 72
    columns = max(1, min(4, len(labels), int(width / column)))
    options: dict[str, Any] = {"fontsize": size, "ncols": columns}
    if is_alone(ax):
        height = math.ceil(len(labels) / columns) * (1 + rcParams["legend.labelspacing"]) * size / 72
        figure.set_figheight(figure.get_figheight() + max(0.0, height - figure.get_figheight() / 3))
        figure.legend(handles, labels, loc="outside lower center", **options)
    else:
        ax.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.15), **options)


def share_legend(axes: Sequence[Axes], free: Axes) -> None:
    """Moves the legends of several axes into free axes of their figure, as one that names each line once."""
    named: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(str(label), handle)
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    free.set_axis_off()
    free.legend(named.values(), named.keys(), loc="center", handlelength=4)  # so long that dashes can be told apart


def text_width(texts: Sequence[str], size: float | None = None) -> float:
    """Width in inches of the widest of some texts, in a font size in points; by default that of the style."""
    from matplotlib import rcParams
    from matplotlib.textpath import TextPath

    size = rcParams["font.size"] if size is None else size
    return float(max(TextPath((0, 0), text, size=size).get_extents().width for text in texts)) / 72


def set_title(ax: Axes, text: str) -> None:
    """Puts a title over the axes; over the whole figure if they are its only ones, which has more room."""
    from matplotlib import rcParams

    if is_alone(ax):
        figure_of(ax).suptitle(text, fontsize=rcParams["axes.titlesize"], wrap=True)
    else:
        ax.set_title(text, wrap=True)


def set_labels(ax: Axes, x: str, y: str, part: float = 0.75) -> None:
    """Labels the axes, in several lines where a line is longer than its axis.

    Args:
        ax: Axes.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        part: How much of the width of its panel the horizontal axis takes.
    """
    from matplotlib import rcParams

    width, height = figure_of(ax).get_size_inches()
    if (place := ax.get_subplotspec()) is not None:
        rows, columns = place.get_gridspec().get_geometry()
        width, height = width / columns, height / rows
    letter = 0.55 * rcParams["font.size"] / 72
    ax.set_xlabel(textwrap.fill(x, max(12, int(part * width / letter))))
    ax.set_ylabel(textwrap.fill(y, max(12, int(0.55 * height / letter))))


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes a figure; to ``.png`` and ``.svg`` both if the path has no suffix of a picture. Returns the paths."""
    paths = [path] if path.suffix in (".png", ".svg", ".pdf") else [Path(f"{path}.png"), Path(f"{path}.svg")]
    path.parent.mkdir(parents=True, exist_ok=True)
    no_date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    for each in paths:
        # Without a date the same figure gives the same bytes.
        figure.savefig(each, metadata=no_date.get(each.suffix))
    return paths


# ---------------------------------------------------------------------------------------------------------------------
# Axes


def metric_label(name: str) -> str:
    """The label of an objective on axes and in headings, with its unit."""
    objective = OBJECTIVES[name]
    return f"{objective.label} ({objective.unit})" if objective.unit else objective.label


def as_text(name: str) -> str:
    """A name escaped for matplotlib, which reads text between dollar signs as mathematics.

    It also omits names that begin with an underscore from legends.
    """
    shown = name.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown


def short(value: float) -> str:
    """A number in three digits: ``0.00123``, ``1.5k``, ``20M``."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def log_ticks(axis: Any, low: float, high: float, most: int = 7) -> None:
    """Labels a log axis that shows ``low`` to ``high`` with plain numbers, few enough that none overlap."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    axis.set_major_locator(FixedLocator(log_tick_values(low, high, most)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def log_tick_values(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers from ``low`` to ``high`` for a log axis: of the densest of a few schemes that has at most ``most``.

    Every tick is labelled in full, so that 20 cannot be read as a multiple of its neighbour.
    """
    schemes: tuple[tuple[float, ...], ...] = (
        (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9),
        (1, 1.5, 2, 3, 5, 7),
        (1, 2, 5),
        (1, 3),
        (1,),
    )
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for scheme in schemes:
        ticks = [float(f"{step}e{decade}") for decade in decades for step in scheme]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]


def set_scale(
    ax: Axes,
    which: Literal["x", "y"],
    values: NDArray[np.float64],
    log: bool,
    margin: float = 0.04,
    most: int | None = None,
) -> None:
    """Makes the x or y axis show all finite values.

    Args:
        ax: Axes.
        which: The axis.
        values: The values to show; on a log scale, only positive ones count.
        log: Use a log scale.
        margin: Margin at either end, as a fraction of the axis.
        most: Maximum number of ticks of a log scale; by default as many as fit.
    """
    if most is None:
        width, height = figure_of(ax).get_size_inches()
        most = max(3, min(7, int(1.4 * (width if which == "x" else height))))
    known = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not len(known):
        return
    low, high = float(known.min()), float(known.max())
    if log:
        stretch = (high / low) ** margin if high > low else 1.1
        low, high = low / stretch, high * stretch
        getattr(ax, f"set_{which}scale")("log")
        log_ticks(getattr(ax, f"{which}axis"), low, high, most)
    else:
        extent = margin * (high - low) or 0.05 * abs(high) or 0.05
        low, high = low - extent, high + extent
    getattr(ax, f"set_{which}lim")(low, high)


def staircase(ax: Axes, front: NDArray[np.float64], objectives: Sequence[str], **line: Any) -> None:
    """A front of two objectives, the second on the x axis; the attained region is on the worse side of the line.

    Args:
        ax: Axes.
        front: Shape (n, 2), in natural units.
        objectives: Their names.
        line: Of ``Axes.step``.
    """
    if len(front):
        order = np.argsort(front[:, 1], kind="stable")
        # Right of a cell its own first objective holds until another cell is reached; with a second objective that is
        # maximised, left of it.
        where: Literal["pre", "post"] = "pre" if OBJECTIVES[objectives[1]].maximise else "post"
        ax.step(front[order, 1], front[order, 0], where=where, **line)


# ---------------------------------------------------------------------------------------------------------------------
# Graphs

_FILL: Final = {
    INPUT: "#DDDDDD",
    OUTPUT: "#DDDDDD",
    "conv3x3": "#F2B48C",
    "conv1x1": "#A9D3EC",
    "maxpool3x3": "#A8DBC5",
}
_INK: Final = "#444444"
_WIDTH, _HEIGHT = 1.0, 0.46
"""Of a vertex's box; vertices are 1 apart."""
_LANE: Final = 0.2
"""Between the lanes in which edges pass vertices."""
_PIXELS: Final = 54
"""From one vertex to the next in a page."""


def draw_graph(names: Sequence[str], edges: Sequence[tuple[int, int]], ax: Axes) -> Axes:
    """Draws vertices by name, one per level from the input (top) down.

    An edge to the next vertex is a straight arrow. A longer one leaves its box at a side, passes the vertices between
    in its own lane, and enters its target's box at the same side, without touching any other box.
    """
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    for path in edge_paths(edges):
        arrow = FancyArrowPatch(
            path=_matplotlib_path(path),
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=0,
            shrinkB=0,
            color=_INK,
            linewidth=1.1,
            joinstyle="miter",
            zorder=1,
        )
        ax.add_patch(arrow)
    rounding = 0.1
    for vertex, name in enumerate(names):
        box = FancyBboxPatch(
            (-_WIDTH / 2 + rounding, -vertex - _HEIGHT / 2 + rounding),
            _WIDTH - 2 * rounding,
            _HEIGHT - 2 * rounding,
            boxstyle=f"round,pad={rounding}",
            facecolor=_FILL.get(name, "#FFFFFF"),
            edgecolor=_INK,
            linewidth=0.8,
            zorder=2,
        )
        ax.add_patch(box)
        ax.text(0.0, -vertex, name, ha="center", va="center", fontsize=9, color="#000000", zorder=3)
    ax.set(xlim=(-1.3, 1.3), ylim=(-len(names) + 0.6, 0.4))
    ax.axis("off")
    return ax


def edge_paths(edges: Sequence[tuple[int, int]]) -> list[NDArray[np.float64]]:
    """The paths of edges: corner points from box to box, shape (n, 2); vertex v has its box at (0, −v)."""
    lanes = _lanes(edges)
    # Ends of edges at one side of one box are spread over its height, arrivals above departures.
    leaving: dict[tuple[int, int], list[tuple[int, int]]] = {}
    arriving: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for edge in sorted(lanes, key=lambda e: abs(lanes[e])):
        side = 1 if lanes[edge] > 0 else -1
        leaving.setdefault((edge[0], side), []).append(edge)
        arriving.setdefault((edge[1], side), []).append(edge)
    paths = []
    for edge in edges:
        source, target = edge
        if edge not in lanes:
            paths.append(np.array([[0.0, -source - _HEIGHT / 2], [0.0, -target + _HEIGHT / 2]]))
            continue
        side = 1 if lanes[edge] > 0 else -1
        lane = side * (_WIDTH / 2 + _LANE * abs(lanes[edge]))
        out, into = leaving[source, side], arriving[target, side]
        # Of the edges that leave, the nearest lane is taken by the lowest; of those that arrive, by the highest: so no
        # two cross beside the box.
        start = -source - _spread(len(out) - 1 - out.index(edge), len(out))
        end = -target + _spread(len(into) - 1 - into.index(edge), len(into))
        edge_of_box = side * _WIDTH / 2
        paths.append(np.array([[edge_of_box, start], [lane, start], [lane, end], [edge_of_box, end]]))
    return paths


def _spread(position: int, count: int) -> float:
    """How far from the middle of a box's side the end of an edge lies, of several at this half of it."""
    return _HEIGHT * (0.2 if count == 1 else 0.08 + 0.32 * position / (count - 1))


def _lanes(edges: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """For each edge that passes vertices the lane it takes: 1, 2, … to the right, −1, −2, … to the left."""
    lanes: dict[tuple[int, int], int] = {}
    for edge in sorted((e for e in edges if e[1] - e[0] > 1), key=lambda e: (e[1] - e[0], e)):
        free = 1
        while True:
            for lane in (free, -free):
                if not any(
                    taken == lane and edge[0] < other[1] and other[0] < edge[1] for other, taken in lanes.items()
                ):
                    lanes[edge] = lane
                    break
            if edge in lanes:
                break
            free += 1
    return lanes


def _matplotlib_path(points: NDArray[np.float64]) -> Any:
    """A path through corner points, with the corners rounded."""
    from matplotlib.path import Path as Outline

    vertices, codes = [points[0]], [Outline.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        for other in (before, after):
            length = float(np.linalg.norm(other - corner))
            near = corner + (other - corner) * min(0.12, length / 2) / length
            vertices += [near] if other is before else [corner, near]
            codes += [Outline.LINETO] if other is before else [Outline.CURVE3, Outline.CURVE3]
    vertices.append(points[-1])
    codes.append(Outline.LINETO)
    return Outline(np.array(vertices), codes)


def graph_svg(names: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
    """The picture of :func:`draw_graph` as an SVG element of class ``cell``, for pages with their own style."""
    lanes = [abs(path[:, 0]).max() for path in edge_paths(edges)]
    half = max([_WIDTH / 2, *lanes]) + 0.1
    width, height = 2 * half, len(names) - 0.3
    parts = [
        f'<svg class="cell" viewBox="{-half:g} -0.35 {width:g} {height:g}" width="{_PIXELS * width:.0f}" '
        f'height="{_PIXELS * height:.0f}" role="img">'
    ]
    for path in edge_paths(edges):
        points = (path * [1, -1]).round(3)
        step = (points[-1] - points[-2]) / np.linalg.norm(points[-1] - points[-2])
        foot, side = points[-1] - 0.12 * step, 0.05 * step[::-1]
        head = "L".join(f"{x:g} {y:g}" for x, y in (points[-1], foot + side, foot - side))
        line = "L".join(f"{x:g} {y:g}" for x, y in (*points[:-1], foot))
        parts.append(f'<path d="M{line}"/><path class="head" d="M{head}z"/>')
    for vertex, name in enumerate(names):
        parts.append(
            f'<rect x="{-_WIDTH / 2:g}" y="{vertex - _HEIGHT / 2:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}" rx="0.1" '
            f'fill="{_FILL.get(name, "#FFFFFF")}"/><text x="0" y="{vertex}">{html.escape(name)}</text>'
        )
    return "".join([*parts, "</svg>"])
