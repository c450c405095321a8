"""Cells as the command line takes them."""

from __future__ import annotations

import math
import re
from typing import Final

import numpy as np

import ecnas
from ecnas.encoding import OPERATIONS

_SHORT_OPS: Final = {name.removesuffix("-bn-relu"): name for name in OPERATIONS}


def read_cell(adjacency: str, ops: str) -> ecnas.Cell:
    """Reads a cell as the command line takes it.

    Args:
        adjacency: V×V digits row by row; spaces, commas, semicolons, slashes and brackets between them are ignored.
        ops: Names of the inner (or of all) operations, commas between; "conv3x3" and "conv1x1" will do.

    Raises:
        InvalidCellError: It is not a cell.
    """
    digits = re.sub(r"[\s,;/\[\]]", "", adjacency)
    num_vertices = math.isqrt(len(digits))
    if not re.fullmatch("[01]+", digits) or num_vertices**2 != len(digits):
        raise ecnas.InvalidCellError(f"adjacency must be V×V digits 0 and 1, got {adjacency!r}")
    matrix = np.array([int(digit) for digit in digits]).reshape(num_vertices, num_vertices)
    names = [_SHORT_OPS.get(name.strip(), name.strip()) for name in ops.split(",") if name.strip()]
    return ecnas.Cell(matrix, names)
