"""Reads of up to 16 rows in factored form: as close to the table of all patterns as promised, or not used."""

import numpy as np
import pytest
from layer_reads import applied_of, stored_of

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.converter import Converter, Line, Thresholds, convert, line_of
from spicekit.engines.fast.factored import FactoredCodes, factored_codes
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.engines.fast.patterns import PatternCodes, tabulated
from spicekit.engines.words import Applied, Stored


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("ohm", [0.0, 3.2, 30.0])
@pytest.mark.parametrize(("rows_active", "bits"), [(3, None), (12, 8), (16, None), (16, 8)])
def test_factored_currents_are_those_of_the_table(tables, cell, ohm, rows_active, bits):
    m = rows_active
    spec = TileSpec(cell=cell, rows=48, rows_active=m, wires=Wires(r_bl=ohm, r_sl=ohm))
    model = read_model(spec, tables[cell])
    converter = Converter(bits=bits, full_scale=float(m) if bits else None)
    thresholds = fit_thresholds(model, converter, None)
    codes = model.codes(thresholds)
    line = line_of(thresholds, model.cells.lsb)
    assert isinstance(codes, FactoredCodes)
    assert line is not None
    on = np.bitwise_count(np.arange(2**m)).astype(np.int64)
    for others in (0, 1, 3):
        asserted = on + others
        possible = asserted <= m
        found = codes.positions(np.minimum(asserted, m)[None])[:, 0] / 2.0**codes.shift
        current = model.quiet + others * model.leak - model.cells.zeros(asserted)
        error = ((found - line.offset) / line.gain - current / model.cells.lsb)[:, possible]
        assert np.sqrt((error**2).mean()) < 0.0015
        assert np.abs(error).max() < 0.02


def test_currents_that_are_not_nearly_factored_are_refused():
    currents = np.random.default_rng(0).uniform(0, 16, (1, 2**16))
    nothing = np.zeros_like(currents)
    line = Line(1.0, 0.5, 16)
    assert factored_codes(currents, nothing, np.zeros(17), line, leaky=False, step=1.0) is None
    counts = np.bitwise_count(np.arange(2**16)).astype(float)[None]
    assert factored_codes(counts, nothing, np.zeros(17), line, leaky=False, step=1.0) is not None


@pytest.mark.parametrize("full_scale", [0.05, 0.1, 0.2, 1.0])
def test_a_scale_that_16_bits_do_not_hold_is_refused_not_wrapped(sram_table, full_scale):
    spec = TileSpec(rows=64, rows_active=16, wires=Wires(r_bl=3.2, r_sl=3.2))
    model = read_model(spec, sram_table)
    thresholds = fit_thresholds(model, Converter(bits=8, full_scale=full_scale), None)
    codes = model.codes(thresholds)
    assert isinstance(codes, FactoredCodes) == (full_scale > 0.05)
    stored, applied = reads(np.random.default_rng(1))
    looked_up = tabulated(codes) if isinstance(codes, FactoredCodes) else codes
    np.testing.assert_array_equal(codes.sums(stored, applied), looked_up.sums(stored, applied))
    assert (codes.sums(stored, applied) != 0).any()


def test_tabulated_codes_are_the_factored_ones(sram_table):
    spec = TileSpec(rows=64, rows_active=16, wires=Wires(r_bl=3.2, r_sl=3.2))
    model = read_model(spec, sram_table)
    codes = model.codes(fit_thresholds(model, Converter(), None))
    assert isinstance(codes, FactoredCodes)
    rng = np.random.default_rng(1)
    stored, applied = reads(rng)
    np.testing.assert_array_equal(codes.sums(stored, applied), tabulated(codes).sums(stored, applied))


def test_thresholds_that_are_not_equally_spaced_are_looked_up(sram_table):
    spec = TileSpec(rows=64, rows_active=16, wires=Wires(r_bl=3.2, r_sl=3.2))
    model = read_model(spec, sram_table)
    thresholds = model.cells.lsb * np.array([0.4, 1.5, 2.4, 5.0])
    codes = model.codes(Thresholds(thresholds, 1.0))
    assert isinstance(codes, PatternCodes)
    stored, applied = reads(np.random.default_rng(1))
    given = applied.by_vector()
    patterns = (stored.words[:, :, 0, None, :] & given.words.transpose(1, 2, 0, 3)).astype(int)  # (g, t, p, c)
    zeros = model.cells.zeros(np.zeros(1))
    read = convert(Thresholds(thresholds, 1.0), model.quiet - zeros)[np.arange(4)[:, None, None, None], patterns]
    turned = stored.inverted[:, :, None, :] ^ given.inverted.transpose(1, 2, 0)[..., None].astype(bool)
    expected = np.where(turned, -read, read).sum(axis=(0, 1))
    np.testing.assert_array_equal(codes.sums(stored, applied), expected)


def reads(rng: np.random.Generator) -> tuple[Stored, Applied]:
    """Two tiles of 64 rows and 70 columns, and 90 vectors, flips among both."""
    weights, bits = (rng.integers(0, 2, (*shape, 16), dtype=np.uint8) for shape in ((4, 2, 70), (90, 4, 2)))
    turned, inverted = rng.random((4, 2, 70)) < 0.5, rng.integers(0, 2, (90, 4, 2), dtype=np.uint8)
    return stored_of(weights, turned=turned), applied_of(bits, inverted=inverted)
