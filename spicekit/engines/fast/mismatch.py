"""FAST engine: what mismatch does to a read, to first order.

A cell that delivers more than nominal raises its column's current by less than that, because the wires take a share: a
larger one the more cells are ON, and another one in every place. The correction is

    dI = h(n / m) sum_i g(r_i / m) d_i

over the asserted cells, with d_i what cell i would deliver above nominal at the bias in LSB, n the number of ON cells,
and polynomials g and h that are fitted to the exact engine for a spec. So the network kernel adds one whole number for
each asserted cell. The error that is left is measured on reads that the fit has not seen; a spec where it is too large
is refused. docs/variation.md has figures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cache import Arrays, fitted, key_of
from spicekit.engines.cell_currents import (
    CellCurrents,
    Variation,
    cell_currents_of,
    cell_sensitivity,
    factors,
    require_wordline,
)
from spicekit.engines.exact.ladder import Crossbar, decides, solve
from spicekit.engines.fast.wire_sums import sample_patterns
from spicekit.engines.words import MISMATCH_UNIT
from spicekit.errors import BadInput
from spicekit.tables.spread import standard_deviations
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]

# LSB: as much as the surrogate's own targets allow the heaviest tile that they name (128 rows).
RMS_LIMIT = 0.05
PLACE_DEGREE = 2
COUNT_DEGREE = 3
# Reads that a build solves, half of them for the error alone: 400 for each coefficient.
SAMPLES = 6000
SEED = 20_241_203  # of the sampled reads, so that a build is reproducible


@dataclass(frozen=True, eq=False)
class Passed:
    """How much of the cells' mismatch reaches the sense point, for each group of rows."""

    place: Array
    """(groups, m) g: by row."""
    count: Array
    """(groups, m + 1) h: by number of ON cells."""
    error: Array
    """(2,) LSB, on reads that the fit has not seen: rms in the worst group, and largest."""


def passed(spec: TileSpec, table: IVTable, variation: Variation) -> Passed:
    """The correction for a spec and amount of mismatch; fitted at the first call, then cached.

    Raises
    ------
    BadInput
        If the error found is above `RMS_LIMIT`, names it; if the tile has bit-line drive or shared rails.
    """
    require_wordline(spec)
    if spec.wires.railed:
        raise BadInput("the fast engine knows no mismatch behind shared rails; use the exact engine.")
    found = fitted(
        key_of(__name__, *decides(spec, table), variation.mismatch, standard_deviations(spec)),
        lambda: _fit(spec, table, variation),
        limit=RMS_LIMIT,
        what=f"the fast engine's first-order mismatch ({variation.mismatch:g} times the card's)",
        instead="Use the exact engine, lighter wires or fewer rows in a read.",
    )
    return Passed(**found)


def mismatch_steps(found: Passed, cells: CellCurrents, bits: Bits, factor: Array) -> NDArray[np.int16]:
    """(groups, .., m, c) what asserted cells deliver above nominal, weighted with their place; 1 / MISMATCH_UNIT LSB.

    Parameters
    ----------
    found : Passed
    cells : CellCurrents
    bits : (groups, .., m, c) uint8 array
        As held by the cells.
    factor : float64 array of the same shape
        From `variation.factors`.
    """
    groups, m = found.place.shape
    place = found.place.reshape(groups, *(1,) * (bits.ndim - 3), m, 1)
    steps = np.rint(MISMATCH_UNIT * place * _above_nominal(cells, bits, factor))
    if not abs(steps).max(initial=0) <= np.iinfo(np.int16).max:
        raise BadInput("a cell delivers 8 LSB more than nominal: more than the fast engine's tables hold.")
    return np.asarray(steps.astype(np.int16))


def shifts(found: Passed, cells: CellCurrents, held: Bits, factor: Array, bits: Bits) -> Array:
    """(b, groups, c) A: what mismatch adds to each read of activation bits (b, r).

    Parameters
    ----------
    found : Passed
    cells : CellCurrents
    held : (r, c) uint8 array
        Bits in the cells.
    factor : (r, c) float64 array
        From `variation.factors`.
    bits : (b, r) uint8 array
    """
    groups, m = found.place.shape
    above = _above_nominal(cells, held, factor) * found.place.reshape(-1, 1)
    current = np.empty((len(bits), groups, held.shape[1]))
    for group in range(groups):
        rows = slice(group * m, (group + 1) * m)
        n = bits[:, rows].astype(np.int64) @ held[rows]
        current[:, group] = cells.lsb * found.count[group][n] * (bits[:, rows] @ above[rows])
    return current


def _above_nominal(cells: CellCurrents, bits: Bits, factor: Array) -> Array:
    """What asserted cells deliver above nominal with their terminals held at the bias, LSB."""
    return np.asarray((cells.state[:, 1] / cells.lsb)[bits] * (factor - 1))


def _fit(spec: TileSpec, table: IVTable, variation: Variation) -> Arrays:
    cell = cell_sensitivity(spec, table)
    cells = cell_currents_of(spec, table)
    m = spec.rows_active
    place = np.vander((np.arange(m) + 0.5) / m, PLACE_DEGREE + 1, increasing=True)
    count = np.vander(np.arange(m + 1) / m, COUNT_DEGREE + 1, increasing=True)
    by_place, by_count, rms, worst = [], [], [], []
    rng = np.random.default_rng(SEED)
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        held = np.zeros((spec.rows, SAMPLES), np.uint8)
        held[rows] = rng.permutation(sample_patterns(SAMPLES, m, rng=rng)).T
        sampled = variation.replace(seed=SEED)
        factor = factors(held, sampled, cell, place=f"fit, group {group}")
        asserted = np.zeros((1, spec.rows), np.uint8)
        asserted[:, rows] = 1
        made = solve(Crossbar(spec, table, held, factor), asserted).current[0]
        shift = (made - solve(Crossbar(spec, table, held), asserted).current[0]) / cells.lsb
        d = _above_nominal(cells, held[rows], factor[rows])
        terms = (d.T @ place)[:, :, None] * count[held[rows].sum(axis=0)][:, None, :]  # (n, places, counts)
        g, h = _rank_one(terms[::2], shift[::2])
        error = np.einsum("npc,p,c->n", terms[1::2], g, h) - shift[1::2]
        by_place.append(place @ g)
        by_count.append(count @ h)
        rms.append(np.sqrt((error**2).mean()))
        worst.append(abs(error).max())
    return {
        "place": np.array(by_place),
        "count": np.array(by_count),
        "error": np.array([np.max(rms), np.max(worst)]),
    }


def _rank_one(terms: Array, target: Array) -> tuple[Array, Array]:
    """g and h that make sum(terms g h) the target in least squares, each found in turn; the mean of g is 1."""
    g = np.eye(terms.shape[1])[0]
    for _ in range(10):  # the error no longer changes in its third digit
        h = np.linalg.lstsq(np.einsum("npc,p->nc", terms, g), target, rcond=None)[0]
        g = np.linalg.lstsq(np.einsum("npc,c->np", terms, h), target, rcond=None)[0]
        mean = float(g @ (1 / np.arange(1, len(g) + 1)))
        g, h = g / mean, h * mean
    return g, h
