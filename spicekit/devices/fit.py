"""Fit a BSIM4 card of one fin to a device's sheet, by least squares against ngspice.

Eight parameters are fitted. Each has a plausible starting value, and a residual of its own pulls it weakly
towards that value: what the targets leave open stays plausible, and the result is unique.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.devices.bsim4 import NOMINAL, Parameters, model_statement, parameters
from spicekit.devices.cards import Card, card_from_text, device_folder
from spicekit.devices.measure import Figures, measure
from spicekit.devices.sheet import FullSheet, read_full_sheet
from spicekit.errors import BadInput, NotConverged

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Free:
    """A fitted parameter: plausible value, how far it may stray for one unit of residual, bounds."""

    start: float
    stray: float
    low: float
    high: float


# Starting values: ASAP7's BSIM-CMG cards for vsat and rdsw; the others assumed.
FREE = {
    "vth0": Free(0.06, 0.3, -0.3, 0.5),  # V above vtsat, which is a threshold at a smaller current
    "nfactor": Free(0.3, 0.5, 0, 3),
    "eta0": Free(0.05, 0.1, 0, 1),
    "u0": Free(0.015, 0.015, 0.002, 0.2),  # m^2/(V s)
    "vsat": Free(7e4, 7e4, 3e4, 5e5),  # m/s
    "pclm": Free(0.1, 0.5, 0.001, 3),
    "minv": Free(0.5, 1, -3, 3),
    "rdsw": Free(200, 200, 50, 600),  # ohm um
}

# One unit of residual: about a quarter of the reach in check.py. Relative for currents, absolute for voltages;
# idlin and gmsat follow from assumptions and may stray further.
_WEIGHT = {
    "idsat": 0.008,
    "ieff": 0.008,
    "idlin": 0.02,
    "gmsat": 0.15,
    "ioff": 0.08,
    "vtsat": 0.005,
    "vtlin": 0.006,
    "ss": 0.0007,
    "dibl": 0.0015,
}
_MOST_EVALUATIONS = 100  # the shipped devices take 10 to 40
_RELATIVE = ("idsat", "ieff", "idlin", "gmsat", "ioff")


@dataclass(frozen=True)
class Fit:
    """A fitted device."""

    device: str
    sheet: FullSheet
    fitted: Parameters
    """What the fit chose: the parameters of `FREE`, and `kt1`."""
    evaluations: int
    """Points at which ngspice was asked for figures and slopes."""


def fit_device(device: str) -> Fit:
    """Fit the typical card of a device, shipped or a folder, to its sheet.

    Raises
    ------
    BadInput
        If there is no such device, it is a single card file, or its sheet lacks what a fit needs.
    SpiceFailed
        If ngspice refuses a trial card.
    NotConverged
        If the least squares find no minimum.
    """
    from scipy.optimize import least_squares

    folder = device_folder(device)
    if folder.is_file():
        raise BadInput(
            f"fit_device({device!r}): expected a folder with a sheet, device.toml, into which a fit writes tt.sp, "
            "ff.sp and ss.sp; got a single card file. Put its sheet into a folder as device.toml and pass that; to "
            f"hold the card as it is against its sheet: spicekit devices check {device}"
        )
    sheet = read_full_sheet(folder / "device.toml")
    start, stray, low, high = (
        np.array([getattr(free, field) for free in FREE.values()])
        for field in ("start", "stray", "low", "high")
    )
    steps = 3e-4 * stray  # small against what matters, large against ngspice's tolerance

    @functools.lru_cache(maxsize=2)  # the solver asks for values and slopes at the same point
    def evaluate(point: bytes) -> tuple[Array, Array]:
        here = np.frombuffer(point)
        points = np.vstack([here, here + np.diag(steps)])
        found = measure(_cards(sheet, [_fitted(sheet, trial) for trial in points]), NOMINAL)
        values = np.array(
            [
                np.append(_residuals(sheet, figures), (trial - start) / stray)
                for figures, trial in zip(found, points, strict=True)
            ]
        )
        return values[0], ((values[1:] - values[0]) / steps[:, None]).T

    solution = least_squares(
        lambda point: evaluate(point.tobytes())[0],
        start,
        lambda point: evaluate(point.tobytes())[1],
        bounds=(low, high),
        x_scale=stray,
        xtol=1e-5,
        ftol=1e-5,
        max_nfev=_MOST_EVALUATIONS,
    )
    if not solution.success:
        raise NotConverged(
            f"fit_device({device!r}): no minimum within {_MOST_EVALUATIONS} evaluations (sum of squares "
            f"{2 * solution.cost:.3g}); check the targets in device.toml."
        )
    fitted = _fitted(sheet, solution.x)
    return Fit(
        device=device,
        sheet=sheet,
        fitted={**fitted, "kt1": _threshold_slope(sheet, fitted)},
        evaluations=evaluate.cache_info().misses,
    )


def _fitted(sheet: FullSheet, point: Array) -> Parameters:
    values = dict(zip(FREE, map(float, point), strict=True))
    return {**values, "vth0": sheet.targets.vtsat.value + values["vth0"]}


def _threshold_slope(sheet: FullSheet, fitted: Parameters) -> float:
    """BSIM4's kt1, so that vtsat moves with temperature as the sheet says; Vt is linear in it."""
    (card,) = _cards(sheet, [{**fitted, "kt1": 0}])
    cold, hot = NOMINAL.replace(temperature=233.15), NOMINAL.replace(temperature=398.15)
    rise = measure([card], hot)[0].vtsat - measure([card], cold)[0].vtsat
    slope = rise / (hot.temperature - cold.temperature)
    return (sheet.temperature.vt - slope) * NOMINAL.temperature


def _residuals(sheet: FullSheet, figures: Figures) -> Array:
    residuals = []
    for name, weight in _WEIGHT.items():
        target, measured = getattr(sheet.targets, name).value, getattr(figures, name)
        error = np.log(measured / target) if name in _RELATIVE else measured - target
        residuals.append(error / weight)
    return np.array(residuals)


def _cards(sheet: FullSheet, trials: Sequence[Parameters]) -> list[Card]:
    texts = (model_statement(sheet.polarity, "trial", parameters(sheet, trial)) for trial in trials)
    return [card_from_text(text, sheet, device="trial") for text in texts]
