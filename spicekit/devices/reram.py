"""The ReRAM element: the Stanford/PKU compact form, with the state given by the tunnelling gap.

    I = I0 * exp(-gap / g0) * sinh(V / V0)

Jiang et al., "A compact model for metal-oxide resistive random access memory with experiment
verification", IEEE TED 63 (2016) 1884. Only the read current is modelled: the gap is fixed, because a read
stays far below the set and reset thresholds that each preset names. A preset states the resistances that its
two states have at the read voltage; the two gaps follow from them in closed form.
"""

import functools
import math
import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spicekit.config import Config, parse, read_toml
from spicekit.errors import BadInput, no_such
from spicekit.files import shipped_folder


@dataclass(frozen=True)
class ReramPreset:
    """A ReRAM element with its two states, switching thresholds and spread."""

    name: str
    """File in `device_models/reram/`, without `.toml`."""
    i0: float
    """A."""
    g0: float
    """m."""
    v0: float
    """V; the smaller, the less ohmic."""
    gap_lrs: float
    """m, low-resistance state."""
    gap_hrs: float
    """m, high-resistance state."""
    v_read: float
    """V, at which both states have the resistances below."""
    r_lrs: float
    """Ohm."""
    r_hrs: float
    """Ohm."""
    v_set: float
    """V across the element from which it may switch to low resistance."""
    v_reset: float
    """V, negative, from which it may switch to high resistance."""
    sigma_lrs: float
    """Standard deviation of the LRS read current over its mean; normal."""
    sigma_hrs: float
    """Standard deviation of the logarithm of the HRS read current; log-normal."""
    sources: tuple[str, ...]
    """Where the numbers come from: element, states, switching, spread."""

    def current(self, voltage: NDArray[np.float64], gap: NDArray[np.float64]) -> NDArray[np.float64]:
        """Current from the top to the bottom electrode in A, for V and m that broadcast."""
        return self.i0 * np.exp(-gap / self.g0) * np.sinh(voltage / self.v0)

    def gaps(self, bits: NDArray[np.uint8], draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gaps of cells with device-to-device spread, m; arrays that broadcast.

        Read currents of the low-resistance state (bit 1) are normal, those of the high one (0) log-normal about their
        nominal values, as measured on HfO2 1T-1R arrays (`sources` say where). `draws` are in standard deviations.
        """
        logarithm = np.where(bits == 1, np.log1p(self.sigma_lrs * draws), self.sigma_hrs * draws)
        return np.where(bits == 1, self.gap_lrs, self.gap_hrs) - self.g0 * logarithm


def load_reram(name: str) -> ReramPreset:
    """A preset of `device_models/reram/`.

    >>> load_reram("hfo2-10k").r_lrs
    10000.0

    Raises
    ------
    BadInput
        If there is no such preset, or its file does not hold what a preset needs.
    """
    presets = {path.stem: path for path in (shipped_folder("device_models") / "reram").glob("*.toml")}
    if name not in presets:
        raise no_such("ReRAM preset", name, sorted(presets))
    path = presets[name]
    sheet = parse(_Sheet, read_toml(path), source=str(path))
    if not 0 < sheet.states.r_lrs < sheet.states.r_hrs:
        raise BadInput(f"{path}: r_lrs = {sheet.states.r_lrs:g} must lie below r_hrs = {sheet.states.r_hrs:g} ohm.")
    known = [dict(table) for table in (sheet.element, sheet.states, sheet.switching, sheet.spread)]
    return ReramPreset(
        name=name,
        gap_lrs=_gap(sheet.element, sheet.states.r_lrs, sheet.states.v_read),
        gap_hrs=_gap(sheet.element, sheet.states.r_hrs, sheet.states.v_read),
        sources=tuple(table.pop("source") for table in known),
        **functools.reduce(operator.or_, known),
    )


def subcircuit(preset: ReramPreset) -> str:
    """The element as an ngspice subcircuit: nodes top and bottom electrode, parameter `gap` in m.

    An instance reads `xr bl mid reram_hfo2_10k gap=9.4e-10`; without `gap` it is in its low-resistance state.
    """
    name = subcircuit_name(preset)
    ratio = f"v(te,be)/{preset.v0!r}"
    inside = f"max(-{_SINH_RANGE},min({_SINH_RANGE},{ratio}))"
    slope = math.cosh(_SINH_RANGE)
    return (
        f"* {preset.name}: Stanford/PKU element; LRS gap={preset.gap_lrs:.6e}, HRS gap={preset.gap_hrs:.6e}\n"
        f".subckt {name} te be gap={preset.gap_lrs:.6e}\n"
        f"bcell te be i={{{preset.i0!r}*exp(-gap/{preset.g0!r})}}*(sinh({inside})+{slope!r}*({ratio}-{inside}))\n"
        f".ends {name}\n"
    )


# V/V0 beyond which sinh goes on along its tangent: voltages that no circuit reaches but that an iterate of
# ngspice may, where sinh itself overflows.
_SINH_RANGE = 12


def subcircuit_name(preset: ReramPreset) -> str:
    """Name of the preset's subcircuit: `reram_hfo2_10k`."""
    return "reram_" + preset.name.replace("-", "_")


class _Element(Config):
    i0: float = Field(gt=0)
    g0: float = Field(gt=0)
    v0: float = Field(gt=0)
    source: str


class _States(Config):
    r_lrs: float = Field(gt=0)
    r_hrs: float = Field(gt=0)
    v_read: float = Field(gt=0)
    source: str


class _Switching(Config):
    v_set: float = Field(gt=0)
    v_reset: float = Field(lt=0)
    source: str


class _Spread(Config):
    sigma_lrs: float = Field(ge=0, le=0.1)  # beyond, a normal LRS current would reach zero
    sigma_hrs: float = Field(ge=0)
    source: str


class _Sheet(Config):
    element: _Element
    states: _States
    switching: _Switching
    spread: _Spread


def _gap(element: _Element, resistance: float, v_read: float) -> float:
    """Gap at which the element has `resistance` at `v_read`; the compact form solved for it."""
    current = v_read / resistance
    return element.g0 * math.log(element.i0 * math.sinh(v_read / element.v0) / current)
