"""The command line: ``ecnas COMMAND``.

Each command is one module with a ``SUMMARY``, a ``TEXT`` of examples, ``add_arguments(parser)`` and ``run(arguments)``.
A user error prints one line and exits with code 2.
"""

from __future__ import annotations

import argparse
import importlib
import io
import re
import sys
import textwrap
import warnings
from collections.abc import Sequence
from typing import Final, TextIO

import ecnas
from ecnas.endings import ending_of

COMMANDS: Final = {
    "fetch": "fetch",
    "info": "info",
    "query": "query",
    "import": "import_",
    "export": "export",
    "sweep": "sweep",
    "train": "train",
    "measure": "measure",
    "plan": "plan",
    "report": "report",
    "explore": "explore",
    "plot": "plot",
}
"""The module of each command."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="ecnas", description="Energy-aware tabular neural architecture search: benchmarks, searches, reports."
    )
    parser.add_argument("--version", action="version", version=f"ecnas-gym {ecnas.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, module_name in COMMANDS.items():
        module = importlib.import_module(f"ecnas.cli.{module_name}")
        page = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY[0].upper() + module.SUMMARY[1:] + ".",
            epilog=module.TEXT,
            formatter_class=_HelpFormatter,
        )
        module.add_arguments(page)
        page.set_defaults(run=module.run)
    return parser


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps paragraphs and the right column of indented lines at the width of the terminal (COLUMNS).

    Commands and lines of files keep their form, so that they can be copied.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = [""]
        for line in text.split("\n"):  # those that belong together become one, to be wrapped anew
            in_paragraph = line[:1].strip() and lines[-1][:1].strip()
            if in_paragraph or (lines[-1] and line.startswith(" " * 6)):
                lines[-1] += f" {line.strip()}"
            else:
                lines.append(line)
        return "\n".join(_wrapped(line, width) for line in lines[1:])


def _wrapped(line: str, width: int) -> str:
    left = re.match(r" +\S.*?  +(?=[^ #])", line)
    if len(line) <= width or (line.startswith(" ") and not left):
        return line
    start = len(left[0]) if left else 0
    if width - start >= 24 or not left:
        return textwrap.fill(line, width, subsequent_indent=" " * start, break_on_hyphens=False)
    note = textwrap.fill(line[start:], width, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)
    return f"{left[0].rstrip()}\n{note}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    command = "ecnas"
    try:
        for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows a replacement
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                arguments = make_parser().parse_args(argv)
                command = f"ecnas {arguments.command}"
                arguments.run(arguments)
            finally:
                sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        return ending_of(error, command)
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr)
