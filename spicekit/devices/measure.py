"""A transistor's figures of merit, measured in ngspice as a data sheet defines them.

Bias and sign: everything is measured on one fin with source and bulk at 0 V; a PMOS is driven by the mirror
images of the same voltages, so that all its figures are positive too.

Vt is a constant-current threshold: the gate voltage at which one fin carries `CRITERION`. The published
Vt, SS and Ioff of the seven-nanometre targets imply that current (`docs/decisions/threshold-criterion.md`).
Ieff is the mean of I(Vg = Vdd, Vd = Vdd/2) and I(Vg = Vdd/2, Vd = Vdd) (Na et al., IEDM 2002).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.devices.cards import Card
from spicekit.devices.corners import Corner
from spicekit.spice.simulator import Job, Step, Waves, simulate
from spicekit.units import to_celsius

CRITERION = 10e-9  # A per fin; implied by the published figures, see the module's docstring
V_LINEAR = 0.05  # V, drain voltage of the linear region; assumed, the usual choice
_GATE_FROM = -0.25  # V, low enough for the swing of the lowest threshold
_GATE_STEP = 0.005  # V; log-linear interpolation in between is good to 1e-4 V


@dataclass(frozen=True)
class Figures:
    """Figures of merit of one fin, in magnitudes."""

    idsat: float
    """A, at Vg = Vd = Vdd."""
    ieff: float
    """A, see the module's docstring."""
    idlin: float
    """A, at Vg = Vdd and Vd = `V_LINEAR`."""
    ioff: float
    """A, at Vg = 0 and Vd = Vdd."""
    vtsat: float
    """V, at Vd = Vdd."""
    vtlin: float
    """V, at Vd = `V_LINEAR`."""
    ss: float
    """V per decade, over the decade below `CRITERION` at Vd = Vdd."""
    dibl: float
    """V/V, (vtlin - vtsat) / (Vdd - `V_LINEAR`)."""


def measure(cards: Sequence[Card], corner: Corner) -> list[Figures]:
    """Figures of merit of several cards in one run of ngspice.

    Parameters
    ----------
    cards : sequence of Card
        Their model names must differ.
    corner : Corner
        Supply and temperature; the process is the cards' own.

    Raises
    ------
    SpiceFailed
        If ngspice refuses a card or does not converge.
    """
    vdd = corner.vdd
    sweep = f"dc vg {_GATE_FROM} {vdd} {_GATE_STEP}"
    steps = (
        Step(sweep, (f"vd dc {V_LINEAR}",)),
        Step(sweep, (f"vd dc {vdd}",)),
        Step(f"dc vd {vdd / 2} {vdd} {vdd / 2}", (f"vg dc {vdd}",)),
        Step(f"dc vg {vdd / 2} {vdd} {vdd / 2}", (f"vd dc {vdd}",)),
    )
    probes = tuple(f"vm{k}#branch" for k in range(len(cards)))
    waves = simulate(Job(_bench(cards, corner), steps, keep=probes))
    gate = np.arange(len(waves[0][probes[0]]), dtype=np.float64) * _GATE_STEP + _GATE_FROM
    return [_figures(gate, [_magnitude(wave, probe) for wave in waves], vdd) for probe in probes]


def _bench(cards: Sequence[Card], corner: Corner) -> str:
    """All transistors in parallel, each behind a current probe; PMOS see mirrored gate and drain."""
    devices = [
        f"vm{k} d{card.polarity} x{k} 0\n"
        f"m{k} x{k} g{card.polarity} 0 0 {card.model} l={card.length} w={card.width}"
        for k, card in enumerate(cards)
    ]
    return "\n".join(
        [
            "* figures of merit, one fin each",
            ".options gmin=1e-18",  # ngspice's 1e-12 S would be most of an Ioff of 1 pA
            f".temp {to_celsius(corner.temperature)}",
            *(card.text for card in cards),
            "vg gn 0 0",
            "vd dn 0 0",
            "egp gp 0 gn 0 -1",
            "edp dp 0 dn 0 -1",
            *devices,
            ".end",
            "",
        ]
    )


def _magnitude(wave: Waves, probe: str) -> NDArray[np.float64]:
    return np.abs(wave[probe])


def _figures(gate: NDArray[np.float64], waves: list[NDArray[np.float64]], vdd: float) -> Figures:
    linear, saturated, full_gate, full_drain = waves
    vtsat = _gate_at(CRITERION, gate, saturated)
    vtlin = _gate_at(CRITERION, gate, linear)
    return Figures(
        idsat=float(full_gate[1]),
        ieff=float(full_gate[0] + full_drain[0]) / 2,
        idlin=float(linear[-1]),
        ioff=float(np.exp(np.interp(0.0, gate, np.log(saturated)))),
        vtsat=vtsat,
        vtlin=vtlin,
        ss=vtsat - _gate_at(CRITERION / 10, gate, saturated),
        dibl=(vtlin - vtsat) / (vdd - V_LINEAR),
    )


def _gate_at(current: float, gate: NDArray[np.float64], drain: NDArray[np.float64]) -> float:
    """Gate voltage at which a rising drain current passes `current`, interpolated in its logarithm."""
    return float(np.interp(np.log(current), np.log(drain), gate))
