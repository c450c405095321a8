"""Queries per second, one at a time and in batches, in spaces of 91 to 423,624 cells.

python benchmarks/bench_query.py [--rounds 15]

The peer looks cells up as the published API does: it computes the module hash (56 MD5 digests for seven vertices) and
finds the row in a dictionary.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from timing import machine, print_table, repeated, take_turns

import ecnas
from ecnas.encoding import bits_to_adjacency, code_to_ops, edge_bit
from ecnas.hashing import module_hash

BATCH = 4096
PEER = "by the published hash"


def contenders(name: str) -> dict[str, Callable[[], float]]:
    benchmark = ecnas.load(name)
    space, rng = benchmark.space, np.random.default_rng(0)
    rows = rng.integers(len(space), size=BATCH)
    cells = [space[row] for row in rows.tolist()]
    raw = [(np.array(cell.adjacency), list(cell.ops)) for cell in cells]
    # In the frame of the space, cells of fewer vertices have unconnected ones.
    num = space.num_vertices
    arrays = space.cells
    offset = (arrays.num_vertices - 1) * (arrays.num_vertices - 2) // 2
    inner, last = arrays.edge_bits & ((1 << offset) - 1), arrays.edge_bits >> offset
    edge_bits = (inner | last << edge_bit(0, num - 1))[rows]
    adjacency, ops = bits_to_adjacency(num, edge_bits), code_to_ops(arrays.op_codes[rows])[:, : num - 2]
    assert (benchmark.query_batch(adjacency, ops).rows == rows).all()
    adjacency_64, ops_64 = adjacency.astype(np.int64), ops.astype(np.int64)
    few = 256
    row_of_hash = {cell.hash: cell.row for cell in cells[:few]}

    def by_hash() -> None:
        for cell in cells[:few]:
            benchmark.query_row(row_of_hash[module_hash(*cell._pruned)])

    def known() -> None:
        for cell in cells:
            benchmark.query(cell)

    def fresh() -> None:
        for matrix, names in raw:
            benchmark.query(ecnas.Cell(matrix, names))

    return {
        PEER: repeated(by_hash, few),
        "query of a known cell": repeated(known, BATCH),
        "query of a fresh Cell(matrix, names)": repeated(fresh, BATCH),
        f"query_batch, {BATCH:,} int8 matrices": repeated(lambda: benchmark.query_batch(adjacency, ops), BATCH),
        f"query_batch, {BATCH:,} int64 matrices": repeated(lambda: benchmark.query_batch(adjacency_64, ops_64), BATCH),
        f"query_batch, {BATCH:,} edge bits": repeated(lambda: benchmark.query_batch(edge_bits, ops), BATCH),
        f"query_rows, {BATCH:,} rows": repeated(lambda: benchmark.query_rows(rows), BATCH),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine(), "\n")
    for name in ("surrogate-4V", "surrogate-5V", "surrogate-7V"):
        print(f"{name}, {len(ecnas.load(name).space):,} cells:\n")
        print_table(take_turns(contenders(name), rounds), PEER, "cells per second")


if __name__ == "__main__":
    main()
