"""Folders of I-V tables in HDF5; the only module that knows h5py.

One file holds one table, written whole or not at all (docs/tables.md describes it). What is read is checked against
its checksum, and against the cards and templates of today.
"""

import functools
import io
import json
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from spicekit.circuits.cells import load_cell
from spicekit.circuits.spec import TileSpec
from spicekit.devices.reram import load_reram
from spicekit.errors import BadInput, BadTable, MissingTable, NewerTable, NotConverged
from spicekit.files import read_file, shipped_folder, write_atomically, writing
from spicekit.provenance import JsonDict, content_hash
from spicekit.tables.characterise import POINTS, V_MAX, Characterisation, Sweep, default_plan
from spicekit.tables.table import IVTable

SCHEMA = 2
"""Version of the file layout. 1, which is not read, had no decks, and a checksum over axis and currents alone."""
_LARGEST = 64 << 20  # bytes of a file
_MOST_POINTS = 1025  # on an axis; tables have 57


def user_store() -> Path:
    """Folder of the tables that this user calibrated; `SPICEKIT_TABLES` overrides it."""
    given = os.environ.get("SPICEKIT_TABLES")
    return Path(given) if given else Path(platformdirs.user_data_dir("spicekit")) / "tables"


def find_table(spec: TileSpec, *, store: Path | None = None) -> IVTable:
    """Table that fits a tile, from the user's store or from those that ship.

    Parameters
    ----------
    store : Path, optional
        Look here only.

    Raises
    ------
    MissingTable
        If nobody calibrated this cell, device, corner and word-line voltage.
    BadTable
        If the files that there are, are damaged, stale, incomplete or of a newer schema.
    BadInput
        If there is no such device.
    """
    request = Characterisation(spec)
    folders = [Path(store)] if store else [user_store(), shipped_folder("calibration")]
    faults = []
    for folder in folders:
        try:
            return checked_table(current_sweep(request, folder), folder / f"{request.name}.h5")
        except MissingTable:
            continue
        except BadTable as error:
            faults.append(error)
    if faults:
        raise faults[0]
    spec.card("nmos")
    if load_cell(spec.cell).sheet.reram:
        load_reram(spec.device.reram)
    raise MissingTable(
        f"there is no I-V table {request.name}.h5 in {' or '.join(map(str, folders))}; "
        f"make it with: {_command(folders[0] / f'{request.name}.h5')}"
    )


def table_for(spec: TileSpec, table: IVTable | None, *, store: Path | None = None) -> IVTable:
    """The table given, if it was swept under a tile's conditions; if none is given, the one that `find_table` finds.

    Linear tables count as what they were made of, at the read voltage that they were made for. A table that is of no
    card says so in its `origin`, under `synthetic`, and fits every tile. `BadInput` if the table is of another cell,
    device, corner or word-line voltage, or does not reach `v_read`; names both sides; `MissingTable` or `BadTable` as
    `find_table` does.
    """
    if table is None:
        return find_table(spec, store=store)
    if not isinstance(table, IVTable):
        raise BadInput(
            f"table: expected an IVTable or None, got {type(table).__name__}; spicekit.load_table(spec) finds it."
        )
    wanted = _flat(Characterisation(spec).conditions)
    held = _flat(table.origin.get("conditions", {}))
    if "synthetic" in table.origin:
        wanted = {}
    elif not held:
        raise BadInput(
            "the I-V table does not say which cell, device and corner it is of; take one from find_table(spec), or say "
            "what made it: origin={'synthetic': 'a formula of mine'}."
        )
    if "linear_at" in table.origin:
        wanted["v_read"], held["v_read"] = spec.v_read, table.origin["linear_at"]
    differing = [name for name in sorted(wanted.keys() - _SWEPT) if held.get(name) != wanted[name]]
    if differing:
        raise BadInput(
            f"the I-V table is of {_said(held, differing)}, the tile of {_said(wanted, differing)}; "
            f"take the table that find_table(spec) finds."
        )
    if table.voltage[0] > 0 or table.voltage[-1] < spec.v_read:
        raise BadInput(
            f"the I-V table is of {table.voltage[0]:g} to {table.voltage[-1]:g} V, the tile's cells see 0 V to "
            f"v_read = {spec.v_read:g} V; take a table that covers it."
        )
    return table


# How a table was swept, and of which sample: of no concern to a tile.
_SWEPT = {"v_max", "points", "seed"}


def _flat(conditions: JsonDict) -> JsonDict:
    """Conditions with those of a corner and a device beside all others."""
    inner = [each for each in conditions.values() if isinstance(each, dict)]
    outer = {name: each for name, each in conditions.items() if not isinstance(each, dict)}
    return functools.reduce(operator.or_, inner, outer)


def _said(conditions: JsonDict, names: Iterable[str]) -> str:
    return ", ".join(f"{name} {conditions.get(name)}" for name in names)


def current_sweep(request: Characterisation, store: Path) -> Sweep:
    """What a store holds for a characterisation, if it was made from today's cards and templates.

    `MissingTable` if the store does not have it; `BadTable` if the file is damaged, stale or of a newer schema.
    """
    path = store / f"{request.name}.h5"
    if not path.is_file():
        raise MissingTable(f"there is no I-V table {path}; make it with: {_command(path)}")
    sweep = read_sweep(path)
    check_current(sweep, path)
    return sweep


def check_current(sweep: Sweep, path: Path) -> None:
    """`BadTable` if what `path` holds belongs elsewhere, or was made from other cards or templates than today's.

    One that was imported has no cards: it belongs where its conditions say.
    """
    request = Characterisation.of(sweep.origin["conditions"])
    if path.name != f"{request.name}.h5":
        raise _bad(path, f"holds the table {request.name} (renamed, or of another spicekit)")
    if "imported" in sweep.origin:
        return
    if sweep.origin.get("deck_sha256") != request.deck_hash:
        raise _bad(path, "is stale: the card or template has changed since")
    if sweep.voltage.shape != (POINTS,) or not np.allclose(sweep.voltage, np.linspace(0.0, V_MAX, POINTS)):
        raise _bad(path, "its voltages are not those of a sweep of ours")
    if request.hash_of(sweep.decks) != sweep.origin.get("deck_sha256"):
        raise _bad(path, "its decks are not those that it says it was made from")


def checked_table(sweep: Sweep, path: Path) -> IVTable:
    """The I-V table that `path` holds; `BadTable` if points are missing, or no cell can carry its currents."""
    try:
        table = sweep.table()
    except NotConverged as error:
        raise BadTable(f"{path}: {error}") from error
    if fault := impossible(table):
        raise _bad(path, fault)
    return table


def impossible(table: IVTable) -> str:
    """Why no cell can carry these currents; empty if one can."""
    largest = np.abs(table.current).max()
    power = table.current * np.subtract.outer(table.voltage, table.voltage)
    if largest <= _MOST_CURRENT and power.min() >= -_LEAST_POWER * largest * table.voltage[-1]:
        return ""
    return (
        f"has impossible currents: up to {largest:.3g} A, and cells that give {max(0.0, -power.min()):.3g} W to the "
        "wires where they can only take some"
    )


_MOST_CURRENT = 10e-3  # A, assumed: two hundred times what a cell here carries
# Of the largest current times the largest voltage. Leakage of gates and drains, which shipped cards do not have, makes
# 7e-8 of it in BSIM-CMG, simulators' errors in the shipped tables 1e-14.
_LEAST_POWER = 1e-6


def read_sweep(path: Path) -> Sweep:
    """What one file holds.

    `BadTable` if it is no HDF5 file of this schema, or its content does not match its checksum.
    """
    import h5py

    sweep = None
    try:
        content = io.BytesIO(read_file(path, largest=_LARGEST))
        with h5py.File(content, "r") as file:
            schema = int(file.attrs["schema"])
            if schema < SCHEMA:
                raise ValueError(f"schema {schema}, which protects too little of what it holds")
            if schema == SCHEMA:
                sweep, expected = _read(file)
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise _bad(path, f"is not a readable spicekit table ({error})") from error
    if sweep is None:
        raise NewerTable(
            f"{path}: has schema {schema}, this spicekit reads up to {SCHEMA}; upgrade spicekit, or replace the file "
            f"by one of this schema with: {_command(path)} --force"
        )
    if checksum(sweep) != expected:
        raise _bad(path, "does not match its checksum (edited or damaged)")
    try:
        IVTable(sweep.voltage, np.nan_to_num(sweep.current), {})
    except BadTable as error:
        raise _bad(path, str(error).rstrip(".")) from error
    return sweep


def write_sweep(sweep: Sweep, path: Path) -> None:
    """Write a table so that `path` is, at any moment, absent, the old file or the new one.

    `BadInput` if the disk is full or the folder cannot be written.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["origin"] = json.dumps(sweep.origin, sort_keys=True)
        file.attrs["sha256"] = checksum(sweep)
        bits = np.array([0, 1], np.uint8)
        axes = {"w": bits, "a": bits, "v_bl": sweep.voltage, "v_sl": sweep.voltage}
        for name, values in axes.items():
            file.create_dataset(name, data=values).make_scale(name)
        packed = {"chunks": (1, 1, *sweep.current.shape[2:]), "compression": "gzip", "shuffle": True}
        file.create_dataset("current", data=sweep.current, **packed)
        file.create_dataset("converged", data=sweep.converged.astype(np.uint8), **packed)
        file.create_dataset("deck", data=list(sweep.decks), dtype=h5py.string_dtype())
        for name, attributes in _ATTRIBUTES.items():
            file[name].attrs.update(attributes)
        for name in ("current", "converged", "deck"):
            for dimension, axis in zip(file[name].dims, axes, strict=False):  # a deck has but one
                dimension.attach_scale(file[axis])
    kept = "what was finished before is kept: mend this or pass another --store, then repeat the command"
    with writing(path, kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())


def checksum(sweep: Sweep) -> str:
    """SHA-256 of all that a table's file holds."""
    values = content_hash(content_hash(sweep.voltage) + content_hash(sweep.current))
    return content_hash([values, list(sweep.decks), sweep.origin])


def _command(path: Path) -> str:
    """What makes a table: the default plan has it, or a tile spec is needed, or the plan that named a seed."""
    default = path.name.removesuffix(".h5") in _default_names()
    wanted = " --plan PLAN.toml" if "-mc" in path.name else " --spec TILE.toml"
    own = path.parent in (user_store(), shipped_folder("calibration"))
    return "spicekit calibrate" + ("" if default else wanted) + ("" if own else f" --store {path.parent}")


@functools.cache
def _default_names() -> set[str]:
    return {request.name for request in default_plan()}


def _bad(path: Path, fault: str) -> BadTable:
    return BadTable(f"{path}: {fault}; make it anew with: {_command(path)}")


_ATTRIBUTES = {
    "w": {"units": "1", "long_name": "stored weight bit"},
    "a": {"units": "1", "long_name": "activation bit"},
    "v_bl": {"units": "V", "long_name": "bit-line terminal (row terminal with bit-line drive)"},
    "v_sl": {"units": "V", "long_name": "source-line terminal (column terminal with bit-line drive)"},
    "current": {
        "units": "A",
        "long_name": "current into the bit-line terminal and out of the source-line terminal",
    },
    "converged": {"units": "1", "long_name": "1 where ngspice converged; elsewhere the current is NaN"},
    "deck": {"long_name": "SPICE deck that was swept, with the device models, by stored weight bit"},
}


def _read(file: Any) -> tuple[Sweep, str]:
    """Content and checksum."""
    points = _dataset(file, "v_bl", kind="f").shape[0]
    if points > _MOST_POINTS:
        raise ValueError(f"an axis of {points} points")
    shape = (2, 2, points, points)
    sweep = Sweep(
        voltage=np.asarray(_dataset(file, "v_bl", (points,), kind="f"), np.float64),
        current=np.asarray(_dataset(file, "current", shape, kind="f"), np.float64),
        decks=tuple(_dataset(file, "deck", (2,), kind="O").asstr()[:].tolist()),
        origin=json.loads(str(file.attrs["origin"])),
    )
    if not isinstance(sweep.origin, dict) or not isinstance(sweep.origin.get("conditions"), dict):
        raise ValueError("it does not say under which conditions it was swept")
    mask = _dataset(file, "converged", shape, kind="u")
    if not np.array_equal(np.asarray(mask, bool), sweep.converged):
        raise ValueError("its mask and its currents disagree about which points converged")
    return sweep, str(file.attrs["sha256"])


def _dataset(file: Any, name: str, shape: tuple[int, ...] | None = None, *, kind: str) -> Any:
    """A dataset that lies in the file itself, of the shape and kind expected: looked at before anything is read."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link to something else")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{name} is no array")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{name} lies in another file")
    if dataset.dtype.kind != kind or not dataset.shape or (shape and dataset.shape != shape):
        raise ValueError(f"{name} is {dataset.dtype} shaped {dataset.shape}")
    return dataset
