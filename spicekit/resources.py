"""Where the files that ship with spicekit lie: templates, device models, cells, calibrated tables.

In a checkout they are the repository's own folders, so that an edit takes effect at once; in a wheel
they lie in `spicekit/_data`.
"""

from pathlib import Path
from typing import Literal

from spicekit.errors import BadInput

Shipped = Literal["netlists", "device_models", "cells", "calibration"]

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: Shipped) -> Path:
    """Folder of shipped files: the installed package's own, or the checkout's.

    What lies beside an installed package is not ours: any distribution may put a folder there.

    Raises
    ------
    BadInput
        If neither the checkout nor the installed package holds it.
    """
    installed = (_PACKAGE / "_data").is_dir()
    if installed or (_PACKAGE.parent / "pyproject.toml").is_file():
        candidate = (_PACKAGE / "_data" if installed else _PACKAGE.parent) / name
        if candidate.is_dir():
            return candidate
    raise BadInput(
        f"shipped_folder({name!r}): found neither in a checkout nor in the installed package at "
        f"{_PACKAGE}; reinstall spicekit."
    )
