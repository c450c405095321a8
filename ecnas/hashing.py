"""The published module hash of a cell: the 32-digit name it has in NASBench-101 and in the EC-NAS-Bench files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ecnas.encoding import edge_bit

_INPUT_LABEL = -1
_OUTPUT_LABEL = -2


def module_hash(num_vertices: int, edge_bits: int, ops: Sequence[int]) -> str:
    """Hash of a pruned cell, equal for isomorphic cells.

    Starts from out-degree, in-degree and label of each vertex and mixes in the neighbours' digests V times (a
    Weisfeiler–Lehman refinement with MD5). Source: ``hash_module`` in NASBench-101's ``graph_util.py``, after Ying et
    al. 2018, "Graph HyperNetworks"-style iterative hashing; the paper's section 2.1 relies on it for uniqueness.

    Args:
        num_vertices: V.
        edge_bits: The edges (:mod:`ecnas.encoding`).
        ops: Op code of each of the V−2 inner vertices.

    Returns:
        32 lower-case hexadecimal digits.
    """
    vertices = range(num_vertices)
    into: list[list[int]] = [[x for x in range(y) if edge_bits >> edge_bit(x, y) & 1] for y in vertices]
    out_of: list[list[int]] = [[y for y in range(x + 1, num_vertices) if x in into[y]] for x in vertices]
    labels = [_INPUT_LABEL, *ops, _OUTPUT_LABEL]
    digests = [_md5(str((len(out_of[v]), len(into[v]), labels[v]))) for v in vertices]
    for _ in vertices:
        digests = [
            _md5(
                "".join(sorted(digests[w] for w in into[v]))
                + "|"
                + "".join(sorted(digests[w] for w in out_of[v]))
                + "|"
                + digests[v]
            )
            for v in vertices
        ]
    return _md5(str(sorted(digests)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
