"""Matches the runs of an energy meter with lines of measurements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ecnas.measured.columns import Column
from ecnas.measured.meters import Meters, Run
from ecnas.measured.problems import MeasurementsError, Problems, listed
from ecnas.measured.sources import Source
from ecnas.space import Space


def runs_of_lines(
    source: Source, columns: Sequence[Column], rows: Sequence[int], meters: Meters, problems: Problems
) -> tuple[list[Run | None], list[str]]:
    """The meter's run of each line: by the column "run", else by the module hash of the cell in the run's name.

    Args:
        source: The lines.
        columns: What the columns mean.
        rows: The row of each line's cell, −1 where it has a problem.
        meters: The runs.
        problems: Collects problems.

    Returns:
        A run or None for each line; and notes on lines without a run and runs without a line.

    Raises:
        MeasurementsError: The lines already have energies, no run matches any line, or several match one line.
    """
    energy = next((column for column in columns if column.meaning == "energy"), None)
    if energy is not None:
        raise MeasurementsError(f"{source.name} has energies in column {energy.name!r} already; leave one of them out")
    column = next((column for column in columns if column.meaning == "run"), None)
    if column is not None:
        which = f"column {column.name!r}"
        names = [str(line.values.get(column.name, "")).strip() for line in source.lines]
    else:
        which = "the cells' hashes (there is no column run)"
        names = [Space("7V")[row].hash if row >= 0 else "" for row in rows]
    repeated = [name for name, number in Counter(names).items() if number > 1 and name]
    if repeated:
        problems.add(f"{which}: {repeated[0]!r} is on several lines, but a run has one energy")
    runs: list[Run | None] = []
    lacking = []
    for line, name in zip(source.lines, names, strict=True):
        try:
            run = meters.run(name) if name else None
        except LookupError as error:
            problems.add(f"{line.where}: {error.args[0]}")
            run = None
        if run is None:
            lacking.append(f"{line.where} ({name!r})")
        runs.append(run)
    problems.check()
    used = {id(run) for run in runs if run is not None}
    if not used:
        raise MeasurementsError(
            f"{meters.name} has no run of any line of {source.name}: it has {listed([*map(repr, meters.names)], 3)}; "
            f"the lines ask for {listed([*map(repr, names)], 3)}"
        )
    notes = list(meters.notes)
    if lacking:
        notes.append(f"{meters.name} has no energy for {listed(lacking)}")
    spare = [run.name for run in meters.runs if id(run) not in used]
    if spare:
        notes.append(f"{meters.name} has runs of no line: {listed(spare)}")
    return runs, notes
