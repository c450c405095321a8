"""The command ``ecnas info``: list the benchmarks, or describe one."""

from __future__ import annotations

import argparse
from typing import Final

import numpy as np

import ecnas
from ecnas import loading, pareto
from ecnas.errors import ECNASError
from ecnas.table import PROVENANCES

SUMMARY: Final = "list the benchmarks, or describe one"
TEXT: Final = """\
examples:
  ecnas info
  ecnas info energy_4V9E_rtx3090
  ecnas info surrogate-7V
  ecnas info my-lab                      your own, once imported

Describing a published file fetches and converts it first if necessary."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas info``."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="name or path of a benchmark; without it, all are listed"
    )


def run(arguments: argparse.Namespace) -> None:
    """Lists the benchmarks, or describes one."""
    if arguments.name is None:
        _list_benchmarks()
    else:
        _describe(ecnas.load(arguments.name))
        if arguments.name in loading.EMBEDDED:
            card = loading.EMBEDDED_FOLDER.parent / "CARD.md"
            print(f"\n{card.read_text(encoding='utf-8').rstrip()}")


def _list_benchmarks() -> None:
    from ecnas.measured.store import stored_names
    from ecnas.official import CATALOGUE, cache_folder
    from ecnas.official.cache import table_folder
    from ecnas.official.fetch import fetched_path

    print("Embedded, ready to use:")
    for name in loading.EMBEDDED:
        print(f"  {name:<26}predicted for every cell of the space")
    if names := stored_names():
        print("\nImported from measurements:")
        for name in names:
            print(f"  {name:<26}{_in_short(name)}")
    print(f'\nPublished, fetched with "ecnas fetch NAME" (cache: {cache_folder()}):')
    for name, entry in CATALOGUE.items():
        if table_folder(entry.sha256).is_dir():
            state = "converted"
        else:
            state = "fetched" if fetched_path(name).is_file() else ""
        print(f"  {name:<26}{entry.size / 1e6:>7.1f} MB  {state:<10} {entry.description}")


def _in_short(name: str) -> str:
    """One line about an imported table: its content, or the error in it."""
    try:
        table = ecnas.load(name).table
    except ECNASError as error:
        return str(error)
    cells = len(table.space) - len(table.missing)
    return f"{cells:,} of {len(table.space):,} cells of {table.space.name}, epochs {', '.join(map(str, table.epochs))}"


def _origins(benchmark: ecnas.Benchmark, epochs: int) -> str:
    """The provenances of the metrics at a number of epochs."""
    table = benchmark.table
    if not table.is_mixed:
        return table.provenance[epochs]
    words = np.concatenate([benchmark.provenance(name, epochs) for name in table.columns])
    return " and ".join(word for word in PROVENANCES if word in words)


def _describe(benchmark: ecnas.Benchmark) -> None:
    table, space = benchmark.table, benchmark.space
    lines = {
        "name": table.name,
        "space": f"{space.name}: at most {space.num_vertices} vertices and {space.max_edges} edges",
        "cells": f"{len(space) - len(table.missing):,} of {len(space):,}",
        "epochs": ", ".join(f"{epochs} ({_origins(benchmark, epochs)})" for epochs in table.epochs),
        "repeats": str(table.repeats),
        "metrics": ", ".join(table.columns),
        "digest": table.digest,
        "notes": table.notes,
        "folder": str(table.folder or ""),
    }
    for key, text in lines.items():
        if text:
            print(f"{key + ':':<10}{text}")
    both = np.isfinite(benchmark.values("val_accuracy") + benchmark.values("energy"))
    if not both.any():
        print(f"front:    none, since no cell has both an accuracy and an energy at {table.epochs[-1]} epochs")
        return
    front = benchmark.pareto_front()
    points = front.figures * [1, -1]
    chosen = pareto.solutions(points)
    print(f"front:    {len(front)} cells at {table.epochs[-1]} epochs, by validation accuracy and energy")
    for label, position in (("least energy", chosen.r0), ("best accuracy", chosen.r1), ("knee", chosen.knee)):
        accuracy, energy = front.figures[position]
        cell = space[int(front.rows[position])]
        print(f"          {label:<14}{accuracy:.4f}  {energy:.5g} kWh  {cell.hash}")
