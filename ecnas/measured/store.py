"""Imported tables by name, in a folder beside the cache of the published files.

They are not a cache: nothing can recreate them, and only :func:`store` with ``replace=True`` ever removes one.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace as changed
from pathlib import Path
from typing import Final

from ecnas.errors import ECNASError
from ecnas.official.catalogue import CATALOGUE
from ecnas.official.fetch import cache_folder
from ecnas.table import Table, open_table

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


class NameTakenError(ECNASError, FileExistsError):
    """Another table is stored under this name."""


def folder_of(name: str) -> Path:
    """The folder of the table with this name, whether or not it exists."""
    return cache_folder() / "imported" / name


def is_name(text: str) -> bool:
    """Whether a text is a valid name of a table."""
    return bool(_NAME.fullmatch(text))


def stored_names() -> list[str]:
    """The names of all stored tables."""
    return sorted(path.parent.name for path in folder_of("").glob("*/table.json") if is_name(path.parent.name))


def store(table: Table, name: str | Path, replace: bool = False) -> Path:
    """Stores a table, so that ``ecnas.load`` finds it.

    Args:
        table: The table.
        name: A name of letters, digits and ``._+-``; or the path of a folder to write to.
        replace: Whether other metrics under this name may be replaced.

    Returns:
        The folder.

    Raises:
        NameTakenError: A table with other metrics has this name, and ``replace`` is not set.
        ValueError: It is the name of an embedded or published benchmark.
    """
    if isinstance(name, Path) or os.sep in name or name.startswith("."):
        folder = Path(name).expanduser()
        if folder.exists() and not (folder / "table.json").is_file():
            raise NameTakenError(f"{folder} already exists and is not a table")
    else:
        if not is_name(name):
            raise ValueError(f"name must be letters, digits and ._+- (or a path with a slash in it), got {name!r}")
        if name in CATALOGUE or name.startswith("surrogate-"):
            raise ValueError(f"name must not be that of an embedded or published benchmark, got {name!r}")
        folder = folder_of(name)
    if folder.exists() and not replace and (known := open_table(folder)).digest != table.digest:
        raise NameTakenError(
            f"{str(name)!r} already has other metrics (digest {known.digest[:12]}…); choose another name, or replace "
            "them (--replace; replace=True)"
        )
    changed(table, name=folder.name).save(folder)
    return folder
