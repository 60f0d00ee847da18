"""The converter (ADC) behind a column: currents to codes, with three ways to place its thresholds.

The converter subtracts the current of a reference column that stores zeros only, so that leakage of
asserted cells, known by design, does not count as signal (docs/decisions/converter.md).

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
    reference: Literal["unit", "linear", "linear_sums", "per_level"] = "unit"
    """`unit`: steps of one LSB as designed, blind to parasitics. `linear`: gain and offset fitted on the currents of
    calibration reads. `linear_sums`: fitted on the sums that each layer makes of its reads. `per_level`: every
    threshold fitted. All converters of a network have the same."""
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
    """(n,) A."""
    count: NDArray[np.integer]
    """(n,) their partial sums."""
    weight: Array
    """(n,) how often each occurs."""
    reads: int
    """Whose codes make one dot product."""


def thresholds_for_sums(converter: Converter, layers: Sequence[LayerReads], *, rows: int) -> Thresholds:
    """Equally spaced thresholds with the least squared error of dot products, in place of that of single reads.

    The codes of N reads are added. What their errors have in common grows as N, what is random in them as its root:
    (N mean(e))^2 + N var(e) of a sum, over N the error for each read that all layers count with alike. With the error
    of a read e = (I - offset) / gain - n that is a linear least-squares problem in 1 / gain and offset / gain.

    Raises
    ------
    BadInput
        If the reads do not tell gain and offset apart.
    """
    unknowns, wanted = [], []
    scale = max(float(np.abs(layer.current).max(initial=0.0)) for layer in layers)
    for layer in layers:
        share = layer.weight / layer.weight.sum()
        terms = np.stack([layer.current / scale, np.ones(len(share))], axis=1)
        # share e^2, summed, is mean(e)^2 + var(e): N - 1 times the former is missing
        unknowns += [terms * np.sqrt(share)[:, None], np.sqrt(layer.reads - 1) * (share @ terms)[None]]
        wanted += [layer.count * np.sqrt(share), np.sqrt(layer.reads - 1) * np.array([share @ layer.count])]
    (slope, shift), _, rank, _ = np.linalg.lstsq(np.concatenate(unknowns), np.concatenate(wanted), rcond=None)
    if rank < 2 or not slope > 0:
        raise BadInput(
            "thresholds_for_sums: calibration reads do not tell gain and offset apart; use more images."
        )
    step = converter.step(rows)
    middles = (np.arange(2 ** converter.resolution(rows) - 1) + 0.5) * step
    return Thresholds((middles - shift) * scale / slope, step)


def set_thresholds(
    converter: Converter,
    *,
    rows: int,
    lsb: float,
    current: Array,
    count: NDArray[np.integer],
    weight: Array,
) -> Thresholds:
    """Place the thresholds.

    Parameters
    ----------
    converter : Converter
    rows : int
        Rows that a read asserts, the largest partial sum.
    lsb : float
        Current step of one ON cell without parasitics, A.
    current : (n,) float64 array, A
        Calibration reads; `unit` does not look at them.
    count : (n,) integer array
        Their true partial sums.
    weight : (n,) float64 array
        How often each of them occurs.

    Raises
    ------
    BadInput
        If the calibration reads do not show enough different partial sums to fit.
    """
    step = converter.step(rows)
    middles = (
        np.arange(2 ** converter.resolution(rows) - 1) + 0.5
    ) * step  # partial sums at which the code changes
    if converter.reference == "unit":
        return Thresholds(middles * lsb, step)
    levels = np.unique(count)
    if len(levels) < 3:
        raise BadInput(f"set_thresholds: calibration reads show partial sums {levels}; need 3 at least.")
    if converter.reference == "linear":
        gain, offset = np.polyfit(count, current, 1, w=np.sqrt(weight))
        return Thresholds(offset + gain * middles, step)
    means = np.bincount(count, weight * current)[levels] / np.bincount(count, weight)[levels]
    # A level that calibration never saw gets its current from a parabola through those it saw.
    parabola = np.polynomial.Polynomial.fit(levels, means, 2)
    known = np.maximum.accumulate(np.interp(middles, levels, means))
    outside = (middles < levels[0]) | (middles > levels[-1])
    return Thresholds(np.maximum.accumulate(np.where(outside, parabola(middles), known)), step)


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
