"""Arrays that are quick to read and slow to make, kept by the hash of what decides them.

A cache entry is written whole or not at all, so concurrent builds of one entry are both right. An entry that cannot be
read is made again.
"""

import functools
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from spicekit.files import write_arrays

Arrays = dict[str, NDArray[np.float64]]


def cache_folder() -> Path:
    """Folder of cached surrogates; `SPICEKIT_CACHE` overrides it."""
    given = os.environ.get("SPICEKIT_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("spicekit"))


def cached(key: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays of `key`, built at the first call."""
    return _remembered(key, cache_folder()) or _build(key, build)


@functools.lru_cache(maxsize=16)
def _remembered(key: str, folder: Path) -> Arrays | None:
    try:
        with np.load(folder / f"{key}.npz", allow_pickle=False) as entry:
            return {name: entry[name] for name in entry.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _build(key: str, build: Callable[[], Arrays]) -> Arrays:
    arrays = build()
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / f"{key}.npz", **arrays)
    _remembered.cache_clear()
    return arrays
