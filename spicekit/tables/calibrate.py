"""Calibration: tables that a store lacks are swept and written one by one, so that a stop loses little."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from spicekit.circuits.spec import TileSpec
from spicekit.decks.simulators import SimulatorName, simulator_at_hand
from spicekit.errors import BadInput, BadTable, MissingTable, NewerTable, NotConverged
from spicekit.files import lock, unlock, writing
from spicekit.provenance import content_hash
from spicekit.spice.simulator import Failure, Simulator
from spicekit.tables.characterise import Characterisation, Sweep, characterise
from spicekit.tables.store import current_sweep, user_store, write_sweep


@dataclass(frozen=True)
class CalibrationSummary:
    """What became of each requested table, by name."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    """Already in the store, intact and up to date."""
    incomplete: Mapping[str, str]
    """Those among both that did not converge everywhere, and where."""
    failed: Mapping[str, str]
    """Not made, and why."""


@dataclass(frozen=True)
class Progress:
    """How far a calibration is, in tables, or a study, in jobs."""

    made: int
    kept: int
    failed: int
    total: int


def calibrate(
    requests: Characterisation | TileSpec | Sequence[Characterisation | TileSpec],
    store: Path | str | None = None,
    *,
    simulator: SimulatorName = "ngspice",
    workers: int | None = None,
    timeout: float = 120.0,
    force: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> CalibrationSummary:
    """Make the tables that a store lacks.

    Several calibrations may work on one store at once: each table is made by one of them.

    Parameters
    ----------
    requests : TileSpec or Characterisation, or a sequence of them
        Requests for the same table count once.
    store : Path, optional
        Folder, made if it is not there; by default the user's own.
    simulator : {"ngspice", "vacask"}
        What sweeps the cells; a table that another one made is made anew.
    workers : int, optional
        Processes; as many as there are cores by default.
    timeout : float
        Seconds that the sweeps of one stored bit may take.
    force : bool
        Make every table, also those that are up to date.
    report : function
        Called after each table.

    Raises
    ------
    MissingTool
        If the simulator is not there.
    BadInput
        If the store cannot be written.
    NewerTable
        If the store holds a table of a newer schema, unless `force`.

    Examples
    --------
    >>> import spicekit as sk
    >>> spec = sk.TileSpec(wires=sk.Wires(layer="M2", pitch_nm=108))
    >>> done = sk.calibrate(spec, "tables")  # a hundred sweeps in ngspice
    >>> sk.load_table(spec, store="tables").origin["conditions"]["cell"], done.failed
    ('8t-sram', {})
    """
    asked = [requests] if isinstance(requests, Characterisation | TileSpec) else requests
    if odd := [one for one in asked if not isinstance(one, Characterisation | TileSpec)]:
        raise BadInput(f"calibrate: expected a TileSpec, got {type(odd[0]).__name__}; of a design, pass design.tile.")
    given = (one if isinstance(one, Characterisation) else Characterisation(one) for one in asked)
    by_name = {request.name: request for request in given}
    store, build = Path(store or user_store()), simulator_at_hand(simulator)
    became: dict[str, str] = {}
    faults: dict[str, str] = {}

    def record(name: str, what: Literal["made", "kept", "failed"], fault: str) -> None:
        became[name] = what
        if fault:
            faults[name] = fault
        count = Counter(became.values())
        report(Progress(count["made"], count["kept"], count["failed"], len(by_name)))

    def lacking(names: Iterable[str], *, others: list[str] | None) -> Iterator[Characterisation]:
        """Claim what is to be made, one by one; what other processes are making is for later, or waited for."""
        for name in names:
            if others is None:
                locks.wait(name)
            elif not locks.take(name):
                others.append(name)
                continue
            if not force and (sweep := _current(by_name[name], store, build)):
                record(name, "kept", _fault(sweep))
                locks.drop(name)
            else:
                yield by_name[name]

    if not force:
        for name, request in by_name.items():
            if sweep := _current(request, store, build):
                record(name, "kept", _fault(sweep))
    wanted = [name for name in by_name if name not in became]
    if wanted:
        with TableLocks(store) as locks:
            _remove_parts(store, locks)
            later: list[str] = []
            for names, others in ((wanted, later), (later, None)):
                if not names:
                    continue
                swept = characterise(
                    lacking(names, others=others), simulator=simulator, workers=workers, timeout=timeout
                )
                for request, outcome in swept:
                    if isinstance(outcome, Failure):
                        record(request.name, "failed", outcome.reason)
                    else:
                        write_sweep(outcome, store / f"{request.name}.h5")
                        record(request.name, "made", _fault(outcome))
                    locks.drop(request.name)
    return CalibrationSummary(
        made=tuple(name for name, what in became.items() if what == "made"),
        kept=tuple(name for name, what in became.items() if what == "kept"),
        incomplete={name: fault for name, fault in faults.items() if became[name] != "failed"},
        failed={name: fault for name, fault in faults.items() if became[name] == "failed"},
    )


LOCK_FILE = ".calibrating"


class TableLocks:
    """Locks of one calibration; the operating system drops them with it, however it ends.

    A table is a byte of the store's lock file, at an offset from the hash of its name.
    """

    def __init__(self, store: Path) -> None:
        with writing(store, "make it writable or pass another --store"):
            store.mkdir(parents=True, exist_ok=True)
            self._file = os.open(store / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def take(self, name: str) -> bool:
        """Lock a table; False if another calibration has it."""
        return lock(self._file, _offset(name), 1)

    def wait(self, name: str) -> None:
        """Lock a table as soon as no other calibration has it."""
        lock(self._file, _offset(name), 1, wait=True)

    def drop(self, name: str) -> None:
        """Give a lock back."""
        unlock(self._file, _offset(name), 1)


def _offset(name: str) -> int:
    return int(content_hash(name)[:15], 16)  # below 2^63, the largest offset


def _remove_parts(store: Path, locks: TableLocks) -> None:
    """Remove what a killed calibration had begun to write, unless it is another's that still runs."""
    for part in store.glob(".*.h5.*.part"):
        name = part.name[1:].partition(".h5.")[0]
        if locks.take(name):
            part.unlink(missing_ok=True)
            locks.drop(name)


def _current(request: Characterisation, store: Path, build: Simulator) -> Sweep | None:
    """What the store holds, if this simulator would make it again from today's cards and templates."""
    try:
        sweep = current_sweep(request, store)
    except NewerTable:
        raise  # worth more than what would replace it
    except (MissingTable, BadTable):
        return None
    return sweep if sweep.origin.get("key") == request.key(build) else None


def _fault(sweep: Sweep) -> str:
    """Where it did not converge; empty if it did everywhere."""
    try:
        sweep.table()
    except NotConverged as error:
        return str(error)
    return ""
