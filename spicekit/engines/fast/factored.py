"""Reads of up to 16 rows in factored form: what both bytes of a pattern add, and what they take from each other.

Cut a pattern of ON cells into a lower byte x and an upper byte y. Each alone delivers f(x) or g(y); together they
deliver less by what either adds to the drop that the other sees: an effect with an effect, hence nearly a product. So

    I(x, y) = f(x) + g(y) + sum_k u_k(x) v_k(y)

which the singular value decomposition of the table of all currents gives, as close as so many products can come: one
or two are enough. Everything is then scaled to whole numbers of 16 bits: a code with bits behind its point. What a
column passes on of its cells' mismatch follows from the number of ON cells, which either byte adds to, and is
factored alike.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spicekit.engines.cache import Once
from spicekit.engines.converter import Line
from spicekit.engines.fast.factored_kernels import (
    LEAK_PRODUCTS,
    LEAK_SHIFT,
    PASSED_PRODUCTS,
    PRODUCTS,
    sum_factored_codes,
)
from spicekit.engines.words import MISMATCH_UNIT, Applied, Stored
from spicekit.provenance import content_hash

Array = NDArray[np.float64]
Short = NDArray[np.int16]
Whole = NDArray[np.int64]

LARGEST = np.iinfo(np.int16).max
MOST_SHIFT = 11
"""Bits behind the point, at most: of 16 LSB and a sign 16 bits hold eleven."""
RMS_LIMIT, WORST_LIMIT = 0.002, 0.02
"""LSB of an ON cell, over all patterns: less than half of what FAST may be off, or the table is used unfactored."""
PASSED_LIMIT = 0.005
"""Steps of a current for a step of mismatch: of mismatch as wide as an ON cell's current, again `RMS_LIMIT`s."""
MOST_DEVIATION = LARGEST / MISMATCH_UNIT
"""LSB that the cells of a read deviate by, together, at most."""


@dataclass(frozen=True, eq=False)
class FactoredCodes:
    """Converter codes of every pattern, as `factored_kernels` computes them."""

    factors: Short
    """(groups, 2, fields, 256) of the lower and the upper byte: f or g, then u_k or v_k; if `leaky`, the same of what
    each other asserted cell adds; if `passing`, the same of what is passed on of mismatch."""
    offset: Short
    """(m + 1,) by number of asserted rows."""
    shift: int
    """Bits behind the point."""
    highest: int
    """The highest code."""
    products: int
    """Products of u_k and v_k."""
    leaky: bool
    passing: bool
    """Whether they are of a die whose cells are not all alike."""
    step: float
    """Partial sum that one code stands for."""
    clamped: bool = True
    """Whether a read may lie outside the converter's scale."""

    def holds(self, stored: Stored) -> bool:
        """Whether these are the codes for cells that are not all alike, and 16 bits hold what they deviate by."""
        return self.passing and stored.mismatch is not None and stored.most_mismatch <= LARGEST

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        return sum_factored_codes(
            self.factors,
            self.offset,
            self.shift,
            self.highest,
            self.products,
            self.leaky,
            self.clamped,
            stored.words,
            -stored.inverted.astype(np.int16),
            stored.mismatch,
            stored.tiles,
            applied.words,
            applied.inverted,
            applied.asserted,
        )

    def positions(self, asserted: Whole) -> Whole:
        """(groups, n, 2^m) codes with `shift` bits behind the point; asserted rows are (n, 1) or (n, 2^m)."""
        patterns = np.arange(2 ** (len(self.offset) - 1))
        low, high = (
            self.factors[:, byte, :, patterns >> 8 * byte & 255].astype(np.int64) for byte in range(2)
        )  # (2^m, groups, fields)
        sums, products = low + high, low * high >> 16
        alone = sums[..., 0] + products[..., 1 : 1 + self.products].sum(axis=2)
        found = alone.T[:, None] + self.offset[asserted]
        if self.leaky:
            first = 1 + self.products
            leak = sums[..., first] + products[..., first + 1 : first + 1 + LEAK_PRODUCTS].sum(axis=2)
            found = found + (leak.T[:, None] * (asserted << LEAK_SHIFT) >> 16)
        return np.asarray(found)

    def codes(self, asserted: Whole) -> Whole:
        """(groups, n, 2^m) for numbers of asserted rows (n, 1) or (n, 2^m)."""
        return np.asarray(np.clip(self.positions(asserted) >> self.shift, 0, self.highest))

    def by_pattern(self) -> Whole | None:
        """(groups, 2^m), of any number of asserted rows; None where that number, or each cell, makes them others."""
        return None if self.leaky or self.passing else self.codes(np.zeros((1, 1), int))[:, 0]


_SLACK = 4  # positions that roundings of a leak add or take between none and all of the rows asserted
# The upper half of a product with a mismatch is then in steps of a position.
_PASSED_SCALE = 65536 / MISMATCH_UNIT


def factored_codes(
    quiet: Array,
    leak: Array,
    zeros: Array,
    line: Line,
    *,
    leaky: bool,
    step: float,
    passed: Array | None = None,
) -> FactoredCodes | None:
    """Codes of every pattern in factored form, or None where that form is not close enough or 16 bits do not hold it.

    Parameters
    ----------
    quiet : (groups, 2^m) float64 array
        LSB of an ON cell, current of each pattern with no other cell asserted.
    leak : (groups, 2^m) float64 array
        LSB, what each other asserted cell adds.
    zeros : (m + 1,) float64 array
        LSB, the column of zeros, by number of asserted rows.
    line : Line
        Of the converter.
    leaky : bool
        Whether leaks count.
    step : float
        Partial sum that one code stands for.
    passed : (groups, m + 1) float64 array, optional
        Steps of a current for a step of mismatch, by number of ON cells; of a die whose cells are not all alike.
    """
    tables = [content_hash(table) for table in (quiet, leak, zeros, passed) if table is not None]
    key = content_hash([*tables, dataclasses.astuple(line), leaky, step, passed is None])
    return _kept(Once(key, lambda: _factored(quiet, leak, zeros, line, leaky, step, passed)))


@lru_cache(maxsize=8)
def _kept(wanted: Once[FactoredCodes | None]) -> FactoredCodes | None:
    """To factor a table takes as long as some ten images; all dies of a design share its codes."""
    return wanted.make()


def _factored(
    quiet: Array, leak: Array, zeros: Array, line: Line, leaky: bool, step: float, passed: Array | None
) -> FactoredCodes | None:
    """`factored_codes`, made anew."""
    m = len(zeros) - 1
    on = np.bitwise_count(np.arange(2**m))
    leak = leak.copy() if leaky else np.zeros_like(leak)
    leak[:, -1] = leak[:, on == m - 1].mean(axis=1)  # all are ON: no other is there, and any value will do
    alone = quiet - on * leak
    currents = np.abs(alone).max() + m * np.abs(leak).max() + np.abs(zeros).max()
    share = 0.0 if passed is None else np.abs(passed).max()
    most = max(line.gain * (currents + MOST_DEVIATION * share) + abs(line.offset), _PASSED_SCALE * line.gain * share)
    shift = min(math.floor(math.log2(LARGEST / most)), MOST_SHIFT)
    if shift < 0:
        return None
    scale = line.gain * 2.0**shift
    others = (on, np.full_like(on, m)) if leaky else (on,)  # no other row is asserted, and all are
    asserted = np.stack(others).astype(np.int64)
    exact = alone[:, None] + asserted * leak[:, None] - zeros[asserted]
    passing = None if passed is None else _passed_factors(_PASSED_SCALE * scale, passed[:, on])
    if passed is not None and passing is None:
        return None
    most_products = np.array([_factor(scale * each, products=max(PRODUCTS)) for each in alone])
    for products in PRODUCTS:
        factors = most_products[:, :, : 1 + products]
        if leaky:
            finer = scale * 2.0 ** (16 - LEAK_SHIFT)
            leaks = [_factor(finer * each, products=LEAK_PRODUCTS) for each in leak]
            factors = np.concatenate([factors, leaks], axis=2)
        if passing is not None:
            factors = np.concatenate([factors, passing], axis=2)
        if not np.abs(factors).max() <= LARGEST:
            return None
        # the upper half of a product is rounded down: half a unit too little on average
        offset = line.offset * 2.0**shift - scale * zeros + 0.5 * (products + leaky + (passing is not None))
        whole, added = (np.round(part).astype(np.int16) for part in (factors, offset))
        codes = FactoredCodes(whole, added, shift, line.highest, products, leaky, passing is not None, step)
        found = codes.positions(asserted)
        if np.abs(found).max() > LARGEST:
            return None
        error = (found / 2.0**shift - line.offset) / line.gain - exact
        if (error**2).mean(axis=(0, 2)).max() < RMS_LIMIT**2 and np.abs(error).max() < WORST_LIMIT:
            above = ((line.highest + 1) << shift) - _SLACK
            inside = passing is None and found.min() >= _SLACK and found.max() < above
            return dataclasses.replace(codes, clamped=not inside)
    return None


def _passed_factors(scale: float, passed: Array) -> Array | None:
    """Factors of `scale` x what is passed on of mismatch, (groups, 2^m); None where they are not close enough."""
    factors = np.array([_factor(scale * each, products=PASSED_PRODUCTS) for each in passed]).round()
    patterns = np.arange(passed.shape[1])
    # (2^m, groups, fields)
    low, high = (factors[:, byte, :, patterns >> 8 * byte & 255] for byte in range(2))
    found = low[..., 0] + high[..., 0] + (low * high // 65536)[..., 1:].sum(axis=2)
    close = np.abs(found.T / scale - passed).max() < PASSED_LIMIT
    return factors if close and np.abs(found).max() <= LARGEST else None


def _factor(values: Array, *, products: int) -> Array:
    """(2, 1 + products, 256) factors of the lower and the upper byte, for values (2^m,) in steps of a position."""
    width = min(256, len(values))
    square = values.reshape(-1, width)  # (upper, lower)
    upper, lower = square.mean(axis=1) - square.mean(), square.mean(axis=0)
    u, s, v = np.linalg.svd(square - upper[:, None] - lower)
    factors = np.zeros((2, 1 + products, 256))
    factors[0, 0, :width], factors[1, 0, : len(upper)] = lower, upper
    for k in range(min(products, len(s))):
        ratio = np.abs(u[:, k]).max() / np.abs(v[k]).max()  # so that both use their 16 bits alike
        factors[0, 1 + k, :width] = v[k] * np.sqrt(65536 * s[k] * ratio)
        factors[1, 1 + k, : len(upper)] = u[:, k] * np.sqrt(65536 * s[k] / ratio)
    return factors
