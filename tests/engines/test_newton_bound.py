"""One Newton step: its bound holds, and the codes it leaves are those of columns solved to the last digit."""

import numpy as np
import pytest
from layer_reads import applied_of, stored_of

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import cell_currents_of, lsb
from spicekit.engines.converter import Thresholds, convert
from spicekit.engines.exact import codes
from spicekit.engines.exact.codes import ExactCodes, first_step, start_of
from spicekit.engines.exact.ladder import Crossbar, solve, solve_reads
from spicekit.engines.fast.wire_sums import sample_patterns
from spicekit.errors import BadInput


def spec_of(rows: int, ohm: float, *, cell: str = "8t-sram", rows_active: int | None = None, **options):
    wires = Wires(r_bl=ohm, r_sl=ohm)
    return TileSpec(cell=cell, rows=rows, rows_active=rows_active or rows, wires=wires, **options)


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize(
    ("rows", "rows_active", "ohm"),
    [(64, 64, 0.0), (64, 64, 3.2), (64, 64, 10.0), (64, 16, 3.2), (100, 20, 5.0), (128, 128, 30.0)],
)
def test_the_exact_current_is_within_the_bound(tables, cell, rows, rows_active, ohm):
    spec, table = spec_of(rows, ohm, cell=cell, rows_active=rows_active), tables[cell]
    weights = np.ascontiguousarray(sample_patterns(74, rows, rng=np.random.default_rng(1)).T)
    for group in range(spec.groups):
        bits = sample_patterns(60, rows, rng=np.random.default_rng(group))
        bits[:, np.arange(rows) // rows_active != group] = 0
        current, bound = first_step(start_of(spec, table, group), weights, bits)
        error = abs(current - solve(Crossbar(spec, table, weights), bits).current)
        assert (error <= bound).all()
        if ohm <= 3.2:
            assert np.quantile(bound, 0.99) < 0.2 * lsb(spec, table)


def test_a_current_outside_the_bound_would_be_seen(sram_table):
    """The bound is no more than some times the error: it cannot hold by being huge."""
    spec = spec_of(64, 3.2)
    weights = np.ascontiguousarray(sample_patterns(100, 64, rng=np.random.default_rng(1)).T)
    bits = sample_patterns(100, 64, rng=np.random.default_rng(2))
    current, bound = first_step(start_of(spec, sram_table, 0), weights, bits)
    error = abs(current - solve(Crossbar(spec, sram_table, weights), bits).current)
    assert (error > bound / 10).mean() > 0.5


@pytest.mark.parametrize("sense_end", ["far", "near"])
@pytest.mark.parametrize(
    ("cell", "rows_active", "ohm"), [("8t-sram", 64, 3.2), ("1t1r", 64, 30.0), ("8t-sram", 16, 3.2)]
)
def test_codes_are_those_of_columns_solved_to_the_last_digit(tables, cell, rows_active, ohm, sense_end):
    spec, table = spec_of(64, ohm, cell=cell, rows_active=rows_active, sense_end=sense_end), tables[cell]
    # thresholds a thousandth of an LSB apart: hardly a code can be told after one step
    fine = Thresholds(np.arange(0, rows_active, 1e-3) * lsb(spec, table), step=1e-3)
    usual = Thresholds((np.arange(rows_active) + 0.5) * lsb(spec, table), step=1.0)
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 2, (spec.groups, 1, 30, rows_active), dtype=np.uint8)
    bits = rng.integers(0, 2, (40, spec.groups, 1, rows_active), dtype=np.uint8)
    bits[7] = bits[8] = bits[9]
    inverted = rng.random((spec.groups, 1, 30)) < 0.5
    given = rng.integers(0, 2, (40, spec.groups, 1), dtype=np.uint8)
    stored, applied = stored_of(weights, turned=inverted), applied_of(bits, inverted=given)
    for thresholds in (fine, usual):
        codes = ExactCodes(spec, table, thresholds)
        for group in range(spec.groups):
            rows = slice(group * rows_active, (group + 1) * rows_active)
            read = np.zeros((40, 64), np.uint8)
            read[:, rows] = bits[:, group, 0]
            cells = np.concatenate(list(weights[:, 0].transpose(0, 2, 1)))
            current = solve(Crossbar(spec, table, cells), read).current
            zeros = cell_currents_of(spec, table).zeros(read.sum(axis=1, dtype=np.int64))
            expected = convert(thresholds, current - zeros[:, None])
            flip = inverted[group, 0] ^ given[:, group, 0, None].astype(bool)
            found = codes.signed_codes(stored, applied, group=group, tile=0)
            assert (found == np.where(flip, -expected, expected)).all()


def test_few_columns_are_solved_to_the_last_digit(sram_table, monkeypatch):
    spec = spec_of(64, 3.2)
    solved = []

    def counted(ladder, bits, vector, column):
        solved.append(len(vector))
        return solve_reads(ladder, bits, vector, column)

    monkeypatch.setattr(codes, "solve_reads", counted)
    thresholds = Thresholds((np.arange(64) + 0.5) * lsb(spec, sram_table), step=1.0)
    rng = np.random.default_rng(0)
    weights, bits = (rng.integers(0, 2, (count, 64), dtype=np.uint8) for count in (100, 200))
    ExactCodes(spec, sram_table, thresholds).sums(stored_of(weights), applied_of(bits))
    assert 0 < sum(solved) < 0.02 * 200 * 100


@pytest.mark.parametrize("options", [{"sense_end": "near"}, {"cell": "1t1r", "drive": "bitline"}])
def test_other_columns_are_refused(tables, options):
    spec = TileSpec(**{"wires": Wires(r_bl=1, r_sl=1, r_row=1, r_col=1), **options})
    with pytest.raises(BadInput, match="sensed at their far end"):
        start_of(spec, tables[spec.cell], 0)
