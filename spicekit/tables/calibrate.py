"""Calibration: tables that a store lacks are swept in ngspice and written one by one, so that a stop loses little."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spicekit.errors import BadTable, MissingTable
from spicekit.spice.simulator import Failure
from spicekit.tables.characterise import Characterisation, characterise
from spicekit.tables.store import read_current_table, write_table


@dataclass(frozen=True)
class CalibrationSummary:
    """What became of each requested table, by name."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    """Already in the store, intact and up to date."""
    failed: Mapping[str, str]
    """With the reason."""


@dataclass(frozen=True)
class Progress:
    """How far a calibration is."""

    made: int
    kept: int
    failed: int
    total: int


def calibrate(
    requests: Sequence[Characterisation],
    store: Path,
    *,
    workers: int | None = None,
    timeout: float = 120.0,
    force: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> CalibrationSummary:
    """Make the tables that a store lacks.

    Parameters
    ----------
    requests : sequence of Characterisation
        Requests for the same table count once.
    store : Path
        Folder; made if it is not there.
    workers : int, optional
        Processes; as many as there are cores by default.
    timeout : float
        Seconds that one sweep may take.
    force : bool
        Make every table, also those that are up to date.
    report : function
        Called at the start and after each table.

    Raises
    ------
    MissingTool
        If ngspice is not there.
    BadInput
        If the store cannot be written.
    """
    by_name = {request.name: request for request in requests}
    kept = tuple(name for name, request in by_name.items() if not force and _is_current(request, store))
    made: list[str] = []
    failed: dict[str, str] = {}

    def tell() -> None:
        report(Progress(len(made), len(kept), len(failed), len(by_name)))

    tell()
    wanted = [request for name, request in by_name.items() if name not in kept]
    for request, outcome in characterise(wanted, workers=workers, timeout=timeout):
        if isinstance(outcome, Failure):
            failed[request.name] = outcome.reason
        else:
            write_table(outcome, store / f"{request.name}.h5")
            made.append(request.name)
        tell()
    return CalibrationSummary(tuple(made), kept, failed)


def _is_current(request: Characterisation, store: Path) -> bool:
    try:
        read_current_table(request, store)
    except (MissingTable, BadTable):
        return False
    return True
