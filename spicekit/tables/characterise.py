"""Characterisation: sweep one cell in ngspice over both terminal voltages, in each of its four states."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spicekit.circuits.render import cell_deck
from spicekit.circuits.spec import CellName, TileSpec
from spicekit.provenance import content_hash, provenance
from spicekit.spice.simulator import Failure, Job, Step, Waves, ngspice_version, simulate_all
from spicekit.tables.table import IVTable

# V. Up to the nominal supply, so that one table serves every read voltage.
V_MAX = 0.70
# 12.5 mV steps: the bicubic spline then stays within 1e-4 of the ON current (tests/tables).
POINTS = 57


# What of a cell's devices carries read current.
_DEVICE_FIELDS: dict[CellName, set[str]] = {"8t-sram": {"nmos", "fins"}, "1t1r": {"nmos", "fins", "reram"}}


@dataclass(frozen=True)
class Characterisation:
    """What decides an I-V table: everything in a tile spec but its size, wires and read voltage."""

    spec: TileSpec

    @property
    def conditions(self) -> dict[str, object]:
        """The deciding fields, JSON-ready."""
        spec = self.spec
        return {
            "cell": spec.cell,
            "v_wl": spec.v_wl,
            "corner": spec.corner.model_dump(),
            "device": spec.device.model_dump(include=_DEVICE_FIELDS[spec.cell]),
            "v_max": V_MAX,
            "points": POINTS,
        }

    @property
    def name(self) -> str:
        """File name of the table, without ending: readable, and unique by hash of the conditions."""
        spec = self.spec
        millivolt = round(1e3 * spec.corner.vdd)
        kelvin = round(spec.corner.temperature)
        digest = content_hash(self.conditions)[:10]
        return f"{spec.cell}-{spec.corner.process}-{millivolt}mV-{kelvin}K-{digest}"

    def decks(self) -> tuple[str, str]:
        """Cell decks with weight 0 and weight 1."""
        return cell_deck(self.spec, weight=0), cell_deck(self.spec, weight=1)

    @property
    def deck_hash(self) -> str:
        """Changes with any template, card or option that the sweep depends on; comments and layout do not count."""
        return content_hash([_substance(deck) for deck in self.decks()])


def _substance(deck: str) -> str:
    """What ngspice takes from a deck: no comments, continuations joined, one space between tokens."""
    code = "\n".join(line for line in deck.splitlines() if line.strip() and not line.startswith("*"))
    joined = code.replace("\n+", " ")
    return "\n".join(" ".join(_TOKEN.findall(line)) for line in joined.splitlines())


_TOKEN = re.compile(r"[^\s()=,]+|[()=,]")


def characterise(
    requests: Sequence[Characterisation], *, workers: int | None = None, timeout: float = 120.0
) -> Iterator[tuple[Characterisation, IVTable | Failure]]:
    """I-V tables from ngspice, each as soon as it is there; a request whose sweep failed comes with the reason.

    Parameters
    ----------
    requests : sequence of Characterisation
    workers : int, optional
        Processes; as many as there are cores by default.
    timeout : float
        Seconds that one sweep may take.
    """
    jobs = [job for request in requests for job in _jobs(request)]
    outcomes: dict[int, list[Waves] | Failure] = {}
    for index, outcome in simulate_all(jobs, workers=workers, timeout=timeout):
        outcomes[index] = outcome
        first = index - index % 2  # of the request's two jobs, weight 0 and weight 1
        if first in outcomes and first + 1 in outcomes:
            request = requests[first // 2]
            yield request, _table(request, [outcomes.pop(first), outcomes.pop(first + 1)])


def _jobs(request: Characterisation) -> list[Job]:
    step = V_MAX / (POINTS - 1)
    sweep = f"dc vbl 0 {V_MAX!r} {step!r} vsl 0 {V_MAX!r} {step!r}"
    steps = (Step(sweep, ("vwl dc 0",)), Step(sweep, (f"vwl dc {request.spec.v_wl!r}",)))
    return [Job(deck, steps, keep=("vsl#branch",)) for deck in request.decks()]


def _table(request: Characterisation, outcomes: Sequence[list[Waves] | Failure]) -> IVTable | Failure:
    currents = []
    for weight, outcome in enumerate(outcomes):
        if isinstance(outcome, Failure):
            return Failure(f"weight {weight}: {outcome.reason}")
        for waves in outcome:
            sweep = waves["vsl#branch"]
            if sweep.size != POINTS**2:
                return Failure(f"weight {weight}: ngspice returned {sweep.size} of {POINTS**2} points")
            # ngspice's inner sweep, the last axis, is v_bl; a source's branch current flows into its plus
            # node, so that of vsl is what leaves the cell.
            currents.append(sweep.reshape(POINTS, POINTS).T)
    return IVTable(
        voltage=np.linspace(0.0, V_MAX, POINTS),
        current=np.array(currents).reshape(2, 2, POINTS, POINTS),
        origin=provenance(
            {
                "conditions": request.conditions,
                "deck_sha256": request.deck_hash,
                "ngspice": ngspice_version(),
            }
        ),
    )
