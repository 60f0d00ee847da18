"""The converter (ADC) behind a column: currents to codes, with four ways to place its thresholds.

The converter subtracts the current of a column that stores zeros only, so that leakage of asserted cells, known by
design, does not count as signal (docs/decisions/converter.md).

Every column of every tile has a converter of its own. Where they are not ideal, each has an offset and a bow that it
keeps, and every conversion has noise; all are on the converter's scale, on which thresholds are 1 apart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spicekit.config import Config
from spicekit.errors import BadInput
from spicekit.provenance import content_hash

Array = NDArray[np.float64]
Single = NDArray[np.float32]

NOISE_LEVELS = 1 << 14
"""Different values that noise takes, up to 4 standard deviations: far finer than a code, and small enough for a
level-1 cache."""


class Converter(Config):
    """Resolution and reference scheme of the column converters.

    >>> Converter(full_scale=15).resolution(rows=16)  # bits
    4
    """

    bits: int | None = Field(default=None, ge=1, le=8)
    """Resolution; left out, as many as give each partial sum up to `full_scale` a code of its own."""
    full_scale: float | None = Field(default=None, gt=0)
    """Partial sum that the scale reaches; left out, the rows of a read. A code stands for one ON cell, or for more
    where there are too few bits. Where `bits` and `full_scale` are both given they alone decide: the highest code
    stands for `full_scale`, and codes may be narrower than an ON cell (docs/decisions/converter.md)."""
    reference: Literal["unit", "linear", "linear_codes", "per_level"] = "unit"
    """`unit`: steps of one LSB as designed, blind to parasitics. `linear`: gain and offset fitted on the currents of
    calibration reads. `linear_codes`: fitted so that the sums of codes that each layer makes are least in error.
    `per_level`: every threshold fitted. All converters of a network have the same."""
    offset: float = Field(default=0.0, ge=0, le=8)
    """LSB of the converter: standard deviation over converters of what each adds to its input."""
    inl: float = Field(default=0.0, ge=0, le=8)
    """LSB of the converter: standard deviation over converters of the integral non-linearity at mid-scale. Assumed: a
    parabola through both ends of the scale, the smoothest error that neither offset nor gain takes away."""
    noise: float = Field(default=0.0, ge=0, le=8)
    """LSB of the converter: standard deviation of what a conversion adds to its input, normal and new every time."""
    seed: int = Field(default=0, ge=0)
    """Of offsets, bows and noise."""

    def resolution(self, rows: int) -> int:
        """Bits, for reads of so many rows.

        >>> Converter().resolution(16), Converter(full_scale=15).resolution(16), Converter(bits=3).resolution(16)
        (5, 4, 3)
        """
        return self.bits or math.ceil(self.full_scale or rows).bit_length()

    def step(self, rows: int) -> float:
        """Partial sum that a code stands for, in reads of so many rows.

        >>> Converter().step(16), Converter(full_scale=16).step(16), Converter(bits=5).step(16)
        (1.0, 1.0, 1.0)
        >>> Converter(bits=3).step(14), Converter(bits=8, full_scale=51).step(64)
        (2.0, 0.2)
        """
        step = (self.full_scale or float(rows)) / float(2 ** self.resolution(rows) - 1)
        return step if self.bits and self.full_scale else max(step, 1.0)

    @property
    def flawed(self) -> bool:
        """Whether converters are other than ideal."""
        return bool(self.offset or self.inl or self.noise)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Where a converter's code changes."""

    current: Array
    """(levels - 1,) A, rising: code k is given between thresholds k-1 and k."""
    step: float
    """Partial sum that one code stands for."""


@dataclass(frozen=True, eq=False)
class Flaws:
    """What is not ideal in the converters behind one layer's tiles."""

    offset: Single
    """(tiles, c) LSB."""
    bow: Single
    """(tiles, c) LSB, at mid-scale."""
    noise: float
    """LSB."""
    key: int
    """64 bits that noise starts from."""


@dataclass(frozen=True, eq=False)
class LayerReads:
    """What a layer reads in calibration."""

    current: Array
    """(n,) A, over that of a column of zeros: mean over reads of one partial sum."""
    count: NDArray[np.integer]
    """(n,) their partial sums."""
    weight: Array
    """(n,) how often each occurs."""
    spread: Array | float = 0.0
    """(n,) A, standard deviation over them."""
    reads: int = 1
    """Whose codes make one dot product."""


LEAST_SPREAD = 0.03
"""LSB that a read's current is taken to spread at least, so that the error is a smooth function of the line. Assumed:
0.1 finds worse lines (docs/decisions/converter.md)."""


def set_thresholds(converter: Converter, layers: Sequence[LayerReads], *, rows: int, lsb: float) -> Thresholds:
    """Place the thresholds.

    Parameters
    ----------
    layers : sequence of LayerReads
        Calibration reads. `unit` does not look at them; `linear_codes` alone tells layers apart and looks at spreads.
    rows : int
        Rows that a read asserts, the largest partial sum.
    lsb : float
        Current step of one ON cell without parasitics, A.

    Raises
    ------
    BadInput
        If a fit is asked for and the reads show fewer than three partial sums, or no current that rises with them.
    """
    step = converter.step(rows)
    # partial sums at which the code changes
    middles = (np.arange(2 ** converter.resolution(rows) - 1) + 0.5) * step
    if converter.reference == "unit":
        return Thresholds(middles * lsb, step)
    current, count, weight = (
        np.concatenate([getattr(layer, name) for layer in layers]) for name in ("current", "count", "weight")
    )
    if converter.reference == "linear_codes":
        line = _line_through(count, current / lsb, weight)
        gain, offset = _line_for_codes(layers, line, middles, step=step, lsb=lsb)
        return Thresholds((offset + gain * middles) * lsb, step)
    gain, offset = _line_through(count, current, weight)
    if converter.reference == "linear":
        return Thresholds(offset + gain * middles, step)
    levels = np.unique(count)
    means = np.bincount(count, weight * current)[levels] / np.bincount(count, weight)[levels]
    # A level that calibration never saw gets its current from a parabola through those it saw.
    parabola = np.polynomial.Polynomial.fit(levels, means, 2)
    known = np.maximum.accumulate(np.interp(middles, levels, means))
    outside = (middles < levels[0]) | (middles > levels[-1])
    return Thresholds(np.maximum.accumulate(np.where(outside, parabola(middles), known)), step)


def _line_through(count: NDArray[np.integer], current: Array, weight: Array) -> tuple[float, float]:
    """Gain and offset of the line by least squares through calibration reads; `BadInput` if no converter can use it."""
    if len(levels := np.unique(count)) < 3:
        raise BadInput(f"calibration reads show partial sums {levels}; a fit needs 3 at least: use more images.")
    gain, offset = np.polyfit(count, current, 1, w=np.sqrt(weight))
    if not gain > 0:
        raise BadInput(
            "calibration reads carry no more current where more cells are ON, so that no threshold tells them apart: "
            "use lighter wires, fewer rows in a read, or reference = 'unit'."
        )
    return float(gain), float(offset)


def _line_for_codes(
    layers: Sequence[LayerReads], line: tuple[float, float], middles: Array, *, step: float, lsb: float
) -> tuple[float, float]:
    """Gain and offset, LSB, of the line near `line` with the least squared error of dot products, as codes make them.

    The codes of N reads are added. What their errors have in common grows as N, what is random in them as its root:
    (N mean(e))^2 + N var(e) of a sum, over N the error for each read that all layers count with alike. e is the error
    of a code: a current less than half a step off makes none, which a line by least squares does not know. Currents of
    one partial sum are taken as normal.
    """
    from scipy.optimize import brute
    from scipy.special import ndtr

    odd = 2 * np.arange(len(middles)) + 1

    def error(line: Array) -> float:
        gain, offset = line * lsb
        total = 0.0
        for layer in layers:
            spread = np.broadcast_to(np.maximum(layer.spread, LEAST_SPREAD * lsb), layer.current.shape)
            reached = ndtr((layer.current[:, None] - offset - gain * middles) / spread[:, None])
            code, square = step * reached.sum(axis=1), step**2 * reached @ odd
            share = layer.weight / layer.weight.sum()
            # share e^2, summed, is mean(e)^2 + var(e): N - 1 times the former is missing
            common = share @ (code - layer.count)
            total += (layer.reads - 1) * common**2
            total += share @ (square - 2 * code * layer.count + layer.count**2)
        return float(total)

    # The error has more than one valley: a grid around the line by least squares finds the right one.
    gain, offset = line
    around = slice(0.8 * gain, 1.2 * gain, 0.02 * gain), slice(offset - 0.6, offset + 0.6, 0.05)
    gain, offset = brute(error, around)
    return float(gain), float(offset)


@dataclass(frozen=True)
class Line:
    """A converter whose thresholds are equally spaced: floor(gain x + offset), from 0 to `highest`."""

    gain: float
    """Codes per LSB of an ON cell."""
    offset: float
    highest: int


def line_of(thresholds: Thresholds, lsb: float) -> Line | None:
    """The converter as a line over currents in units of `lsb` (A); None if its thresholds are not equally spaced."""
    levels = thresholds.current / lsb
    gaps = np.diff(levels)
    if len(gaps) == 0 or gaps[0] <= 0 or not np.allclose(gaps, gaps[0], rtol=1e-9, atol=0):
        return None
    gain = (len(levels) - 1) / (levels[-1] - levels[0])
    return Line(gain, 1 - gain * levels[0], len(levels))


def convert(thresholds: Thresholds, current: Array) -> NDArray[np.int64]:
    """Codes of currents of any shape, A; saturates at both ends of the scale."""
    return np.searchsorted(thresholds.current, current, side="right")


def positions(thresholds: Thresholds, current: Array) -> Single:
    """Where currents of any shape, A, lie on the converter's scale, in its LSB; the code is the integer part.

    Linear between thresholds; beyond the outermost it goes on with their mean distance, so that what a converter adds
    to a current outside its range has the effect that it has inside.

    >>> thresholds = Thresholds(np.array([0.5, 1.5, 2.5]), step=1.0)
    >>> positions(thresholds, np.array([0.0, 0.5, 1.0, 3.5])).tolist()
    [0.5, 1.0, 1.5, 4.0]

    Raises
    ------
    BadInput
        If the thresholds do not tell how wide a code is.
    """
    at = thresholds.current
    if len(at) < 2 or at[0] == at[-1]:
        raise BadInput("a converter with flaws needs two bits at least, and thresholds that differ.")
    wide = (at[-1] - at[0]) / (len(at) - 1)
    place = np.interp(current, at, np.arange(1.0, len(at) + 1))
    place += np.minimum(current - at[0], 0) / wide + np.maximum(current - at[-1], 0) / wide
    code = convert(thresholds, current)
    above = np.where(code < len(at), np.nextafter(np.float32(code + 1), np.float32(0)), np.inf)
    below = np.where(code > 0, code, -np.inf)
    # rounding leaves no position in another code
    return np.asarray(np.clip(place, below, above), np.float32)


def flaws_of(converter: Converter, *, layer: str, tiles: int, columns: int) -> Flaws:
    """The converters of a layer, drawn from the seed: the same ones whatever else runs, in whatever order."""
    seeds = [int(content_hash([converter.seed, layer, part]), 16) for part in ("offset", "bow", "noise")]
    offset, bow = (
        (sigma * np.random.default_rng(seed).standard_normal((tiles, columns))).astype(np.float32)
        for sigma, seed in zip((converter.offset, converter.inl), seeds, strict=False)
    )
    return Flaws(offset, bow, converter.noise, seeds[2] % 2**64)


@cache
def noise_levels() -> Single:
    """(NOISE_LEVELS,) equally likely values, rising, that stand for a normal variable of variance 1."""
    quantile = NormalDist().inv_cdf
    levels = np.array([quantile((k + 0.5) / NOISE_LEVELS) for k in range(NOISE_LEVELS)])
    return np.asarray(levels / levels.std(), np.float32)
