"""A transistor's figures of merit, measured in ngspice as a data sheet defines them.

Everything is measured on one fin with source and bulk at 0 V; a PMOS is driven by the mirror images of the
same voltages, so that all its figures are positive too.

Vt is a constant-current threshold: the gate voltage at which one fin carries `CRITERION`. The published Vt, SS
and Ioff imply that current (`docs/decisions/threshold-criterion.md`). Ieff is the mean of I(Vg = Vdd,
Vd = Vdd/2) and I(Vg = Vdd/2, Vd = Vdd) (Na et al., IEDM 2002).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.devices.cards import Card, Corner, load_lines
from spicekit.spice.simulator import Job, Step, Waves, simulate
from spicekit.units import to_celsius

Array = NDArray[np.float64]

CRITERION = 10e-9  # A for each fin; see the module's docstring
V_LINEAR = 0.05  # V, drain voltage of the linear region; assumed, the usual choice
_GATE_FROM = -0.25  # V, low enough for the swing of the lowest threshold
_STEP = 0.005  # V; interpolating log currents in between moves Vt by less than 0.1 mV
_RAMP = 1e-9  # s from 0 to Vdd, slow against the transistor's picoseconds


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
    """V for each decade of current, over the decade below `CRITERION` at Vd = Vdd."""
    dibl: float
    """V/V, (vtlin - vtsat) / (Vdd - `V_LINEAR`)."""
    gmsat: float
    """S, transconductance at Vg = Vd = Vdd."""


def measure(cards: Sequence[Card], corner: Corner) -> list[Figures]:
    """Figures of merit of several cards in one run of ngspice.

    Parameters
    ----------
    cards : sequence of Card
    corner : Corner
        Supply and temperature; the process is the cards' own.

    Raises
    ------
    SpiceFailed
        If ngspice refuses a card or does not converge.
    """
    vdd = corner.vdd
    sweep = f"dc vg {_GATE_FROM} {vdd} {_STEP}"
    steps = (
        Step(sweep, (f"vd dc {V_LINEAR}",)),
        Step(sweep, (f"vd dc {vdd}",)),
        Step(f"dc vd {vdd / 2} {vdd} {vdd / 2}", (f"vg dc {vdd}",)),
        Step(f"dc vg {vdd / 2} {vdd} {vdd / 2}", (f"vd dc {vdd}",)),
    )
    waves = _run(cards, corner, steps)
    gate = np.arange(len(waves[0]["vd0#branch"]), dtype=np.float64) * _STEP + _GATE_FROM
    drains = ([np.abs(wave[f"vd{k}#branch"]) for wave in waves] for k in range(len(cards)))
    return [_figures(gate, *drain, vdd=vdd) for drain in drains]


def gate_capacitances(cards: Sequence[Card]) -> list[float]:
    """Gate capacitance of one fin of each card at the nominal supply with source and drain at 0 V, F.

    Gate current over slew rate at the end of a slow ramp. Raises `SpiceFailed` as `measure` does.
    """
    corner = Corner()
    (wave,) = _run(cards, corner, (Step(f"tran {_RAMP / 200} {_RAMP}"),))
    slew = corner.vdd / _RAMP
    return [float(abs(wave[f"vg{k}#branch"][-1])) / slew for k in range(len(cards))]


def transfer_curve(card: Card, corner: Corner) -> tuple[Array, Array]:
    """Gate voltages (k,), V, and drain currents (k,), A, of one fin at Vd = Vdd; magnitudes."""
    (wave,) = _run([card], corner, (_transfer(corner),))
    return _swept(wave)


def output_curve(card: Card, corner: Corner, *, v_gate: float) -> tuple[Array, Array]:
    """Drain voltages (k,), V, and drain currents (k,), A, of one fin at Vg = `v_gate`; magnitudes."""
    (wave,) = _run([card], corner, (_output(corner, v_gate),))
    return _swept(wave)


def families(
    cards: Sequence[Card], corner: Corner, *, v_gates: Sequence[float] = ()
) -> list[list[tuple[Array, Array]]]:
    """For each card its transfer curve, then its output curve at each gate voltage, in one run of ngspice.

    Curves are those of `transfer_curve` and `output_curve`; raises `SpiceFailed` as `measure` does.
    """
    waves = _run(cards, corner, (_transfer(corner), *(_output(corner, v_gate) for v_gate in v_gates)))
    return [[_swept(wave, k) for wave in waves] for k in range(len(cards))]


def _transfer(corner: Corner) -> Step:
    return Step(f"dc vg 0 {corner.vdd} {_STEP}", (f"vd dc {corner.vdd}",))


def _output(corner: Corner, v_gate: float) -> Step:
    return Step(f"dc vd 0 {corner.vdd} {_STEP}", (f"vg dc {v_gate}",))


def _swept(wave: Waves, card: int = 0) -> tuple[Array, Array]:
    current = np.abs(wave[f"vd{card}#branch"])
    return np.arange(len(current), dtype=np.float64) * _STEP, current


def _run(cards: Sequence[Card], corner: Corner, steps: tuple[Step, ...]) -> list[Waves]:
    return simulate(Job(bench(cards, corner), steps))


def bench(cards: Sequence[Card], corner: Corner) -> str:
    """Deck with one fin of each card in parallel between `vg` and `vd`; current probes `vd0`, `vg0` and so on.

    PMOS see mirrored gate and drain.
    """
    transistors = [
        f"vd{k} d{card.polarity} x{k} 0\n"
        f"vg{k} g{card.polarity} y{k} 0\n"
        f"{card.letter}{k} x{k} y{k} 0 0 {card.instance(1, model=f'model_{k}')}"
        for k, card in enumerate(cards)
    ]
    return "\n".join(
        [
            "* figures of merit, one fin each",
            # ngspice's gmin of 1e-12 S would be most of an Ioff of 1 pA; slopes are taken as small differences
            ".options gmin=1e-18 reltol=1e-7 abstol=1e-17 vntol=1e-8",
            f".temp {to_celsius(corner.temperature)}",
            *load_lines(cards),
            *(card.renamed(f"model_{k}") for k, card in enumerate(cards)),
            f"vramp ramp 0 dc 0 pwl(0 0 {_RAMP} {corner.vdd})",
            "vg gnmos ramp dc 0",
            "vd dnmos 0 dc 0",
            "egp gpmos 0 gnmos 0 -1",
            "edp dpmos 0 dnmos 0 -1",
            *transistors,
            ".end",
            "",
        ]
    )


def _figures(
    gate: Array, linear: Array, saturated: Array, full_gate: Array, full_drain: Array, *, vdd: float
) -> Figures:
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
        gmsat=float(np.gradient(saturated[-3:], _STEP, edge_order=2)[-1]),
    )


def _gate_at(current: float, gate: Array, drain: Array) -> float:
    """Gate voltage at which a rising drain current passes `current`, interpolated in its logarithm."""
    return float(np.interp(np.log(current), np.log(drain), gate))
