"""The command ``ecnas fetch``: fetch published files into the cache and convert them."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Final

from ecnas.errors import ECNASError

SUMMARY: Final = "fetch published files into the cache and convert them"
TEXT: Final = """\
examples:
  ecnas fetch energy_4V9E_linscale
  ecnas fetch all --source https://mirror.example/tabular_benchmarks/
  ecnas fetch energy_7V9E_surrogate --source ~/EC-NAS-Bench/ecnas/ecnas/utils/data/tabular_benchmarks

Files are checked against their published SHA-256. Converting needs tensorflow (pip install 'ecnas-gym[official]');
converted files open without it. The environment variables ECNAS_SOURCE and ECNAS_CACHE set the source and the cache
folder for the whole package."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas fetch``."""
    parser.add_argument("names", nargs="+", metavar="NAME", help='a name that "ecnas info" lists, or "all"')
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        help="URL or folder to fetch from (default: $ECNAS_SOURCE, or the publisher)",
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        help="where to keep files and tables (default: $ECNAS_CACHE, or the user's cache folder)",
    )
    parser.add_argument(
        "--no-convert", action="store_true", help="fetch only; the file is converted when it is first loaded"
    )


def run(arguments: argparse.Namespace) -> None:
    """Fetches published files and converts them."""
    from ecnas.official import CATALOGUE, fetch, table_of_published
    from ecnas.official.fetch import CACHE_VARIABLE, FetchError, published
    from ecnas.official.records import TensorFlowMissingError

    if arguments.cache:
        os.environ[CACHE_VARIABLE] = arguments.cache
    names = list(CATALOGUE) if "all" in arguments.names else arguments.names
    for name in names:
        published(name)  # reports an unknown name before anything is fetched
    failed = []
    for name in names:
        try:
            print(f"{name}: {fetch(name, arguments.source)}")
            if not arguments.no_convert:
                print(f"{name}: table in {table_of_published(name).folder}")
        except TensorFlowMissingError as error:
            print(f"{name}: not converted: {error}", file=sys.stderr)
        except ECNASError as error:  # the others may be available
            if len(names) == 1:
                raise
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(name)
    if failed:
        raise FetchError(f"{len(failed)} of {len(names)} files were not fetched: {', '.join(failed)}")
