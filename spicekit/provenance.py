"""What made a result: versions, command, time and content hashes, as plain JSON-ready data."""

import datetime
import functools
import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import spicekit

JsonDict = dict[str, Any]


def content_hash(value: Any) -> str:
    """SHA-256 of text, bytes, an array (dtype, shape and data) or JSON-ready data (keys sorted).

    >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    True
    """
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        data = head + np.ascontiguousarray(value).tobytes()
    elif isinstance(value, bytes):
        data = value
    elif isinstance(value, str):
        data = value.encode()
    else:
        data = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return hashlib.sha256(data).hexdigest()


def provenance(inputs: Mapping[str, Any] | None = None, /) -> JsonDict:
    """Record of this process for a result file.

    Parameters
    ----------
    inputs : mapping, optional
        What the caller alone knows: spec, card and template hashes, ngspice version, seed.
    """
    return {
        "spicekit": spicekit.__version__,
        "command": " ".join([sys.argv[0].rsplit("/", 1)[-1], *sys.argv[1:]]),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **_platform(),
        **dict(inputs or {}),
    }


@functools.cache
def code_hash() -> str:
    """SHA-256 of the sources that results follow from: of all packages but those that show them."""
    package = Path(spicekit.__file__).parent
    sources = {str(path.relative_to(package)): path.read_text("utf-8") for path in package.rglob("*.py")}
    return content_hash({name: text for name, text in sources.items() if not name.startswith(("cli/", "report/"))})


@functools.cache
def code_hash_of(module: str) -> str:
    """SHA-256 of the sources of a module of this package and of all that it imports from the package, directly or not.

    What a cache keeps is keyed by it: other code, another entry.
    """
    sources: dict[str, str] = {}
    _gather_sources(module, sources)
    return content_hash(sources)


def _gather_sources(module: str, sources: dict[str, str]) -> None:
    if module in sources or (found := _source(module)) is None:  # a name of a module, not a module
        return
    sources[module], imported = found
    for name in imported:
        _gather_sources(name, sources)


@functools.cache
def _source(module: str) -> tuple[str, list[str]] | None:
    """Text of a module of this package, and what it imports from the package; None if there is no such module."""
    place = Path(spicekit.__file__).parent.joinpath(*module.split(".")[1:])
    path = next((each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file()), None)
    if path is None:
        return None
    text = path.read_text("utf-8")
    imported = []
    for package, names in _IMPORTS.findall(text):
        imported += [package, *(f"{package}.{name}" for name in re.findall(r"\w+", names))]
    return text, imported


# In all texts of the package in a hundredth of a second, where parsing them takes half a second of each start; what a
# docstring seems to import counts, too.
_IMPORTS = re.compile(r"^\s*(?:from|import) (spicekit[\w.]*)(?: import (\([^)]*\)|.*))?", re.MULTILINE)


@functools.cache
def _platform() -> JsonDict:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
    }
