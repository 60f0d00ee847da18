"""Arrays that are quick to read and slow to make, kept by the hash of what decides them: inputs, and code.

A cache entry is written whole or not at all, so concurrent builds of one entry are both right. An entry that is not as
it was written is made again: its last 32 bytes are the SHA-256 of the .npz file before them.
"""

import functools
import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import platformdirs
from numpy.typing import NDArray

from spicekit.compiled import fresh_folder
from spicekit.errors import BadInput
from spicekit.files import write_atomically, writing
from spicekit.provenance import code_hash_of, content_hash

T = TypeVar("T")
Arrays = dict[str, NDArray[np.float64]]


def cache_folder() -> Path:
    """Folder of cached surrogates; `SPICEKIT_CACHE` overrides it.

    Without it and without a home that can be written, a fresh one for this process alone.
    """
    if given := os.environ.get("SPICEKIT_CACHE"):
        return Path(given)
    usual = Path(platformdirs.user_cache_dir("spicekit"))
    return usual if _writable(usual) else fresh_folder()


@functools.cache
def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def key_of(module: str, *inputs: Any) -> str:
    """Key of what `module` computes from JSON-ready inputs; its code, and all that it imports, counts as one."""
    return content_hash([module, code_hash_of(module), *inputs])


def fitted(key: str, fit: Callable[[], Arrays], *, limit: float, what: str, instead: str) -> Arrays:
    """A surrogate's coefficients, from the cache or fitted now; its `error` decides whether it is of use.

    Parameters
    ----------
    key, fit
        As in `cached`; `fit` gives `error`, too: (2,) LSB, rms and largest, on tiles that the fit has not seen.
    limit : float
        LSB rms.
    what, instead : str
        For the refusal: what was found to be off, and what to do.

    Raises
    ------
    BadInput
        If the error is above the limit, or no number; names it. As `cached` does.
    """
    found = cached(key, fit)
    rms, worst = found["error"]
    if not rms <= limit:
        raise BadInput(
            f"{what} was found to be off by {rms:.3g} LSB rms ({worst:.2g} at most) for this tile; "
            f"its limit is {limit}. {instead}"
        )
    return found


@dataclass(frozen=True)
class Once(Generic[T]):
    """How something is made that its key decides: for a function under `lru_cache`, which then keeps what it gives."""

    key: str
    make: Callable[[], T] = field(compare=False)


def cached(key: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays of `key`, built at the first call.

    `BadInput` if they are not there and the folder cannot be written: before they are built, except where a disk is
    full.
    """
    return _remembered(key, cache_folder()) or _build(key, build)


@functools.lru_cache(maxsize=16)
def _remembered(key: str, folder: Path) -> Arrays | None:
    try:
        content = (folder / f"{key}.npz").read_bytes()
    except OSError:
        return None
    written, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(written).digest() != digest:
        return None
    with np.load(io.BytesIO(written), allow_pickle=False) as entry:
        return {name: entry[name] for name in entry.files}


def _build(key: str, build: Callable[[], Arrays]) -> Arrays:
    folder = cache_folder()
    advice = "set SPICEKIT_CACHE to a folder that can: surrogates are kept there"
    with writing(folder, advice):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    arrays = build()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    with writing(folder, advice):
        write_atomically(folder / f"{key}.npz", content + hashlib.sha256(content).digest())
    _remembered.cache_clear()
    return arrays


_DIGEST = 32
