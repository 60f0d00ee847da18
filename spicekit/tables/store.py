"""Folders of I-V tables in HDF5; the only module that knows h5py.

One file holds one table, written whole or not at all. What is read is checked against its checksum, and against
the cards and templates of today.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import platformdirs

from spicekit.circuits.spec import TileSpec
from spicekit.errors import BadTable, MissingTable
from spicekit.files import write_atomically
from spicekit.resources import shipped_folder
from spicekit.tables.characterise import Characterisation
from spicekit.tables.table import IVTable

SCHEMA = 1
"""Version of the file layout described in docs/tables.md."""


def user_store() -> Path:
    """Folder of the tables that this user calibrated; `SPICEKIT_TABLES` overrides it."""
    given = os.environ.get("SPICEKIT_TABLES")
    return Path(given) if given else Path(platformdirs.user_data_dir("spicekit")) / "tables"


def find_table(spec: TileSpec, *, store: Path | None = None) -> IVTable:
    """Table that fits a tile, from the user's store or from those that ship.

    Parameters
    ----------
    spec : TileSpec
    store : Path, optional
        Look here only.

    Raises
    ------
    MissingTable
        If nobody calibrated this cell, device, corner and word-line voltage.
    BadTable
        If the file is damaged, stale or of another schema.
    """
    request = Characterisation(spec)
    folders = [store] if store else [user_store(), shipped_folder("calibration")]
    for folder in folders:
        if (folder / f"{request.name}.h5").is_file():
            return read_current_table(request, folder)
    raise MissingTable(
        f"no I-V table {request.name}.h5 in {', '.join(map(str, folders))}; "
        f"make it with: spicekit calibrate --spec SPEC.toml"
    )


def read_current_table(request: Characterisation, store: Path) -> IVTable:
    """Table of a request, made from today's cards and templates.

    Raises
    ------
    MissingTable
        If the store does not have it.
    BadTable
        If the file is damaged, stale or of another schema.
    """
    path = store / f"{request.name}.h5"
    if not path.is_file():
        raise MissingTable(f"no I-V table {path}; make it with: spicekit calibrate --spec SPEC.toml")
    table = read_table(path)
    if table.origin.get("deck_sha256") != request.deck_hash:
        raise BadTable(f"{path}: was calibrated from another card or template than today's; {_REPAIR}")
    return table


def write_table(table: IVTable, path: Path) -> None:
    """Write a table so that `path` is, at any moment, absent, the old file or the new one."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _fill(file, table)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def read_table(path: Path) -> IVTable:
    """Table of one file.

    Raises
    ------
    BadTable
        If it is no HDF5 file of this schema, or its values do not match their checksum.
    """
    try:
        with h5py.File(path, "r") as file:
            schema = int(file.attrs["schema"])
            if schema > SCHEMA:
                raise BadTable(
                    f"{path}: has schema {schema}, this spicekit reads {SCHEMA}; upgrade spicekit."
                )
            table = IVTable(
                voltage=np.asarray(file["v_bl"], np.float64),
                current=np.asarray(file["current"], np.float64),
                origin=json.loads(str(file.attrs["origin"])),
            )
            expected = str(file.attrs["sha256"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise BadTable(f"{path}: is not a readable spicekit table ({error}); {_REPAIR}") from error
    except BadTable as error:
        raise BadTable(f"{path}: {error}") from error
    if table.sha256 != expected:
        raise BadTable(f"{path}: its values do not match their checksum (edited or damaged); {_REPAIR}")
    return table


_REPAIR = "recalibrate with: spicekit calibrate --spec SPEC.toml"

_DIMENSIONS: dict[str, tuple[str, str]] = {
    "w": ("1", "stored weight bit"),
    "a": ("1", "activation bit"),
    "v_bl": ("V", "bit-line terminal (row terminal with bit-line drive)"),
    "v_sl": ("V", "source-line terminal (column terminal with bit-line drive)"),
}


def _fill(file: Any, table: IVTable) -> None:
    file.attrs["schema"] = SCHEMA
    file.attrs["origin"] = json.dumps(table.origin, sort_keys=True)
    file.attrs["sha256"] = table.sha256
    bits = np.array([0, 1], np.uint8)
    axes = {"w": bits, "a": bits, "v_bl": table.voltage, "v_sl": table.voltage}
    for name, values in axes.items():
        axis = file.create_dataset(name, data=values)
        axis.make_scale(name)
        axis.attrs["units"], axis.attrs["long_name"] = _DIMENSIONS[name]
    current = file.create_dataset(
        "current",
        data=table.current,
        chunks=(1, 1, *table.current.shape[2:]),
        compression="gzip",
        shuffle=True,
    )
    current.attrs["units"] = "A"
    current.attrs["long_name"] = "current into the bit-line terminal and out of the source-line terminal"
    for position, name in enumerate(axes):
        current.dims[position].attach_scale(file[name])
