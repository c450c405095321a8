"""From a cell to a trained, metered network, and from many of them to a table.

Needs Keras and a meter (``pip install 'ecnas-gym[network]'``), which are imported when they are used.

    >>> import ecnas, ecnas.network
    >>> model = ecnas.network.build(ecnas.Space("4V")[42])        # doctest: +SKIP
"""

from ecnas.network.model import build

__all__ = ["build"]


def __dir__() -> list[str]:
    return sorted(__all__)
