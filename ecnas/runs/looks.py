"""How methods look: the same colour, dashes and marker in every chart, page and document.

The looks of known methods are in :data:`KNOWN`. Any other method gets one by a hash of its name, so it keeps its look
in any company. Colours alone cannot distinguish more than eight methods, least of all for colour-blind readers, so
dashes and markers differ as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ecnas.drawing import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION


class Marker(NamedTuple):
    """A marker by matplotlib's and by plotly's name, and as a letter."""

    matplotlib: str
    plotly: str
    glyph: str


class Look(NamedTuple):
    """How a method looks.

    Attributes:
        colour: ``#RRGGBB``.
        dashes: Lengths of dashes and gaps in turn, in line widths; () for a solid line.
        marker: Its marker.
    """

    colour: str
    dashes: tuple[float, ...]
    marker: Marker


COLOURS: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
SOLID, DASHED, DOTTED, DASH_DOT, LONG = (), (5.0, 2.0), (1.0, 1.5), (5.0, 1.5, 1.0, 1.5), (9.0, 2.0)
DASHES: Final[tuple[tuple[float, ...], ...]] = (SOLID, DASHED, DOTTED, DASH_DOT, LONG)
CIRCLE, SQUARE, UP, DOWN, DIAMOND, PLUS, CROSS, STAR = (
    Marker("o", "circle", "●"),
    Marker("s", "square", "■"),
    Marker("^", "triangle-up", "▲"),
    Marker("v", "triangle-down", "▼"),
    Marker("D", "diamond", "◆"),
    Marker("P", "cross", "✚"),
    Marker("X", "x", "✖"),
    Marker("*", "star", "★"),
)
MARKERS: Final = (CIRCLE, SQUARE, UP, DOWN, DIAMOND, PLUS, CROSS, STAR)

KNOWN: Final[Mapping[str, Look]] = {
    "random search": Look(GREY, SOLID, CIRCLE),
    "regularised evolution": Look(ORANGE, SOLID, SQUARE),
    "regularised evolution, population 100": Look(ORANGE, LONG, SQUARE),
    "regularised evolution, population 20": Look(ORANGE, DASHED, DIAMOND),
    "local search": Look(GREEN, SOLID, UP),
    "local search, best improvement": Look(GREEN, LONG, UP),
    "local search, first improvement": Look(GREEN, DASHED, DOWN),
    "BANANAS": Look(BLACK, SOLID, DIAMOND),
    "Q-learning": Look(PURPLE, DOTTED, CROSS),
    "PPO": Look(PURPLE, SOLID, PLUS),
    "masked PPO": Look(PURPLE, DASHED, PLUS),
    "REINFORCE": Look(SKY, SOLID, DOWN),
    "REINFORCE, −log regret": Look(SKY, DASHED, UP),
    "priority queue": Look(BLUE, SOLID, CIRCLE),
    "priority-queue training": Look(BLUE, LONG, CIRCLE),
    "editing": Look(VERMILLION, SOLID, STAR),
    "editing, Gaussian process": Look(VERMILLION, DASHED, DIAMOND),
    "editing under preferences": Look(VERMILLION, LONG, STAR),
    "tree search": Look(GREY, LONG, STAR),
    "from scratch": Look(BLACK, SOLID, CIRCLE),
    "from 5V, fixed": Look(BLUE, DASHED, DOWN),
    "from 5V, fine-tuned": Look(BLUE, SOLID, UP),
    "from 4V, fixed": Look(VERMILLION, DASHED, SQUARE),
    "from 4V, fine-tuned": Look(VERMILLION, SOLID, DIAMOND),
    "NSGA-II": Look(GREEN, DASH_DOT, SQUARE),
    "SEMOA": Look(BLUE, DASH_DOT, DIAMOND),
    "SH-EMOA": Look(SKY, DASH_DOT, CROSS),
    "MS-EHVI": Look(BLACK, DASH_DOT, PLUS),
}
"""The looks of the methods of this project, by the names that its sweeps give them."""

ALIASES: Final[Mapping[str, str]] = {
    "RandomSearch": "random search",
    "RegularisedEvolution": "regularised evolution",
    "LocalSearch": "local search",
    "NSGA2": "NSGA-II",
    "SHEMOA": "SH-EMOA",
    "MSEHVI": "MS-EHVI",
    "qlearning": "Q-learning",
    "ppo": "PPO",
    "ppo_many": "masked PPO",
    "reinforce": "REINFORCE",
    "pqt": "priority queue",
    "mcts": "tree search",
    "edit": "editing",
    "gp_edit": "editing, Gaussian process",
    "morl": "editing under preferences",
}
"""Names of entry points, which methods have in sweeps that give no other name, and whose look they take."""

_FREE: Final = [
    look
    for number in range(len(DASHES) * len(MARKERS))
    for colour in COLOURS
    if (look := Look(colour, DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)])) not in KNOWN.values()
]
"""Looks for all other methods."""


def looks(names: Iterable[str]) -> dict[str, Look]:
    """The look of each method; a name's look depends on the others only where two would look exactly alike."""
    names = list(dict.fromkeys(names))
    chosen = {name: KNOWN[name] for name in names if name in KNOWN}
    taken = set(chosen.values())
    for name in names:
        if name in ALIASES and KNOWN[ALIASES[name]] not in taken:
            chosen[name] = KNOWN[ALIASES[name]]
            taken.add(chosen[name])
    for name in sorted(set(names) - set(chosen)):
        position = zlib.crc32(name.encode()) % len(_FREE)
        while _FREE[position] in taken and len(taken) < len(_FREE):
            position = (position + 1) % len(_FREE)
        chosen[name] = _FREE[position]
        taken.add(_FREE[position])
    return {name: chosen[name] for name in names}
