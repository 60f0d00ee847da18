"""The converter (ADC) behind a column: currents to codes, with three ways to place its thresholds.

The converter subtracts the current of a reference column that stores zeros only, so that leakage of
asserted cells, known by design, does not count as signal (docs/decisions/converter.md).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spicekit.config import Config
from spicekit.errors import BadInput

Array = NDArray[np.float64]


class Converter(Config):
    """Resolution and reference scheme of the column converters."""

    bits: int | None = Field(default=None, ge=1, le=8)
    """Resolution; by default as many as give every possible partial sum a code of its own."""
    full_scale: float | None = Field(default=None, gt=0)
    """Partial sum of the highest code; by default the number of rows in a read."""
    reference: Literal["unit", "linear", "per_level"] = "unit"
    """`unit`: steps of one LSB as designed, blind to parasitics. `linear`: gain and offset fitted on
    calibration reads. `per_level`: every threshold fitted."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A converter with its thresholds set."""

    thresholds: Array
    """(levels - 1,) A, rising: code k is given between thresholds k-1 and k."""
    step: float
    """Partial sum that one code stands for."""


def set_reference(
    converter: Converter,
    *,
    rows: int,
    lsb: float,
    current: Array,
    count: NDArray[np.integer],
    weight: Array,
) -> Reference:
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
    highest = 2 ** (converter.bits or int(rows).bit_length()) - 1
    full_scale = converter.full_scale or float(rows)
    step = max(full_scale / highest, 1.0) if converter.full_scale is None else full_scale / highest
    middles = (np.arange(highest) + 0.5) * step  # partial sums at which the code changes
    if converter.reference == "unit":
        return Reference(middles * lsb, step)
    levels = np.unique(count)
    if len(levels) < 3:
        raise BadInput(f"set_reference: calibration reads show partial sums {levels}; need 3 at least.")
    if converter.reference == "linear":
        gain, offset = np.polyfit(count, current, 1, w=np.sqrt(weight))
        return Reference(offset + gain * middles, step)
    means = np.bincount(count, weight * current)[levels] / np.bincount(count, weight)[levels]
    # A level that calibration never saw gets its current from a parabola through those it saw.
    parabola = np.polynomial.Polynomial.fit(levels, means, 2)
    known = np.maximum.accumulate(np.interp(middles, levels, means))
    outside = (middles < levels[0]) | (middles > levels[-1])
    return Reference(np.maximum.accumulate(np.where(outside, parabola(middles), known)), step)


def convert(reference: Reference, current: Array) -> NDArray[np.int64]:
    """Codes of currents of any shape, A; saturates at both ends of the scale."""
    return np.searchsorted(reference.thresholds, current, side="right")
