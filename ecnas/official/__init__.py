"""The published EC-NAS-Bench files: catalogue, fetching, conversion to tables, and writing tables in their format.

Only fetching needs the network, and only converting and writing need tensorflow
(``pip install 'ecnas-gym[official]'``).
"""

from ecnas.official.cache import table_of_file, table_of_published
from ecnas.official.catalogue import CATALOGUE, PublishedFile
from ecnas.official.fetch import cache_folder, fetch
from ecnas.official.hashes import row_of_hash

__all__ = [
    "CATALOGUE",
    "PublishedFile",
    "cache_folder",
    "fetch",
    "row_of_hash",
    "table_of_file",
    "table_of_published",
]


def __dir__() -> list[str]:
    return sorted(__all__)
