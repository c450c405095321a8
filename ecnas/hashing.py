"""The published module hash of a cell: the 32-digit name it has in NAS-Bench-101 and in the EC-NAS-Bench files."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

from ecnas.encoding import edge_bit

_INPUT_LABEL = -1
_OUTPUT_LABEL = -2


def module_hash(num_vertices: int, edge_bits: int, ops: Sequence[int]) -> str:
    """Hash of a pruned cell, equal for isomorphic cells.

    Starts from out-degree, in-degree and label of each vertex and mixes in the neighbours' digests V times (a
    Weisfeiler–Lehman refinement with MD5). Source: ``hash_module`` in NAS-Bench-101's ``graph_util.py``, after Ying et
    al. 2018, "Graph HyperNetworks"-style iterative hashing; the paper's section 2.1 relies on it for uniqueness.

    Args:
        num_vertices: V.
        edge_bits: The edges (:mod:`ecnas.encoding`).
        ops: Op code of each of the V−2 inner vertices.

    Returns:
        32 lower-case hexadecimal digits.
    """
    neighbours = _neighbours(num_vertices, edge_bits)
    labels = (_INPUT_LABEL, *ops, _OUTPUT_LABEL)
    digests = [
        _md5(f"({len(out_of)}, {len(into)}, {label})") for (into, out_of), label in zip(neighbours, labels, strict=True)
    ]
    for _ in range(num_vertices):
        digests = [
            _md5(
                f"{''.join(sorted([digests[w] for w in into]))}|"
                f"{''.join(sorted([digests[w] for w in out_of]))}|{digests[v]}"
            )
            for v, (into, out_of) in enumerate(neighbours)
        ]
    return _md5(str(sorted(digests)))


@functools.lru_cache(maxsize=1 << 14)
def _neighbours(num_vertices: int, edge_bits: int) -> list[tuple[list[int], list[int]]]:
    """For each vertex those with an edge into it, and those with an edge out of it."""
    vertices = range(num_vertices)
    into = [[x for x in range(y) if edge_bits >> edge_bit(x, y) & 1] for y in vertices]
    return [(into[x], [y for y in range(x + 1, num_vertices) if x in into[y]]) for x in vertices]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
