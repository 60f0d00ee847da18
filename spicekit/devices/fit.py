"""Fit BSIM4 cards of one fin to a device's curves, by least squares against ngspice.

The typical card is fitted at 25 degrees Celsius first, then with its temperature terms to all temperatures; the fast
and the slow card begin where it ends and are fitted to their own curves. What the curves leave open is held near its
start by a weak residual for each parameter, so that results are unique.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.devices.bsim4 import FREE, FREE_TEMPERATURE, Free, Parameters, model_statement, parameters
from spicekit.devices.cards import Card, Speed, card_from_text, device_folder
from spicekit.devices.measure import (
    CRITERION,
    FLOOR,
    V_LINEAR,
    Curves,
    Errors,
    errors,
    gate_capacitances,
    read_curves,
    surfaces,
)
from spicekit.devices.sheet import FullSheet, read_full_sheet
from spicekit.errors import BadInput, NotConverged
from spicekit.files import write_atomically
from spicekit.spice.simulator import Session, ngspice

Array = NDArray[np.float64]

# One unit of residual. Currents: 0.6 % of themselves and 0.1 % of the largest; twice as strict where a read works
# (gate from half the supply, drain up to half), more so at the points that Idsat, Idlin and Ieff are made of.
_OF_CURRENT, _OF_LARGEST = 0.006, 0.001
_READ, _IEFF = 2, 4
# Idlin and weak inversion pull on the same parameters in p-channel cards, which therefore count both for more; the
# second is a fraction of a current, however small.
_IDSAT_IDLIN = {"nmos": 6, "pmos": 9}
_OF_LOGARITHM = {"nmos": 0.1, "pmos": 0.07}
_OF_FALL = 1e-5  # of the largest current, by which it may fall from one gate voltage to the next beyond the curves
_BEYOND = 8  # gate voltages
_OF_START = 50  # scales that a parameter may stray from its start for one unit
_MOST = 60  # steps


@dataclass(frozen=True)
class Fit:
    """A fitted device."""

    device: str
    sheet: FullSheet
    cards: Mapping[Speed, Parameters]
    """All parameters of each corner's card."""
    errors: Mapping[Speed, list[Errors]]
    """By temperature of the curves."""
    curves: Curves
    steps: int


def fit_device(device: str) -> Fit:
    """Fit the cards of a device, shipped or a folder, to the curves that its sheet names.

    Raises
    ------
    BadInput
        If there is no such device, it is a single card file, or its sheet or curves lack what a fit needs.
    SpiceFailed
        If ngspice refuses a trial card.
    NotConverged
        If a card cannot have its gate capacitance.
    """
    folder = device_folder(device)
    if folder.is_file():
        raise BadInput(
            f"fit_device({device!r}): expected a folder with a sheet, device.toml, into which a fit writes tt.sp, "
            "ff.sp and ss.sp; got a single card file. Put its sheet into a folder as device.toml and pass that; to "
            f"hold the card as it is against its sheet: spicekit devices check {device}"
        )
    sheet = read_full_sheet(folder / "device.toml")
    curves = read_curves(folder / sheet.curves.file)
    fitted: dict[Speed, Parameters] = {}
    steps = 0
    for speed in sorted(curves.process, reverse=True):  # tt, ss, ff
        if speed == "tt":
            fitted[speed] = _start(sheet, curves)
            room = int(np.argmin(np.abs(curves.celsius - 25)))
            fitted[speed], more = _improved(sheet, curves, speed, fitted[speed], FREE, slice(room, room + 1))
            steps += more
        fitted[speed], more = _improved(
            sheet,
            curves,
            speed,
            fitted["tt"] if speed != "tt" else fitted[speed],
            FREE | FREE_TEMPERATURE,
            slice(None),
        )
        steps += more
    cards = {speed: _with_capacitance(sheet, speed, values) for speed, values in fitted.items()}
    found = surfaces([card_of(sheet, values) for values in cards.values()], curves.celsius, curves.v_ds, curves.v_gs)
    return Fit(
        device=device,
        sheet=sheet,
        cards=cards,
        errors={speed: errors(mine, curves, speed) for speed, mine in zip(cards, found, strict=True)},
        curves=curves,
        steps=steps,
    )


def card_of(sheet: FullSheet, values: Parameters) -> Card:
    """A card that holds all these parameters."""
    return card_from_text(model_statement(sheet.polarity, "trial", values), sheet, device="trial")


def _start(sheet: FullSheet, curves: Curves) -> Parameters:
    """Starting values of the typical card, its threshold moved to where the curves reach the criterion of one."""
    free = FREE | FREE_TEMPERATURE
    values = {name: each.start(sheet.polarity) for name, each in free.items()}
    room = int(np.argmin(np.abs(curves.celsius - 25)))
    truth = curves.at("tt")[room, -1]
    (mine,) = surfaces(
        [card_of(sheet, parameters(sheet.polarity, values, eot=sheet.gate.eot.tt, overlap=0.0))],
        curves.celsius[room : room + 1],
        curves.v_ds,
        curves.v_gs,
    )
    at = [float(np.interp(np.log(CRITERION), np.log(np.maximum(i, FLOOR)), curves.v_gs)) for i in (truth, mine[0, -1])]
    return {**values, "vth0": values["vth0"] + at[0] - at[1]}


def _improved(
    sheet: FullSheet,
    curves: Curves,
    speed: Speed,
    start: Parameters,
    free: Mapping[str, Free],
    temperatures: slice,
) -> tuple[Parameters, int]:
    """Parameters fitted to a corner's curves at some temperatures, and the steps that it took."""
    thin = curves.thinned()  # the other voltages are for checking
    truth = thin.at(speed)[temperatures]
    unit = _OF_CURRENT * np.maximum(truth, 0) + _OF_LARGEST * truth.max(axis=(1, 2), keepdims=True)
    unit = unit / _weights(thin.v_ds, thin.v_gs, _IDSAT_IDLIN[sheet.polarity])
    weak = truth > FLOOR / 2
    step = thin.v_gs[1] - thin.v_gs[0]
    gates = np.append(thin.v_gs, thin.v_gs[-1] + step * np.arange(1, _BEYOND + 1))
    eot = getattr(sheet.gate.eot, speed)
    low, high, scale = (np.array([getattr(each, name) for each in free.values()]) for name in ("low", "high", "scale"))
    begin = np.array([start[name] for name in free])

    def residuals(points: Array) -> Array:
        values = [{**start, **dict(zip(free, map(float, point), strict=True))} for point in points]
        cards = [card_of(sheet, parameters(sheet.polarity, each, eot=eot, overlap=0.0)) for each in values]
        whole = surfaces(cards, thin.celsius[temperatures], thin.v_ds, gates, run=session.run)
        found, beyond = whole[..., : len(thin.v_gs)], whole[..., len(thin.v_gs) - 1 :]
        falls = np.minimum(np.diff(beyond, axis=-1) / truth.max(axis=(1, 2), keepdims=True), 0)
        ratio = (np.maximum(found, 0) + FLOOR / 5) / (np.maximum(truth, 0) + FLOOR / 5)
        parts = (
            (found - truth) / unit,
            np.where(weak, np.log(ratio), 0.0) / _OF_LOGARITHM[sheet.polarity],
            falls / _OF_FALL,
            (points - begin) / (_OF_START * scale),
        )
        return np.concatenate([part.reshape(len(points), -1) for part in parts], axis=1)

    with Session() as session:
        solution = least_squares(residuals, begin, low=low, high=high, scale=scale, most=_MOST)
    return {**start, **dict(zip(free, map(float, solution.point), strict=True))}, solution.steps


def _weights(v_ds: Array, v_gs: Array, idsat_idlin: float) -> Array:
    """(d, g): how many times stricter a point is."""
    half = v_ds[-1] / 2
    reads = (v_ds[:, None] <= half + 1e-9) & (v_gs >= half - 0.01)
    weights = np.where(reads, float(_READ), 1.0)
    drain, gate, linear = (
        int(np.argmin(np.abs(axis - v))) for axis, v in ((v_ds, half), (v_gs, half), (v_ds, V_LINEAR))
    )
    weights[-1, gate] = weights[drain, -1] = _IEFF
    weights[-1, -1] = weights[linear, -1] = idsat_idlin
    return weights


def _with_capacitance(sheet: FullSheet, speed: Speed, fitted: Parameters) -> Parameters:
    """All parameters of a card whose overlaps make up what the channel leaves of the gate capacitance."""
    eot, target = getattr(sheet.gate.eot, speed), getattr(sheet.gate.capacitance, speed)
    bare = parameters(sheet.polarity, fitted, eot=eot, overlap=0.0)
    (channel,) = gate_capacitances([card_of(sheet, bare)])
    overlap = (target - channel) / (2 * sheet.geometry.width)
    if overlap < 0:
        raise NotConverged(
            f"the {speed} card's channel alone has {1e18 * channel:.1f} aF, more than the {1e18 * target:.1f} aF of "
            "its sheet; check [gate] eot and capacitance."
        )
    return parameters(sheet.polarity, fitted, eot=eot, overlap=overlap)


def write_device(fit: Fit, folder: Path) -> None:
    """Write a card for each corner, `tt.sp` and so on, and `fit.md` into a folder."""
    for speed in fit.cards:
        write_atomically(folder / f"{speed}.sp", _card_text(fit, speed))
    write_atomically(folder / "fit.md", _record(fit))


def _card_text(fit: Fit, speed: Speed) -> str:
    name = Path(fit.device).name
    return (
        f"* {name} at {speed}: one fin of the 7 nm node as a BSIM4 card for stock ngspice.\n"
        f"* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.\n"
        + model_statement(fit.sheet.polarity, f"{name.replace('-', '_')}_{speed}", fit.cards[speed])
    )


def _record(fit: Fit) -> str:
    errors = [
        f"| {speed} | {celsius:g} | {row.rms:.2%} | {row.worst:.2%} | {row.idsat:+.2%} | {row.ieff:+.2%} "
        f"| {row.idlin:+.2%} | {row.subthreshold:.0%} |"
        for speed, rows in fit.errors.items()
        for celsius, row in zip(fit.curves.celsius, rows, strict=True)
    ]
    fitted = [
        f"| {name} | "
        + " | ".join(f"{values[name]:.5g}" for values in fit.cards.values())
        + f" | {free.low:g} to {free.high:g} |"
        for name, free in (FREE | FREE_TEMPERATURE).items()
    ]
    corners, error_lines, fitted_lines = " | ".join(fit.cards), "\n".join(errors), "\n".join(fitted)
    return f"""# How {Path(fit.device).name} was fitted

`spicekit devices fit {Path(fit.device).name}`: least squares on {len(fitted)} BSIM4 parameters against ngspice
{ngspice().version}, {fit.steps} steps for {len(fit.cards)} cards. Curves and their source: `device.toml`; fixed
parameters and starting values: `spicekit/devices/bsim4.py`; method: `spicekit/devices/fit.py`,
docs/decisions/cards.md.

Errors over the whole surface: rms and worst in fractions of the largest current; Idsat, Ieff and Idlin in fractions
of their own; subthreshold the worst of a current between 0.1 pA and 100 nA.

| corner | C | rms | worst | Idsat | Ieff | Idlin | subthreshold |
|---|---|---|---|---|---|---|---|
{error_lines}

| parameter | {corners} | bounds |
{"|---" * (len(fit.cards) + 2)}|
{fitted_lines}

vth0 is given as a magnitude.
"""


# Bounded least squares where one call evaluates many points at once, as ngspice does with many cards in a deck.
# Levenberg-Marquardt (Marquardt, J. SIAM 11 (1963) 431): slopes are differences between points of one call, and a
# second call tries several dampings side by side, each step solved within the bounds.

_DAMPINGS = np.array([0.1, 1, 10, 100, 1e3])  # tried side by side, times that of the step before
_DIFFERENCE = 1e-3  # of a parameter's scale
_PATIENCE = 3  # steps of little gain, after which it is done


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a search ended."""

    point: Array
    """(n,)"""
    cost: float
    """Sum of squares."""
    steps: int


def least_squares(
    residuals: Callable[[Array], Array],
    start: Array,
    *,
    low: Array,
    high: Array,
    scale: Array,
    most: int,
    gain: float = 1e-3,
) -> Solution:
    """Point within bounds where the sum of squares is smallest, as seen from `start`.

    Parameters
    ----------
    residuals : function
        Points (k, n) to residuals (k, m).
    start, low, high, scale : (n,) arrays
        `scale` is a change of each parameter that matters.
    most : int
        Steps.
    gain : float
        Relative fall of the sum of squares that is little; three such steps end the search.
    """
    from scipy.optimize import lsq_linear

    point, damping, idle, steps = np.clip(start, low, high), 0.01, 0, 0
    (here,) = residuals(point[None])
    cost = float(here @ here)
    while steps < most and idle < _PATIENCE and damping < 1e6:
        steps += 1
        change = np.where(point + _DIFFERENCE * scale > high, -1, 1) * _DIFFERENCE * scale
        slopes = ((residuals(point + np.diag(change)) - here) / change[:, None]).T * scale
        q, r = np.linalg.qr(slopes)
        target = np.append(-(q.T @ here), np.zeros(len(point)))
        bounds = ((low - point) / scale - 1e-12, (high - point) / scale + 1e-12)
        weights = np.diag(np.linalg.norm(r, axis=0) + 1e-3)
        trials = np.array(
            [
                np.clip(
                    point
                    + scale * lsq_linear(np.vstack([r, np.sqrt(each) * weights]), target, bounds, method="bvls").x,
                    low,
                    high,
                )
                for each in damping * _DAMPINGS
            ]
        )
        found = residuals(trials)
        costs = np.einsum("ij,ij->i", found, found)
        best = int(np.argmin(costs))
        if not costs[best] < cost:
            damping *= _DAMPINGS[-1]
            continue
        idle = idle + 1 if costs[best] > (1 - gain) * cost else 0
        damping = max(damping * _DAMPINGS[best], 1e-9)
        point, here, cost = trials[best], found[best], float(costs[best])
    return Solution(point, cost, steps)
