"""FAST engine for reads of more than 16 rows: current as a function of where in the column the ON cells sit.

The asserted rows are cut into four blocks. Two things are taken from each: its number of ON cells c_k, and their first
moment m_k, the sum of their distances from the middle of the block. With n = sum(c_k) and I in LSB, the surrogate is

    I = n / y,    y = P(c / s) + sum_k Q_k(c / s) m_k / s^2

with s the block's length, P and Q_k polynomials fitted to the exact engine. 1 / y is the fraction of its ideal current
that an ON cell delivers on average. Its drop grows with the current of the others, which makes I nearly n divided by a
polynomial: at degree 5 the fit of n / I has less than half the error of a fit of I (docs/surrogate.md).

Cells that are asserted but not ON leak; what such a cell adds is a polynomial of n.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.bias import lsb
from spicekit.engines.cache import Arrays, cached
from spicekit.engines.ladder import ladder_of, solve
from spicekit.provenance import content_hash
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]

BLOCKS = 4
# Degrees of P and Q: measured in docs/surrogate.md. The next degree gains less than a tenth.
DEGREE = 5
MOMENT_DEGREE = 2
LEAK_DEGREE = 3
# Exact solutions to fit to: 100 for each coefficient.
SAMPLES = 20_000
SEED = 20_241_203  # of the sampled patterns, so that a build is reproducible


@dataclass(frozen=True, eq=False)
class BlockModel:
    """Coefficients of the surrogate, for each group of rows."""

    base: Array
    """(groups, terms of P)."""
    slope: Array
    """(groups, 4, terms of Q)."""
    leak: Array
    """(groups, LEAK_DEGREE + 1) LSB for each other asserted cell, in powers of n / m."""


def block_model(spec: TileSpec, table: IVTable) -> BlockModel:
    """The surrogate of a spec; fitted at the first call, then cached."""
    key = content_hash(["blocks-1", spec.model_dump(mode="json", exclude={"columns"}), table.sha256])
    return BlockModel(**cached(key, lambda: _fit(spec, table)))


def block_length(rows: int) -> int:
    """Rows in a block; the last block may be shorter."""
    return -(-rows // BLOCKS)


def block_currents(
    model: BlockModel, counts: Array, moments: Array, others: Array, *, group: int, rows: int
) -> Array:
    """Read currents in LSB.

    Parameters
    ----------
    counts, moments : (n, 4) float64 arrays
        ON cells of each block, and their first moments in rows.
    others : (n,) float64 array
        Asserted cells that are not ON.
    group, rows : int
        Which group of rows the read asserts, and how many.
    """
    s = block_length(rows)
    u = counts / s
    n = counts.sum(axis=1)
    y = _terms(u, DEGREE) @ model.base[group]
    dy = np.einsum("nk,kn->n", moments / s**2, model.slope[group] @ _terms(u, MOMENT_DEGREE).T)
    leak = np.polynomial.polynomial.polyval(n / rows, model.leak[group])
    # to first order in the moments, which is how the network kernels tabulate it
    return np.asarray(n / y * (1 - dy / y) + others * leak)


def block_features(on: Bits) -> tuple[Array, Array]:
    """Counts and first moments, each (n, 4), of patterns of ON cells (n, m)."""
    n, m = on.shape
    s = block_length(m)
    padded = np.zeros((n, BLOCKS * s))
    padded[:, :m] = on
    blocks = padded.reshape(n, BLOCKS, s)
    return blocks.sum(axis=2), blocks @ (np.arange(s) - (s - 1) / 2)


def _fit(spec: TileSpec, table: IVTable) -> Arrays:
    rng = np.random.default_rng(SEED)
    m = spec.rows_active
    on = sample_patterns(SAMPLES, m, rng=rng)
    n = on.sum(axis=1)
    counts, moments = block_features(on)
    u = counts / block_length(m)
    shape = moments / block_length(m) ** 2
    base_terms, slope_terms = _terms(u, DEGREE), _terms(u, MOMENT_DEGREE)
    unit = lsb(spec, table)
    base, slope, leak = [], [], []
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        quiet = _exact(spec, table, np.ones((spec.rows, 1), np.uint8), on, rows)[:, 0] / unit
        met = n > 0
        y = n[met] / quiet[met]
        weight = quiet[met] / y  # dI/dy, so that the error of I is what is squared
        design = np.concatenate(
            [base_terms, *(slope_terms * shape[:, k : k + 1] for k in range(BLOCKS))], axis=1
        )[met]
        solution = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)[0]
        base.append(solution[: base_terms.shape[1]])
        slope.append(solution[base_terms.shape[1] :].reshape(BLOCKS, -1))
        few = np.flatnonzero(n < m)[: SAMPLES // 20]
        stored = np.zeros((spec.rows, len(few)), np.uint8)
        stored[rows] = on[few].T
        everything = _exact(spec, table, stored, np.ones((1, m), np.uint8), rows)[0] / unit
        each = (everything - quiet[few]) / (m - n[few])
        leak.append(np.polynomial.polynomial.polyfit(n[few] / m, each, LEAK_DEGREE))
    return {"base": np.array(base), "slope": np.array(slope), "leak": np.array(leak)}


def sample_patterns(count: int, rows: int, *, rng: np.random.Generator) -> Bits:
    """(count, rows) patterns of ON cells: half independent bits, half clustered ones, at all on-fractions."""
    independent = rng.random((count // 2, rows)) < rng.uniform(0, 1, (count // 2, 1))
    walks = rng.standard_normal((count - count // 2, rows + 16)).cumsum(axis=1)
    smooth = (walks[:, 16:] - walks[:, :-16]) / 4  # neighbours share 15 of 16 steps; variance 1
    clustered = smooth > rng.uniform(-2, 2, (len(smooth), 1))
    return np.concatenate([independent, clustered]).astype(np.uint8)


def _exact(spec: TileSpec, table: IVTable, stored: Bits, asserted: Bits, rows: slice) -> Array:
    """(b, c) A, with `asserted` (b, m) applied to a group of rows and 0 to the others."""
    applied = np.zeros((len(asserted), spec.rows), np.uint8)
    applied[:, rows] = asserted
    return solve(ladder_of(spec, table, stored), applied).current


def _terms(u: Array, degree: int) -> Array:
    """(n, terms) all monomials of the four block densities up to a total degree."""
    columns = [np.ones(len(u))]
    for order in range(1, degree + 1):
        columns += [
            np.prod(u[:, chosen], axis=1)
            for chosen in map(list, combinations_with_replacement(range(BLOCKS), order))
        ]
    return np.stack(columns, axis=1)
