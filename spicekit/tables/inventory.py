"""What lies in stores, and whether it is intact and up to date; tables that were made elsewhere come in here."""

import difflib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.decks.simulators import SimulatorName, simulate_all_with
from spicekit.errors import BadInput, BadTable, MissingTable, SpiceFailed
from spicekit.files import read_arrays, read_file, read_json, shipped_folder, write_atomically
from spicekit.provenance import content_hash, provenance
from spicekit.spice.simulator import FALLBACKS, Job, Step
from spicekit.tables.characterise import POINTS, V_MAX, Characterisation, Sweep, made_by
from spicekit.tables.store import (
    check_current,
    checked_table,
    impossible,
    read_sweep,
    user_store,
    write_sweep,
)
from spicekit.tables.table import IVTable

MANIFEST = "manifest.json"
"""In a store that ships: the SHA-256 of each file."""


@dataclass(frozen=True)
class Entry:
    """One file of a store."""

    path: Path
    sweep: Sweep | None
    """None if it cannot be read."""
    fault: str
    """Why no engine would take it; empty if one would."""

    @property
    def devices(self) -> str:
        """Models of the cell, as far as they are known; where it was imported from."""
        if self.sweep and "imported" in self.sweep.origin:
            return made_by(self.sweep.origin)
        device = self.sweep.origin["conditions"].get("device", {}) if self.sweep else {}
        return ", ".join(f"{device[key]}" for key in ("nmos", "reram") if key in device)

    @property
    def on_current(self) -> float:
        """A, of an ON cell with half of the highest voltage on its bit line and the source line at 0 V; or NaN."""
        return float(self.sweep.current[1, 1, len(self.sweep.voltage) // 2, 0]) if self.sweep else math.nan


def stores() -> list[Path]:
    """Folders that tables are looked for in: the user's, then the one that ships."""
    return [user_store(), shipped_folder("calibration")]


def inventory(store: Path) -> list[Entry]:
    """Every table of a store, in order of its name."""
    entries = []
    for path in sorted(store.glob("*.h5")):
        sweep, fault = None, ""
        try:
            sweep = read_sweep(path)
            check_current(sweep, path)
            checked_table(sweep, path)
        except (BadTable, BadInput) as error:
            fault = str(error)
        entries.append(Entry(path, sweep, fault))
    return entries


def simulated_faults(entries: Sequence[Entry], *, rng: np.random.Generator | None = None) -> list[str]:
    """Which tables are not given again: a few points of each are simulated anew, by what made it, from today's cards.

    Some are the same every time, others drawn by `rng`, anew if there is none: a file that only claims to be a sweep of
    ours is found out. Imported tables claim nothing, and are left out.
    """
    whole = [(entry.path, entry.sweep) for entry in entries if entry.sweep and not entry.fault]
    swept = [(path, sweep) for path, sweep in whole if "imported" not in sweep.origin]
    faults = [
        f"{path}: says neither which simulator made it nor that it was imported"
        for path, sweep in swept
        if sweep.origin.keys().isdisjoint(get_args(SimulatorName))
    ]
    drawn = (rng or np.random.default_rng()).integers((1, 0, 0), (2, POINTS, POINTS // 2), (_DRAWN, 3))
    spots = np.concatenate([_SPOTS, drawn])
    for simulator in get_args(SimulatorName):
        ours = [(path, sweep) for path, sweep in swept if simulator in sweep.origin]
        requests = [Characterisation.of(sweep.origin["conditions"]) for _, sweep in ours]
        jobs = [
            Job(deck, tuple(_points(request, spots)), keep=("vsl#branch",), fallbacks=FALLBACKS)
            for request in requests
            for deck in request.decks
        ]
        found: dict[int, str] = {}
        for index, outcome in simulate_all_with(simulator, jobs) if jobs else ():
            path, sweep = ours[index // 2]
            try:
                again = np.array([wave["vsl#branch"][0] for wave in outcome.waves()])
            except SpiceFailed as trouble:
                found[index // 2] = f"{path}: cannot be simulated again ({trouble})"
                continue
            here = sweep.current[index % 2][tuple(spots.T)]
            if not (abs(again - here) <= _AGREES * abs(sweep.current[1, 1]).max()).all():
                found[index // 2] = (
                    f"{path}: {simulator} gives other currents: it is no sweep of these cards; make it anew"
                )
        faults += [found[place] for place in sorted(found)]
    return faults


# Applied bit and both indices on the voltage axis, of the points that are simulated again; and by how much of the
# largest ON current they may differ, which another version of ngspice stays far below. So many more
# are drawn, of asserted cells and where their currents are not small.
_SPOTS = ((1, 28, 0), (1, 56, 0), (1, 40, 13), (1, 5, 30), (0, 28, 0), (0, 56, 3))
_AGREES, _DRAWN = 1e-4, 12


def _points(request: Characterisation, spots: NDArray[np.integer]) -> Iterator[Step]:
    step = V_MAX / (POINTS - 1)
    for number, (a, bl, sl) in enumerate(spots.tolist()):
        volts = (f"vwl dc {request.spec.v_wl * a!r}", f"vbl dc {bl * step!r}", f"vsl dc {sl * step!r}")
        yield Step("op", (*(request.sample.alters if number == 0 else ()), *volts))


@dataclass(frozen=True)
class StateDifference:
    """How far the currents of two tables are apart in one state of the cell."""

    w: int
    a: int
    first: float
    """A, at half of the highest voltage on the bit line and 0 V on the source line."""
    second: float
    rms: float
    """Over all voltages, as a fraction of the largest current of the first table."""
    worst: float


def table_differences(first: Path, second: Path) -> list[StateDifference]:
    """Two tables, of any conditions and simulators, state by state; `BadInput` if their voltages differ."""
    one, other = read_sweep(first), read_sweep(second)
    if not np.array_equal(one.voltage, other.voltage):
        raise BadInput(
            f"tables compare: {first} has {one.voltage.size} voltages up to {one.voltage[-1]:g} V, {second} "
            f"{other.voltage.size} up to {other.voltage[-1]:g} V; pass tables on the same grid."
        )
    error = (other.current - one.current) / np.nanmax(np.abs(one.current))
    middle = one.voltage.size // 2
    return [
        StateDifference(
            w,
            a,
            float(one.current[w, a, middle, 0]),
            float(other.current[w, a, middle, 0]),
            float(np.sqrt(np.mean(error[w, a] ** 2))),
            float(np.abs(error[w, a]).max()),
        )
        for w, a in np.ndindex(2, 2)
    ]


def manifest_faults(store: Path) -> list[str]:
    """How the files of a store differ from its manifest; nothing if it has none."""
    path = store / MANIFEST
    if not path.is_file():
        return []
    try:
        expected = dict(read_json(path)["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadTable(f"{path}: is not a readable manifest ({error}); {_SHIP}") from error
    there = _sums(store)
    words = {
        (True, False): "is missing",
        (False, True): "is not in the manifest",
        (True, True): "was changed",
    }
    return [
        f"{store / name}: {words[name in expected, name in there]}; {_SHIP}"
        for name in sorted(expected.keys() | there.keys())
        if expected.get(name) != there.get(name)
    ]


def write_manifest(store: Path) -> None:
    """List the SHA-256 of every table of a store."""
    write_atomically(store / MANIFEST, json.dumps({"sha256": _sums(store)}, indent=2) + "\n")


def locate(name: str, folders: Sequence[Path]) -> Path:
    """File of a table, from its path, its name or the beginning of its name.

    `MissingTable` if there is none; `BadInput` if the beginning fits several.
    """
    if Path(name).is_file():
        return Path(name)
    for folder in folders:
        found = sorted(path for path in folder.glob("*.h5") if path.name.startswith(name))
        if len(found) > 1:
            raise BadInput(f"{name!r} fits several tables: {', '.join(path.stem for path in found)}; say more.")
        if found:
            return found[0]
    known = [path.stem for folder in folders for path in folder.glob("*.h5")]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    raise MissingTable(
        f"there is no table {name!r} in {' or '.join(map(str, folders))}; "
        + (f"the nearest is {near[0]}; " if near else "")
        + "see: spicekit tables list"
    )


_SHIP = "make the folder anew with: python scripts/ship_tables.py, or reinstall spicekit"


def _sums(store: Path) -> dict[str, str]:
    return {path.name: content_hash(path.read_bytes()) for path in sorted(store.glob("*.h5"))}


_LARGEST = 256 << 20  # bytes
HIGHEST_VOLTAGE = 2.0
"""V, of a table that was made elsewhere: no read goes beyond 0.7 V; more is another unit. Assumed."""


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
        content = read_file(path, largest=_LARGEST)
        arrays = read_arrays(path, ("voltage", "current"), unpacked=_LARGEST)
        voltage, current = (np.asarray(each, np.float64) for each in arrays.values())
        table = IVTable(voltage, current, {"imported": source})
    except (ValueError, TypeError, BadTable) as error:
        raise BadInput(
            f"{path}: is no table ({error}); pass a NumPy archive with voltage (k,) and current (2, 2, k, k), V and A, "
            "without pickles."
        ) from error
    if voltage[0] != 0 or voltage[-1] < spec.v_read:
        raise BadInput(f"{path}: needs currents from 0 V to the read voltage, {spec.v_read:g} V, at least.")
    if voltage[-1] > HIGHEST_VOLTAGE:
        raise BadInput(
            f"{path}: voltage ends at {voltage[-1]:g}; expected at most {HIGHEST_VOLTAGE:g} V; divide mV by 1000."
        )
    if fault := impossible(table):
        raise BadInput(f"{path}: {fault}; pass current in A, indexed by stored bit, applied bit, v_bl, v_sl.")
    on, off = (float(np.interp(spec.v_read, voltage, current[w, 1, :, 0])) for w in (1, 0))
    if on <= off:
        raise BadInput(
            f"{path}: at {spec.v_read:g} V and 0 V an asserted cell that stores 1 carries {on:.3g} A, one with 0 "
            f"{off:.3g} A; the former must be the larger: current is indexed by stored bit, then applied bit."
        )
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
