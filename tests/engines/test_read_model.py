"""The surrogates' network kernels against their own models in floating point, and against the exact engine."""

import numpy as np
import pytest
from layer_reads import applied_of, stored_of

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.converter import Converter, convert
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.engines.fast.wire_sums import sample_patterns
from spicekit.engines.lanes import transpose
from spicekit.engines.words import Applied, Stored
from spicekit.errors import BadInput


def spec_of(rows: int, *, ohm: float = 3.2, cell: str = "8t-sram", rows_active: int | None = None) -> TileSpec:
    return TileSpec(cell=cell, rows=rows, rows_active=rows_active or rows, wires=Wires(r_bl=ohm, r_sl=ohm))


def reads_of(rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Stored, Applied]:
    """Weights (40, m), activations (60, m), and both as words of one tile with one group."""
    rng = np.random.default_rng(seed)
    weights = (rng.random((40, rows)) < rng.uniform(0.1, 0.9, (40, 1))).astype(np.uint8)
    bits = (rng.random((60, rows)) < rng.uniform(0.1, 0.9, (60, 1))).astype(np.uint8)
    return weights, bits, stored_of(weights), applied_of(bits)


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize(("rows", "limit"), [(16, 1e-9), (24, 0.01), (64, 0.01), (100, 0.03), (128, 0.03)])
def test_a_tally_adds_up_the_models_currents(tables, cell, rows, limit):
    model = read_model(spec_of(rows, cell=cell), tables[cell])
    weights, bits, stored, applied = reads_of(rows)
    tally = model.tally(stored, applied)
    on = (bits[:, None] & weights[None]).reshape(-1, rows)
    asserted = np.repeat(bits, 40, axis=0)
    current = model.currents(on, asserted, group=0)
    expected = np.bincount(on.sum(axis=1), current, rows + 1)
    mean_error = (tally.current - expected) / np.maximum(tally.reads, 1) / model.cells.lsb
    assert abs(mean_error).max() < limit
    squares = np.bincount(on.sum(axis=1), current**2, rows + 1)
    square_error = (tally.square - squares) / np.maximum(tally.reads, 1) / model.cells.lsb**2
    # An error of a current counts with twice the current. What leakage spreads within one pattern is left out: up to 16
    # cells of a hundredth of an LSB, which a column of zeros takes away again.
    assert abs(square_error).max() < 2 * rows * limit + 5e-3


@pytest.mark.parametrize("rows", [8, 16, 24, 64, 128])
def test_ideal_codes_count(rows):
    weights, bits, stored, applied = reads_of(rows)
    assert (IdealCodes().sums(stored, applied) == bits.astype(int) @ weights.T).all()


@pytest.mark.parametrize("rows", [16, 64])
def test_codes_are_those_of_the_exact_currents_but_at_a_threshold(sram_table, rows):
    spec = spec_of(rows)
    model = read_model(spec, sram_table)
    weights, bits, stored, applied = reads_of(rows)
    codes = model.codes(fit_thresholds(model, Converter(), None)).sums(stored, applied)
    exact = solve(Crossbar(spec, sram_table, np.ascontiguousarray(weights.T)), bits).current / model.cells.lsb
    assert abs(codes - exact).max() < 0.55
    assert (codes == np.rint(exact)).mean() > 0.97


@pytest.mark.parametrize(
    ("rows", "ohm", "rows_active", "rms", "worst"),
    [
        (64, 3.2, 64, 0.01, 0.1),
        (64, 10, 64, 0.03, 0.3),
        (128, 3.2, 128, 0.05, 0.5),
        (32, 3.2, 32, 0.005, 0.05),
    ],
)
def test_the_surrogate_keeps_its_limits_on_patterns_it_was_not_fitted_to(
    sram_table, rows, ohm, rows_active, rms, worst
):
    spec = spec_of(rows, ohm=ohm, rows_active=rows_active)
    model = read_model(spec, sram_table)
    on = sample_patterns(4000, rows, rng=np.random.default_rng(9))
    on = on[(on.mean(axis=1) > 0.05) & (on.mean(axis=1) < 0.95)]
    exact = solve(Crossbar(spec, sram_table, np.ones((rows, 1), np.uint8)), on).current[:, 0]
    error = (model.currents(on, on, group=0) - exact) / model.cells.lsb
    assert np.sqrt((error**2).mean()) <= rms
    assert abs(error).max() <= worst


@pytest.mark.parametrize("rows", [24, 32, 48, 64, 128])
def test_cells_all_at_one_end_or_at_both_have_the_codes_of_the_model(sram_table, rows):
    """They drive the kernel's sums to the ends of what 16 bits hold. A code at a threshold may move."""
    model = read_model(spec_of(rows), sram_table)
    row = np.arange(rows)
    runs = np.array([(first <= row) & (row < last) for first in row for last in range(first + 1, rows + 1)])
    bits = np.concatenate([runs, ~runs]).astype(np.uint8)
    stored, applied = stored_of(np.ones((1, rows), np.uint8)), applied_of(bits)
    fine = fit_thresholds(model, Converter(bits=8, full_scale=float(rows)), None)
    codes = model.codes(fine).sums(stored, applied)[:, 0]
    expected = convert(
        fine, model.currents(bits, bits, group=0) - model.cells.zeros(applied.by_vector().asserted[:, 0, 0])
    )
    assert abs(codes - expected).max() <= 1
    assert (codes == expected).mean() > 0.999
    assert len(np.unique(codes)) > 30


def test_reads_of_any_number_of_rows_are_counted():
    weights, bits, stored, applied = reads_of(200)
    assert (IdealCodes().sums(stored, applied) == bits.astype(int) @ weights.T).all()


def test_networks_refuse_bitline_drive(tables):
    wires = Wires(r_row=1, r_col=1)
    spec = TileSpec(cell="1t1r", drive="bitline", wires=wires)
    with pytest.raises(BadInput, match="word-line drive"):
        read_model(spec, tables["1t1r"])


@pytest.mark.parametrize("end", ["far", "near"])
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_the_error_that_a_surrogate_states_is_found_on_other_reads(tables, cell, end):
    rows = 32
    spec = spec_of(rows, ohm=30.0, cell=cell).replace(sense_end=end)
    model = read_model(spec, tables[cell])
    rng = np.random.default_rng(7)
    stored, bits = sample_patterns(60, rows, rng=rng).T, sample_patterns(60, rows, rng=rng)
    exact = solve(Crossbar(spec, tables[cell], stored), bits).current
    on = (bits[:, None] & stored.T[None]).reshape(-1, rows)
    found = model.currents(on, np.repeat(bits, 60, axis=0), group=0).reshape(exact.shape)
    rms = np.sqrt(np.mean(((found - exact) / model.cells.lsb) ** 2))
    assert 0.5 * model.error[0] < rms < 1.5 * model.error[0]


def test_a_surrogate_that_is_too_far_off_is_refused_with_its_error(sram_table):
    spec = spec_of(128, ohm=30.0)
    read_model(spec, sram_table)
    with pytest.raises(BadInput, match=r"off by 0\.\d+ LSB rms .* its limit is 0\.144\. Use the exact engine"):
        read_model(spec.replace(sense_end="near"), sram_table)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, np.uint64])
@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (16, 16), (33, 70), (64, 8)])
def test_a_transposed_part_of_an_array_is_numpys(kind, shape):
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 200, (shape[0] + 3, shape[1] + 5)).astype(kind)
    out = np.full((shape[1] + 2, shape[0] + 4), 250, kind)
    transpose(whole.reshape(-1), 2, whole.shape[1], out.reshape(-1), 1, out.shape[1], *shape)
    expected = np.full_like(out, 250)
    expected[: shape[1], 1 : 1 + shape[0]] = whole[: shape[0], 2 : 2 + shape[1]].T
    assert (out == expected).all()
