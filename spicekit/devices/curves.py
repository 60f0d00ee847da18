"""Curves of a transistor that a card is fitted to and held against, and the same curves of a card.

A curve file is a NumPy archive (.npz, never pickled) with the axes `process` (p,) of "tt", "ff", "ss", `celsius` (t,),
`v_ds` (d,) and `v_gs` (g,), V, from 0 V and evenly spaced, and `current` (p, t, d, g), A, of one fin with source and
bulk at 0 V. All are magnitudes, so that curves of n- and p-channel transistors look alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.devices.cards import Card, Corner, Speed
from spicekit.devices.measure import V_LINEAR, bench
from spicekit.devices.sheet import Limits
from spicekit.errors import BadInput
from spicekit.files import read_arrays
from spicekit.spice.simulator import Job, Step, Waves, simulate
from spicekit.units import from_celsius

Array = NDArray[np.float64]

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
        return Curves(
            self.process, self.celsius, self.v_ds[drains], self.v_gs[::2], self.current[:, :, drains, ::2]
        )


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
        raise BadInput(
            f"{path}: process must be tt, and ff and ss where there are such, got {curves.process}."
        )
    if not all(
        axis.ndim == 1
        and len(axis) > 4
        and np.allclose(np.diff(axis), axis[1] - axis[0])
        and axis[1] > axis[0]
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
