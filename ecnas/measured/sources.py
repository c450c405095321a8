"""Lines of measurements: from CSV as programs and spreadsheets write it, JSON Lines, Parquet, or Python objects."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecnas.errors import ECNASError
from ecnas.measured.columns import understand
from ecnas.measured.numbers import is_missing
from ecnas.measured.problems import MeasurementsError, Problems

_DELIMITERS: Final = (",", ";", "\t", "|")
_CSV: Final = (".csv", ".tsv", ".txt")
_JSON: Final = (".jsonl", ".ndjson")
_PARQUET: Final = (".parquet", ".pq")

SUFFIXES: Final = (*_CSV, *_JSON, *_PARQUET)


class PyarrowMissingError(ECNASError, ImportError):
    """pyarrow is not installed, and a Parquet file needs it."""

    def __init__(self) -> None:
        super().__init__("Parquet files need pyarrow: pip install 'ecnas-gym[measured]'")


@dataclass(frozen=True)
class Line:
    """One line of measurements.

    Attributes:
        where: Its position: "line 7", "row 7".
        values: Its values by column; missing columns are absent.
    """

    where: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Measurements as written.

    Attributes:
        name: Its name in error messages.
        columns: The columns' names, in order.
        lines: Its lines.
        notes: The parts left out, with reasons.
    """

    name: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: list[str] = field(default_factory=list)


def open_source(given: str | os.PathLike[str] | Iterable[Mapping[str, Any]]) -> Source:
    """Reads a file, or accepts rows.

    Args:
        given: A path, whose suffix decides how it is read (:data:`SUFFIXES`), or an iterable of mappings.

    Raises:
        FileNotFoundError: The file does not exist.
        MeasurementsError: The content does not match the suffix.
        PyarrowMissingError: It is a Parquet file, and pyarrow is not installed.
    """
    if not isinstance(given, (str, os.PathLike)):
        return _of_rows(given)
    path = Path(given).expanduser()
    suffix = path.suffix.lower()
    if path.exists() and not path.is_file():
        raise MeasurementsError(f"{path} is not a file; measurements are read from {', '.join(SUFFIXES)}")
    if suffix in _PARQUET:
        return _of_parquet(path)
    if suffix not in SUFFIXES:
        hint = "; save the sheet as CSV" if suffix in (".xls", ".xlsx", ".ods") else ""
        raise MeasurementsError(f"{path.name}: the suffix must be one of {', '.join(SUFFIXES)}, is {suffix!r}{hint}")
    text = _decoded(path)
    return _of_json_lines(path.name, text) if suffix in _JSON else of_csv(path.name, text)


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if b"\0" in content and encoding != "utf-16":
        raise MeasurementsError(f"{path.name} is not a text file: it has null bytes")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MeasurementsError(
            f'{path.name}, line {line}: not UTF-8 (byte {content[error.start]:#04x}); save the file as "CSV UTF-8"'
        ) from error


# ---------------------------------------------------------------------------------------------------------------------
# CSV


def of_csv(name: str, text: str) -> Source:
    """Lines of a text with a header, which determines the delimiter."""
    problems = Problems(name)
    notes: list[str] = []
    # Files that were made of several have byte-order marks inside.
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    delimiter, text, first_line = _delimiter(plain)
    rows = _rows(name, text, delimiter, first_line)
    header: list[str] = []
    lines: list[Line] = []
    empty: list[int] = []
    for number, row in rows:
        if not any(value.strip() for value in row):
            empty.append(number)
        elif not header:
            header = [value.strip() for value in row]
            while header and not header[-1]:  # commas at the end of every line
                header.pop()
            _check_header(name, header, number)
        elif row[0].lstrip().startswith("#") and not header[0].startswith("#"):
            notes.append(f"line {number}: a comment, left out")
        elif [value.strip() for value in row][: len(header)] == header:
            notes.append(f"line {number}: the header again, left out")
        elif len(row) < len(header):
            problems.add(f"line {number}: has {len(row)} values, the header has {len(header)} names; was it cut off?")
        elif any(value.strip() for value in row[len(header) :]):
            extra = next(value for value in row[len(header) :] if value.strip())
            problems.add(
                f"line {number}: has more values than the {len(header)} names of the header, such as {extra!r}; a text "
                "with commas must be in quotes"
            )
        else:
            values = {key: value for key, value in zip(header, row, strict=False) if key}
            nameless = next((v for k, v in zip(header, row, strict=False) if not k and v.strip()), None)
            if nameless is not None:
                problems.add(f"line {number}: {nameless!r} is in a column without a name")
            lines.append(Line(f"line {number}", values))
    problems.check()
    if not header:
        raise MeasurementsError(f"{name} is empty")
    inside = [number for number in empty if lines and number < int(lines[-1].where.split()[1])]
    if inside:
        notes.append(f"{_lines(inside)}: empty, left out")
    return Source(name, tuple(key for key in header if key), tuple(lines), notes)


def _lines(numbers: Sequence[int]) -> str:
    """The words line 7, or lines 7, 9, 12."""
    shown = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    return f"line {shown}" if len(numbers) == 1 else f"lines {shown}"


def _check_header(name: str, header: Sequence[str], number: int) -> None:
    for position, key in enumerate(header):
        if key and key in header[:position]:
            raise MeasurementsError(
                f"{name}, line {number}: columns {header.index(key) + 1} and {position + 1} are both called {key!r}"
            )


def _delimiter(text: str) -> tuple[str, str, int]:
    """The delimiter, the text from the header on, and the line number of the header."""
    first_line = 1
    while text:
        head, _, rest = text.partition("\n")
        if head.strip().lower().startswith("sep=") and len(head.strip()) == 5:  # Excel's own hint
            return head.strip()[-1], rest, first_line + 1
        if head.strip() and not head.lstrip().startswith("#"):
            break
        text, first_line = rest, first_line + 1
    head = text.partition("\n")[0]
    counts = {mark: head.count(mark) for mark in _DELIMITERS}
    if not any(counts.values()):
        return ",", text, first_line

    def understood(mark: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([head], delimiter=mark))]
        try:
            meanings = sum(bool(column.meaning) for column in understand(names, ""))
        except MeasurementsError:  # it was understood well enough to be objected to
            meanings = len(names)
        return meanings, counts[mark]

    return max(_DELIMITERS, key=understood), text, first_line


def _rows(name: str, text: str, delimiter: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line at which each begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    began = 0
    try:
        for row in reader:
            yield began + first_line, row or [""]
            began = reader.line_num
    except csv.Error as error:
        raise MeasurementsError(f"{name}, line {began + first_line}: not CSV ({error})") from error


# ---------------------------------------------------------------------------------------------------------------------
# JSON Lines, Parquet, rows


def _of_json_lines(name: str, text: str) -> Source:
    problems = Problems(name)
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, object_pairs_hook=_without_doubles)
        except (ValueError, RecursionError) as error:
            problems.add(f"line {number}: not JSON ({error})")
            continue
        if not isinstance(values, dict):
            problems.add(f"line {number}: must be an object {{…}}, is {line.strip()!r:.60}")
            continue
        lines.append(Line(f"line {number}", values))
    problems.check()
    return _of_lines(name, lines)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} appears twice")
    return values


def _of_parquet(path: Path) -> Source:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise PyarrowMissingError from error
    if not path.is_file():
        raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise MeasurementsError(f"{path.name} is not a Parquet file ({error})") from error
    names = table.column_names
    _check_header(path.name, names, 0)
    rows = (row for batch in table.to_batches() for row in batch.to_pylist())
    lines = tuple(Line(f"row {number}", row) for number, row in enumerate(rows, start=1))
    return Source(path.name, tuple(name for name in names if not name.startswith("__index_level_")), lines)


def _of_rows(rows: Iterable[Mapping[str, Any]]) -> Source:
    lines = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise MeasurementsError(
                f"rows, row {number}: must be a mapping from columns to values, got {row!r:.80}; "
                'for a pandas frame, pass frame.to_dict("records")'
            )
        lines.append(Line(f"row {number}", row))
    return _of_lines("rows", lines)


def _of_lines(name: str, lines: Sequence[Line]) -> Source:
    columns = dict.fromkeys(key for line in lines for key in line.values)
    return Source(name, tuple(columns), tuple(line for line in lines if not all(map(is_missing, line.values.values()))))
