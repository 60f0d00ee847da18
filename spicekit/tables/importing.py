"""I-V tables made elsewhere: of measured silicon, or by another simulator."""

import zipfile
from pathlib import Path

import numpy as np

from spicekit.circuits.spec import TileSpec
from spicekit.errors import BadInput, BadTable
from spicekit.provenance import content_hash, provenance
from spicekit.tables.characterise import Characterisation, Sweep
from spicekit.tables.store import write_sweep
from spicekit.tables.table import IVTable

_LARGEST = 256 << 20  # bytes


def import_table(path: Path, spec: TileSpec, store: Path, *, source: str) -> Path:
    """Put a table into a store under the name by which a tile of `spec` finds it.

    Its origin says `imported` and from where, and goes into every result; `tables list` and `tables verify` say it too.

    Parameters
    ----------
    path : Path
        NumPy archive (.npz) with `voltage` (k,), V, from 0 in equal steps to the highest read voltage or beyond, and
        `current` (2, 2, k, k), A, indexed by stored bit, applied bit, bit-line and source-line voltage.
    spec : TileSpec
        Cell, devices, word-line voltage and corner that it is of; cell and devices by name alone.
    store : Path
    source : str
        Where it comes from, in words.

    Raises
    ------
    BadInput
        If there is no source, or the file is none of these.
    """
    if not source.strip():
        raise BadInput("import_table: a table needs its source: who measured or simulated what, and how.")
    try:
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"{path}: is longer than {_LARGEST >> 20} MB.")
        content = path.read_bytes()
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            voltage, current = (np.asarray(file[name], np.float64) for name in ("voltage", "current"))
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(
            f"{path}: is no table ({error}); pass a NumPy archive with voltage (k,) and current (2, 2, k, k), V and A, "
            "without pickles."
        ) from error
    if voltage.ndim != 1 or current.shape != (2, 2, voltage.size, voltage.size) or voltage.size < 5:
        raise BadInput(
            f"{path}: voltage is {voltage.shape}, current {current.shape}; expected (k,), (2, 2, k, k), k > 4."
        )
    if not np.isfinite(current).all() or voltage[0] != 0 or voltage[-1] < spec.v_read:
        raise BadInput(
            f"{path}: needs finite currents from 0 V to the read voltage, {spec.v_read:g} V, at least."
        )
    try:
        IVTable(voltage, current, {"imported": source})
    except BadTable as error:
        raise BadInput(f"{path}: {error}") from error
    request = Characterisation(spec)
    origin = provenance(
        {
            "conditions": {**request.conditions, "v_max": float(voltage[-1]), "points": voltage.size},
            "imported": {"source": source, "file": path.name, "sha256": content_hash(content)},
        }
    )
    target = store / f"{request.name}.h5"
    write_sweep(Sweep(voltage, current, (f"* imported: {source}\n",) * 2, origin), target)
    return target
