"""Tables between the marks of a page: ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def publish(sections: Mapping[str, str], path: Path | None) -> None:
    """Writes the sections to a page, or prints them."""
    if path is None:
        print("\n\n".join(sections.values()))
    else:
        write_sections(path, sections)


def write_sections(path: Path, sections: Mapping[str, str]) -> None:
    """Replaces the text between the marks of each section.

    Raises:
        ValueError: The page lacks a mark, or has it more than once.
    """
    page = path.read_text(encoding="utf-8")
    for name, text in sections.items():
        begin, end = (f"<!-- {name}: {mark} -->" for mark in ("begin", "end"))
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"{path} must hold the marks {begin} and {end} once each")
        page = f"{page.split(begin)[0]}{begin}\n\n{text.strip()}\n\n{end}{page.split(end)[1]}"
    path.write_text(page, encoding="utf-8")
