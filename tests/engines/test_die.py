"""One die: converters and cells that are not all alike, against slow and obvious versions."""

import dataclasses
from statistics import NormalDist

import numba
import numpy as np
import pytest
from layer_reads import applied_of, stored_of

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import Variation, cell_currents_of, cell_sensitivity, factors
from spicekit.engines.converter import Converter, convert, flaws_of, noise_levels, positions
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.engines.fast import mismatch
from spicekit.engines.fast.die import DieCodes, codes_of_die
from spicekit.engines.fast.mismatch import mismatch_steps, passed
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.engines.words import Tally
from spicekit.errors import BadInput

ROWS = (16, 64)


def spec_of(rows: int, cell: str = "8t-sram", ohm: float = 3.2) -> TileSpec:
    return TileSpec(cell=cell, rows=rows, rows_active=rows, wires=Wires(r_bl=ohm, r_sl=ohm))


def reads_of(rows: int, *, images: int = 3, pixels: int = 20, columns: int = 40):
    rng = np.random.default_rng(rows)
    count = images * pixels
    weights = (rng.random((columns, rows)) < rng.uniform(0.1, 0.9, (columns, 1))).astype(np.uint8)
    bits = (rng.random((count, rows)) < rng.uniform(0.1, 0.9, (count, 1))).astype(np.uint8)
    stored = stored_of(weights, turned=rng.random((1, 1, columns)) < 0.5)
    flips = (rng.random((count, 1, 1)) < 0.5).astype(np.uint8)
    return weights, bits, stored, applied_of(bits, inverted=flips, shape=(pixels // 4, 4))


def thresholds_of(model, converter):
    """A line through what the model itself gives for runs of ON cells; `unit` looks at none of it."""
    rows = model.cells.spec.rows_active
    on = np.tril(np.ones((rows + 1, rows), np.uint8), -1)
    current = model.currents(on, on, group=0)
    return fit_thresholds(model, converter, Tally(np.ones(rows + 1), np.zeros(rows + 1), current, current**2))


def signs_of(stored, applied):
    flipped = stored.inverted[0, 0][None, :] != (applied.by_vector().inverted[:, 0, 0][:, None] == 1)
    return np.where(flipped, -1, 1)


def places_of(model, thresholds, weights, activations):
    """(reads, columns) where each current lies on the converter's scale, whose thresholds are whole numbers."""
    on = (activations[:, None] & weights[None]).reshape(-1, weights.shape[1])
    asserted = np.repeat(activations, len(weights), axis=0)
    signal = model.currents(on, asserted, group=0) - model.cells.zeros(asserted.sum(axis=1, dtype=np.int64))
    return positions(thresholds, signal).reshape(len(activations), len(weights))


def near_a_threshold(place, rows):
    """Whether fixed point may round a current across one."""
    return abs(place - np.rint(place)) < (0.005 if rows == 16 else 0.02)


def mixed(state: int) -> int:
    """Stafford's 13th variant of a 64-bit mixing function, in Python's whole numbers."""
    mask = 2**64 - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & mask
    return state ^ (state >> 31)


def noise_of(key: int, image: int, read: int, column: int) -> float:
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    for part in (image, read, column):
        key = mixed((key + part * golden) & mask)
    return float(noise_levels()[key >> 50])


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("kind", ["unit", "linear", "per_level"])
def test_codes_are_those_of_the_slow_converter(sram_table, rows, bits, kind):
    converter = Converter(bits=bits, reference=kind, offset=0.7, inl=0.5, noise=0.6, seed=3)
    model = read_model(spec_of(rows), sram_table)
    thresholds = thresholds_of(model, converter)
    weights, activations, stored, applied = reads_of(rows)
    sums = codes_of_die(model, thresholds, converter).sums(stored, dataclasses.replace(applied, first=5))

    place = places_of(model, thresholds, weights, activations)
    highest = len(thresholds.current)
    flaws = flaws_of(converter, layer="conv", tiles=1, columns=40)
    x = np.clip(place / (highest + 1), 0, 1)
    place = place + flaws.offset + 4 * flaws.bow * x * (1 - x)
    pixels = applied.shape[0] * applied.shape[1]
    place += converter.noise * np.array(
        [[noise_of(flaws.key, 5 + p // pixels, p % pixels, j) for j in range(40)] for p in range(len(sums))]
    )
    codes = np.clip(np.floor(place), 0, highest)
    assert (sums == signs_of(stored, applied) * codes)[~near_a_threshold(place, rows)].all()


@pytest.mark.parametrize("rows", ROWS)
def test_flaws_too_small_to_matter_leave_the_ideal_codes(tables, rows):
    for cell, table in tables.items():
        model = read_model(spec_of(rows, cell), table)
        thresholds = fit_thresholds(model, Converter(), None)
        weights, activations, stored, applied = reads_of(rows)
        ideal = codes_of_die(model, thresholds, Converter())
        flawed = codes_of_die(model, thresholds, Converter(noise=1e-9))
        assert isinstance(flawed, DieCodes)
        assert not isinstance(ideal, DieCodes)
        same = flawed.sums(stored, applied) == ideal.sums(stored, applied)
        place = places_of(model, thresholds, weights, activations)
        assert same[~near_a_threshold(place, rows)].all()
        assert same.mean() > 0.98


@pytest.mark.parametrize("rows", ROWS)
def test_codes_depend_on_neither_batch_nor_threads(sram_table, rows):
    model = read_model(spec_of(rows), sram_table)
    converter = Converter(offset=0.3, inl=0.3, noise=0.5)
    codes = codes_of_die(model, fit_thresholds(model, converter, None), converter)
    _, _, stored, applied = reads_of(rows, images=5)
    together = codes.sums(stored, applied)
    parts = [codes.sums(stored, applied.part(*cut)) for cut in ((0, 1), (1, 3), (3, 5))]
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = codes.sums(stored, applied)
    finally:
        numba.set_num_threads(threads)
    assert (together == np.concatenate(parts)).all()
    assert (together == alone).all()


def test_noise_is_normal_and_new_for_every_read(sram_table):
    """The same vector in every pixel of every image; a converter of 8 bits resolves its own noise."""
    model = read_model(spec_of(16), sram_table)
    converter = Converter(bits=8, full_scale=16, noise=6.0)
    codes = codes_of_die(model, fit_thresholds(model, converter, None), converter)
    half = (np.arange(16) < 8).astype(np.uint8)
    found = codes.sums(stored_of(np.ones((50, 16), np.uint8)), applied_of(np.tile(half, (400, 1)), shape=(4, 5)))
    # codes are whole, a sixth of a standard deviation apart
    residual = (found - found.mean()) / np.hypot(6.0, 12**-0.5)
    assert residual.std() == pytest.approx(1, rel=0.03)
    ranks = np.sort(residual.ravel())
    for quantile in (0.05, 0.5, 0.95):
        assert ranks[int(quantile * len(ranks))] == pytest.approx(NormalDist().inv_cdf(quantile), abs=0.1)
    by_axis = [residual.reshape(20, 20, 50).mean(axis=axis).std() for axis in (0, 1, 2)]
    for mean, count in zip(by_axis, (20, 20, 50), strict=True):
        assert mean == pytest.approx(count**-0.5, rel=0.2)  # independent over images, pixels and columns


def test_an_offset_stays_with_its_converter_and_moves_codes_by_itself(sram_table):
    model = read_model(spec_of(16), sram_table)
    converter = Converter(bits=8, full_scale=16, offset=5.0, seed=1)
    thresholds = fit_thresholds(model, converter, None)
    weights, bits, stored, applied = reads_of(16)
    shift = codes_of_die(model, thresholds, converter).sums(stored, applied)
    shift = shift - codes_of_die(model, thresholds, Converter(bits=8, full_scale=16)).sums(stored, applied)
    shift *= signs_of(stored, applied)
    middle = (bits.astype(int) @ weights.T > 4) & (bits.astype(int) @ weights.T < 9)
    offset = flaws_of(converter, layer="conv", tiles=1, columns=40).offset[0]
    assert (abs(shift - offset)[middle] <= 1).all()
    other = flaws_of(converter, layer="another", tiles=1, columns=40).offset[0]
    assert abs(np.corrcoef(offset, other)[0, 1]) < 0.5
    assert (flaws_of(converter, layer="conv", tiles=1, columns=40).offset[0] == offset).all()


def test_a_bow_vanishes_at_both_ends_of_the_scale(sram_table):
    model = read_model(spec_of(16), sram_table)
    converter = Converter(bits=8, full_scale=16, inl=8.0)
    thresholds = fit_thresholds(model, converter, None)
    weights, bits, stored, applied = reads_of(16)
    plain = codes_of_die(model, thresholds, Converter(bits=8, full_scale=16)).sums(stored, applied)
    shift = (codes_of_die(model, thresholds, converter).sums(stored, applied) - plain) * signs_of(stored, applied)
    count = bits.astype(int) @ weights.T
    assert abs(shift[count == 0]).max() <= 1
    assert abs(shift[(count > 6) & (count < 9)]).max() > 5


def test_positions_are_codes_and_more(sram_table):
    model = read_model(spec_of(16), sram_table)
    for kind in ("unit", "linear", "per_level"):
        thresholds = thresholds_of(model, Converter(reference=kind))
        current = model.cells.lsb * np.linspace(-2, 20, 5001)
        place = positions(thresholds, current)
        assert (np.diff(place) >= 0).all()
        highest = len(thresholds.current)
        assert (np.clip(np.floor(place), 0, highest) == convert(thresholds, current)).all()


def test_a_converter_of_one_bit_has_no_scale_for_flaws(sram_table):
    model = read_model(spec_of(16), sram_table)
    converter = Converter(bits=1, noise=0.1)
    codes = codes_of_die(model, fit_thresholds(model, converter, None), converter)
    _, _, stored, applied = reads_of(16)
    with pytest.raises(BadInput, match="two bits at least"):
        codes.sums(stored, applied)


@pytest.mark.parametrize(("rows", "limit"), [(16, 0.003), (64, 0.012)])
def test_first_order_mismatch_is_that_of_the_exact_engine(tables, rows, limit):
    """On bits, dies and vectors that the fit has not seen."""
    for cell, table in tables.items():
        spec = spec_of(rows, cell)
        variation = Variation(seed=7, mismatch=1.0)
        weights, bits, *_ = reads_of(rows)
        held = np.ascontiguousarray(weights.T)
        factor = factors(held, variation, cell_sensitivity(spec, table), place="conv")
        true = solve(Crossbar(spec, table, held, factor), bits).current
        nominal = solve(Crossbar(spec, table, held), bits).current
        found = passed(spec, table, variation)
        cells = cell_currents_of(spec, table)
        d = mismatch_steps(found, cells, held[None], factor[None])[0] / 4096
        shift = found.count[0][bits.astype(int) @ held] * (bits @ d)
        miss = (true - nominal) / cells.lsb - shift
        effect = (true - nominal).std() / cells.lsb
        assert np.sqrt((miss**2).mean()) < limit < 0.4 * effect
        assert abs(found.error[0]) < limit


@pytest.mark.parametrize("rows", ROWS)
def test_mismatched_cells_give_the_codes_of_their_exact_currents_but_at_a_threshold(tables, rows):
    for cell, table in tables.items():
        spec = spec_of(rows, cell)
        variation = Variation(seed=7, mismatch=2.0)
        weights, bits, stored, applied = reads_of(rows)
        held = np.ascontiguousarray(weights.T)
        factor = factors(held, variation, cell_sensitivity(spec, table), place="conv")
        found = passed(spec, table, variation)
        made = mismatch_steps(found, cell_currents_of(spec, table), held[None, None], factor[None, None])
        model = read_model(spec, table)
        thresholds = fit_thresholds(model, Converter(), None)
        codes = codes_of_die(model, thresholds, Converter(), passed=found)
        sums = codes.sums(dataclasses.replace(stored, mismatch=made), applied)
        zeros = model.cells.zeros(bits.sum(axis=1, dtype=float))[:, None]
        sides = (Crossbar(spec, table, held, factor), Crossbar(spec, table, held))
        exact, nominal = (convert(thresholds, solve(side, bits).current - zeros) for side in sides)
        signs = signs_of(stored, applied)
        differ = (sums * signs != exact).mean()
        assert abs(sums * signs - exact).max() <= 1
        assert differ < 0.05
        assert differ < 0.4 * (nominal != exact).mean()


def die_of(spec, table, *, columns: int, tiles: int, mismatch: float = 2.0):
    """Stored words of many groups and tiles of a die, reads of them, and the codes."""
    rng = np.random.default_rng(columns)
    m, groups, count = spec.rows_active, spec.groups, 90
    held = (rng.random((groups, tiles, m, columns)) < 0.5).astype(np.uint8)
    variation = Variation(seed=7, mismatch=mismatch)
    factor = factors(held.transpose(1, 0, 2, 3), variation, cell_sensitivity(spec, table), place="conv").transpose(
        1, 0, 2, 3
    )
    found = passed(spec, table, variation)
    stored = stored_of(
        held.swapaxes(2, 3),
        turned=rng.random((groups, tiles, columns)) < 0.5,
        tiles=[tiles - group % 2 for group in range(groups)],  # the last tile may be filled in part
        mismatch=np.ascontiguousarray(mismatch_steps(found, cell_currents_of(spec, table), held, factor)),
    )
    bits = (rng.random((count, groups, tiles, m)) < 0.6).astype(np.uint8)
    flips = (rng.random((count, groups, tiles)) < 0.5).astype(np.uint8)
    applied = applied_of(bits, inverted=flips)
    model = read_model(spec, table)
    thresholds = fit_thresholds(model, Converter(), None)
    return stored, applied, DieCodes(model, thresholds, Converter(), found)


@pytest.mark.parametrize(("cell", "m"), [("8t-sram", 16), ("1t1r", 16), ("8t-sram", 8), ("1t1r", 8)])
def test_factored_codes_of_a_die_are_those_of_the_general_kernel_but_at_a_threshold(tables, cell, m, monkeypatch):
    spec = spec_of(32, cell).replace(rows_active=m)
    stored, applied, codes = die_of(spec, tables[cell], columns=70, tiles=3)
    assert codes._factored is not None
    fast = codes.sums(stored, applied)
    nominal = codes.sums(dataclasses.replace(stored, mismatch=np.zeros_like(stored.mismatch)), applied)
    monkeypatch.setattr(DieCodes, "_factored", None)
    general = codes.sums(stored, applied)
    reads = stored.tiles.sum()
    assert abs(fast - general).max() <= 2
    assert abs(fast - general).mean() < 0.01 * reads
    assert abs(nominal - general).mean() > 10 * abs(fast - general).mean()


def test_mismatch_that_16_bits_do_not_hold_takes_the_general_kernel(sram_table, monkeypatch):
    spec = spec_of(16)
    stored, applied, codes = die_of(spec, sram_table, columns=8, tiles=1)
    wide = dataclasses.replace(stored, mismatch=np.full_like(stored.mismatch, 3000))  # 16 x 3000 > 32767
    fast, most = codes.sums(wide, applied), wide.most_mismatch
    assert most == 48000
    monkeypatch.setattr(DieCodes, "_factored", None)
    assert np.array_equal(fast, codes.sums(wide, applied))


def test_too_heavy_a_tile_for_the_first_order_is_refused(sram_table, monkeypatch):
    monkeypatch.setattr(mismatch, "RMS_LIMIT", 1e-6)
    with pytest.raises(BadInput, match=r"first-order mismatch .* was found to be off by"):
        passed(spec_of(16), sram_table, Variation(mismatch=1.0))
