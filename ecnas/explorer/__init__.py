"""The explorer: every cell of a benchmark on one self-contained page, with its neighbours, the front and runs."""

from ecnas.explorer.page import load_runs, render

__all__ = ["load_runs", "render"]


def __dir__() -> list[str]:
    return sorted(__all__)
