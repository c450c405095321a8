"""The data of the explorer's page, as compact arrays of bytes.

A cell is one uint32, ``num_vertices << 29 | edge_bits << 8 | op_code`` (:mod:`ecnas.encoding`). Rows ascend in it, so
the page finds a cell's row by bisection. Metrics are quantised to 65,535 steps between their minimum and maximum,
evenly or, if they span orders of magnitude, evenly in the logarithm.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.space import Space

STEPS: Final = 65534
"""The largest code."""

NO_VALUE: Final = 65535
"""The code of NaN."""


class Quantised(NamedTuple):
    """A metric in 16 bits.

    Attributes:
        codes: uint16; :data:`NO_VALUE` for NaN.
        low: The minimum.
        high: The maximum.
        log: Whether the steps are even in the logarithm.
    """

    codes: NDArray[np.uint16]
    low: float
    high: float
    log: bool

    def decode(self) -> NDArray[np.float64]:
        """The values as the page decodes them, to within half a step."""
        share = self.codes / STEPS
        values = self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share
        return np.where(self.codes == NO_VALUE, np.nan, values)


def quantise(values: NDArray[np.float64], log: bool = False) -> Quantised:
    """Quantises a metric.

    Args:
        values: Of any shape, at least one finite; positive for a logarithm.
        log: Whether the steps are even in the logarithm.
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high > low:
        share = np.log(values / low) / np.log(high / low) if log else (values - low) / (high - low)
    else:
        share = np.where(np.isnan(values), np.nan, 0.0)
    codes = np.where(np.isnan(share), NO_VALUE, np.rint(np.clip(share, 0.0, 1.0) * STEPS))
    return Quantised(codes.astype(np.uint16), low, high, log)


def cell_keys(space: Space) -> NDArray[np.uint32]:
    """One integer for each cell, strictly ascending in row order."""
    cells = space.cells
    return (cells.num_vertices << 29 | cells.edge_bits << 8 | cells.op_codes).astype(np.uint32)


def pack(arrays: Mapping[str, NDArray[Any]]) -> tuple[str, dict[str, list[Any]]]:
    """Packs one-dimensional arrays for a page.

    Bytes of equal weight are stored together, and ascending arrays as differences; both compress far better.

    Returns:
        Base64 of the gzipped bytes; and for each array its type, its length and whether it stores differences.
    """
    parts, index = [], {}
    for name, array in arrays.items():
        ascending = array.dtype.kind == "u" and len(array) > 1 and bool((array[1:] >= array[:-1]).all())
        stored = np.diff(array, prepend=array.dtype.type(0)) if ascending else array
        planes = np.ascontiguousarray(stored, dtype=array.dtype.newbyteorder("<")).view(np.uint8)
        parts.append(planes.reshape(len(array), array.dtype.itemsize).T.tobytes())
        index[name] = [array.dtype.name, len(array), ascending]
    return base64.b64encode(gzip.compress(b"".join(parts), 9, mtime=0)).decode(), index


def unpack(text: str, index: Mapping[str, list[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of :func:`pack`, as the page decodes them."""
    content, start, arrays = gzip.decompress(base64.b64decode(text)), 0, {}
    for name, (kind, length, ascending) in index.items():
        size = np.dtype(kind).itemsize
        planes = np.frombuffer(content, np.uint8, length * size, start).reshape(size, length)
        array = np.ascontiguousarray(planes.T).view(np.dtype(kind).newbyteorder("<")).ravel().astype(kind)
        arrays[name] = np.cumsum(array, dtype=kind) if ascending else array
        start += length * size
    return arrays
