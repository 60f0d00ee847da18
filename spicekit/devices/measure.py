"""What a fin of a card carries, in ngspice: figures of merit as a data sheet defines them, and whole surfaces.

Everything is measured on one fin with source and bulk at 0 V; a PMOS is driven by the mirror images of the
same voltages, so that all its figures are positive too.

Vt is a constant-current threshold: the gate voltage at which one fin carries `CRITERION`. The published Vt, SS
and Ioff imply that current (`docs/decisions/threshold-criterion.md`). Ieff is the mean of I(Vg = Vdd,
Vd = Vdd/2) and I(Vg = Vdd/2, Vd = Vdd) (Na et al., IEDM 2002).

A curve file, which cards are fitted to and held against, is a NumPy archive (.npz, never pickled) with the axes
`process` (p,) of "tt", "ff", "ss", `celsius` (t,), `v_ds` (d,) and `v_gs` (g,), V, from 0 V and evenly spaced, and
`current` (p, t, d, g), A, of one fin with source and bulk at 0 V. All are magnitudes, so that curves of both channel
types look alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.devices.cards import Card, Corner, Speed, load_lines
from spicekit.devices.sheet import Limits
from spicekit.errors import BadInput
from spicekit.files import read_arrays
from spicekit.spice.simulator import Job, Step, Waves, simulate
from spicekit.units import from_celsius, to_celsius

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


def families(
    cards: Sequence[Card], corner: Corner, *, v_gates: Sequence[float] = ()
) -> list[list[tuple[Array, Array]]]:
    """I-V curves of one fin of each card, in one run of ngspice; magnitudes.

    Of each card first the transfer curve: gate voltages (k,), V, and drain currents (k,), A, at Vd = Vdd. Then, at each
    of `v_gates`, the output curve: drain voltages and currents. Raises `SpiceFailed` as `measure` does.
    """
    steps = [Step(f"dc vg 0 {corner.vdd} {_STEP}", (f"vd dc {corner.vdd}",))]
    steps += [Step(f"dc vd 0 {corner.vdd} {_STEP}", (f"vg dc {v_gate}",)) for v_gate in v_gates]
    waves = _run(cards, corner, tuple(steps))
    found = [[np.abs(wave[f"vd{k}#branch"]) for wave in waves] for k in range(len(cards))]
    return [[(_STEP * np.arange(len(each), dtype=np.float64), each) for each in own] for own in found]


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


_LARGEST = 16 << 20  # bytes that a curve file may hold; a shipped one has 45,000
_ARRAYS = ("process", "celsius", "v_ds", "v_gs", "current")
# A. Below it a curve is leakage of other kinds and noise of a simulator, which no card is held against.
FLOOR = 1e-13
SUBTHRESHOLD = 1e-7
"""A, up to which a curve of one fin counts as subthreshold: ten times the current at the threshold."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Drain current of one fin over voltages, temperatures and process corners."""

    process: tuple[Speed, ...]
    celsius: Array
    """(t,), degrees Celsius."""
    v_ds: Array
    """(d,), V, the first 0."""
    v_gs: Array
    """(g,), V."""
    current: Array
    """(p, t, d, g), A."""

    def at(self, process: Speed) -> Array:
        """(t, d, g), A; `BadInput` if there is no such corner."""
        if process not in self.process:
            raise BadInput(f"the curves have no corner {process!r}, only {', '.join(self.process)}.")
        surface: Array = self.current[self.process.index(process)]
        return surface

    def thinned(self) -> "Curves":
        """Every second voltage but 0 V on the drain, and the lowest two: a current's shape shows below kT/q too."""
        drains = sorted({1, 3, *range(2, len(self.v_ds), 2)})
        return Curves(self.process, self.celsius, self.v_ds[drains], self.v_gs[::2], self.current[:, :, drains, ::2])


@dataclass(frozen=True)
class Errors:
    """How far one card is from its curves at one temperature. Fractions; the first two of the largest current."""

    rms: float
    worst: float
    idsat: float
    ieff: float
    idlin: float
    subthreshold: float
    """Of the current itself, the largest between `FLOOR` and `SUBTHRESHOLD`."""

    def within(self, limits: Limits) -> bool:
        """Whether all are within some limits."""
        figures = max(abs(self.idsat), abs(self.ieff), abs(self.idlin))
        return (
            self.rms <= limits.rms
            and self.worst <= limits.worst
            and figures <= limits.figures
            and self.subthreshold <= limits.subthreshold
        )


def read_curves(path: Path) -> Curves:
    """Curves of a file; `BadInput` if it is none."""
    try:
        process, *numbers = read_arrays(path, _ARRAYS, unpacked=_LARGEST).values()
        curves = Curves(tuple(process.ravel().tolist()), *(np.asarray(each, np.float64) for each in numbers))
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: is no curve file ({error}); it is a NumPy archive with {', '.join(_ARRAYS)}, without pickles."
        ) from error
    shape = (len(curves.process), *(axis.size for axis in (curves.celsius, curves.v_ds, curves.v_gs)))
    if curves.current.shape != shape or not np.isfinite(curves.current).all():
        raise BadInput(f"{path}: current must be finite and (process, celsius, v_ds, v_gs), here {shape}.")
    if not set(curves.process) <= {"tt", "ff", "ss"} or "tt" not in curves.process:
        raise BadInput(f"{path}: process must be tt, and ff and ss where there are such, got {curves.process}.")
    if not all(
        axis.ndim == 1 and len(axis) > 4 and np.allclose(np.diff(axis), axis[1] - axis[0]) and axis[1] > axis[0]
        for axis in (curves.v_ds, curves.v_gs)
    ):
        raise BadInput(f"{path}: v_ds and v_gs must rise in equal steps.")
    return curves


def surfaces(
    cards: Sequence[Card],
    celsius: Array,
    v_ds: Array,
    v_gs: Array,
    *,
    run: Callable[[Job], list[Waves]] = simulate,
) -> Array:
    """Drain currents (n, t, d, g), A, of one fin of each card, by ngspice; magnitudes, negative against the field.

    `run` is that of a `Session`, for many calls.

    Raises
    ------
    SpiceFailed
        If ngspice refuses a card or does not converge.
    """
    sweep = f"dc vg {v_gs[0]:.9g} {v_gs[-1] + (v_gs[1] - v_gs[0]) / 2:.9g} {v_gs[1] - v_gs[0]:.9g}"
    steps = tuple(Step(sweep, (f"vd dc {v:.9g}",)) for v in v_ds)
    names = tuple(f"vd{k}#branch" for k in range(len(cards)))
    corners = [Corner(temperature=from_celsius(float(t))) for t in celsius]
    found = np.empty((len(cards), len(celsius), len(v_ds), len(v_gs)))
    for index, corner in enumerate(corners):
        for row, waves in enumerate(run(Job(bench(cards, corner), steps, keep=names))):
            found[:, index, row] = [waves[name] for name in names]
    sign = np.array([1.0 if card.polarity == "nmos" else -1.0 for card in cards])
    return np.asarray(found * sign[:, None, None, None])


def errors(found: Array, curves: Curves, process: Speed) -> list[Errors]:
    """How far currents (t, d, g) are from the curves of a corner, by temperature."""
    full = float(curves.v_ds[-1])

    def figures(surface: Array) -> tuple[float, float, float]:
        along_gate = np.array([np.interp(full / 2, curves.v_ds, column) for column in surface.T])
        ieff = (along_gate[-1] + np.interp(full / 2, curves.v_gs, surface[-1])) / 2
        return surface[-1, -1], float(ieff), float(np.interp(V_LINEAR, curves.v_ds, surface[:, -1]))

    rows = []
    for mine, truth in zip(found, curves.at(process), strict=True):
        off = (mine - truth) / truth[-1, -1]
        (idsat, ieff, idlin) = (a / b - 1 for a, b in zip(figures(mine), figures(truth), strict=True))
        weak = (truth > FLOOR) & (truth < SUBTHRESHOLD) & (curves.v_ds[:, None] > 0)
        rows.append(
            Errors(
                rms=float(np.sqrt(np.mean(off**2))),
                worst=float(np.abs(off).max()),
                idsat=idsat,
                ieff=ieff,
                idlin=idlin,
                subthreshold=float(np.abs(mine[weak] / truth[weak] - 1).max(initial=0.0)),
            )
        )
    return rows
