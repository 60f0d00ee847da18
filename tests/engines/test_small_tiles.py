"""The loops of the fast engine on small tiles, with surrogates made by hand, against slow and obvious versions.

No ngspice, nothing fitted: seconds without a compiler, so that scripts/mutate.py can change the loops.
"""

import dataclasses
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from layer_reads import applied_of, stored_of

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import cell_currents_of
from spicekit.engines.converter import Converter, convert, flaws_of
from spicekit.engines.fast import factored_kernels, kernels, mesh, wire_sum_kernels
from spicekit.engines.fast.die import DieCodes, codes_of_die
from spicekit.engines.fast.factored import FactoredCodes
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.mismatch import Passed
from spicekit.engines.fast.patterns import PatternCodes, PatternReads
from spicekit.engines.fast.wire_sums import POWERS, WireSumReads
from spicekit.engines.words import MISMATCH_UNIT, Applied, Stored

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "golden")]

from cases import synthetic_table  # noqa: E402
from test_die import near_a_threshold, noise_of, places_of, signs_of, thresholds_of  # noqa: E402

ROWS = (5, 8, 12, 24, 72)  # patterns of one byte and two; sums in 8 bits and in more
COLUMNS, VECTORS = 6, 8
P = {
    (0, 0, 0, 0, 0): 1e-3,
    (1, 0, 0, 0, 0): 1.0,
    (2, 0, 0, 0, 0): 4e-3,
    (3, 0, 0, 0, 0): 1e-5,
    (4, 0, 0, 0, 0): 1e-7,
}
P |= {
    (1, 1, 0, 0, 0): 2e-5,
    (2, 1, 0, 0, 0): 1e-7,
    (0, 2, 0, 0, 0): 1e-7,
    (0, 0, 1, 0, 0): 3e-6,
    (0, 0, 0, 1, 0): -2e-6,
}
P |= {
    (1, 0, 1, 0, 0): 1e-8,
    (1, 0, 0, 1, 0): 1e-8,
    (1, 0, 0, 0, 1): 1e-4,
    (1, 1, 0, 0, 1): 1e-6,
    (0, 1, 0, 1, 0): 1e-9,
}


def model_of(rows: int, cell: str = "8t-sram", *, groups: int = 1) -> PatternReads | WireSumReads:
    """What columns with some loss might deliver; no wires have it exactly."""
    spec = TileSpec(cell=cell, rows=rows * groups, rows_active=rows, wires=Wires(r_bl=3.2, r_sl=3.2))
    cells = cell_currents_of(spec, synthetic_table(cell))
    if rows > 16:
        coefficients = np.array([P.get(powers, 1e-9) for powers in POWERS])
        return WireSumReads(cells, np.tile(coefficients, (groups, 1)), np.zeros(2))
    pattern = np.arange(2**rows)
    on = np.bitwise_count(pattern).astype(float)
    low, high = np.bitwise_count(pattern & 255), np.bitwise_count(pattern >> 8)
    current = on - 0.004 * on**2 - 0.002 * low - 0.003 * low * high
    leak = (cells.state[0, 1] - cells.state[0, 0]) * (1 - 0.02 * on)
    shape = (groups, 1)
    return PatternReads(cells, np.tile(cells.lsb * current, shape), np.tile(leak, shape))


def reads_of(rows: int, columns: int = COLUMNS, vectors: int = VECTORS):
    """Weights (columns, rows), activations (vectors, rows), and both as the loops take them."""
    rng = np.random.default_rng(rows)
    weights = (rng.random((columns, rows)) < rng.uniform(0.2, 0.9, (columns, 1))).astype(np.uint8)
    bits = (rng.random((vectors, rows)) < rng.uniform(0.2, 0.9, (vectors, 1))).astype(np.uint8)
    weights[0], bits[0], bits[1] = 1, 1, 0
    flips = (np.arange(vectors) % 3 == 0).astype(np.uint8)[:, None, None]
    stored = stored_of(weights, turned=np.arange(columns) % 2 == 1)
    return weights, bits, stored, applied_of(bits, inverted=flips, shape=(2, 2))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("scheme", ["unit", "linear", "per_level"])
def test_codes_are_those_of_each_current(rows, cell, scheme):
    model, converter = model_of(rows, cell), Converter(reference=scheme)
    thresholds = thresholds_of(model, converter)
    weights, bits, stored, applied = reads_of(rows)
    codes = codes_of_die(model, thresholds, converter)
    place = places_of(model, thresholds, weights, bits)
    expected = signs_of(stored, applied) * np.clip(np.floor(place), 0, len(thresholds.current))
    assert (codes.sums(stored, applied) == expected)[~near_a_threshold(place, rows)].all()
    if rows <= 16:  # in factored form, and as a table
        assert isinstance(codes, PatternCodes if scheme == "per_level" else FactoredCodes)
        table = dataclasses.replace(
            thresholds, current=thresholds.current * (1 + 1e-6 * np.arange(len(thresholds.current)))
        )
        whole = model.codes(table)
        assert isinstance(whole, PatternCodes)
        assert (whole.sums(stored, applied) == expected)[~near_a_threshold(place, rows)].all()


@pytest.mark.parametrize("rows", ROWS)
def test_flaws_move_codes_as_they_say(rows):
    model, converter = model_of(rows), Converter(offset=0.7, inl=0.5, noise=0.6, seed=3)
    thresholds = thresholds_of(model, converter)
    weights, bits, stored, applied = reads_of(rows)
    sums = codes_of_die(model, thresholds, converter).sums(stored, dataclasses.replace(applied, first=5))
    place, highest = places_of(model, thresholds, weights, bits), len(thresholds.current)
    flaws = flaws_of(converter, layer="conv", tiles=1, columns=COLUMNS)
    x = np.clip(place / (highest + 1), 0, 1)
    place = place + flaws.offset + 4 * flaws.bow * x * (1 - x)
    read = range(VECTORS)  # four of an image
    place += [[converter.noise * noise_of(flaws.key, 5 + p // 4, p % 4, j) for j in range(COLUMNS)] for p in read]
    codes = np.clip(np.floor(place), 0, highest)
    assert (sums == signs_of(stored, applied) * codes)[~near_a_threshold(place, rows)].all()


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("flawed", [False, True])
def test_mismatch_of_the_asserted_cells_is_passed_on(rows, flawed):
    """With converters alike, reads of up to 16 rows take the factored form."""
    model, converter = model_of(rows), Converter(offset=1e-6 if flawed else 0.0)
    thresholds = thresholds_of(model, converter)
    weights, bits, stored, applied = reads_of(rows)
    rng = np.random.default_rng(1)
    steps = rng.integers(-800, 800, (1, 1, rows, COLUMNS)).astype(np.int16)
    count = np.linspace(1.0, 0.7, rows + 1)[None]
    codes = codes_of_die(model, thresholds, converter, passed=Passed(np.ones((1, rows)), count, np.zeros(2)))
    assert isinstance(codes, DieCodes)
    assert (codes._factored is not None) == (rows <= 16 and not flawed)
    sums = codes.sums(dataclasses.replace(stored, mismatch=steps), applied)
    on = bits.astype(int) @ weights.T
    shift = count[0][on] * (bits.astype(int) @ steps[0, 0].astype(int)) / MISMATCH_UNIT
    gain = 1 / np.diff(thresholds.current).mean() * model.cells.lsb
    place = places_of(model, thresholds, weights, bits) + gain * shift
    expected = signs_of(stored, applied) * np.clip(np.floor(place), 0, len(thresholds.current))
    far = abs(place - np.rint(place)) > 0.03
    assert far.mean() > 0.7
    assert (sums == expected)[far].all()


@pytest.mark.parametrize("rows", ROWS)
def test_a_tally_adds_what_each_read_delivers(rows):
    model = model_of(rows)
    weights, bits, stored, applied = reads_of(rows)
    tally = model.tally(stored, applied)
    on = (bits[:, None] & weights[None]).reshape(-1, rows)
    asserted = np.repeat(bits, COLUMNS, axis=0)
    count, current = on.sum(axis=1), model.currents(on, asserted, group=0)
    others = asserted.sum(axis=1) - count
    # leaks that are negligible (patterns.NEGLIGIBLE_LEAK) are left out
    for found, each in ((tally.reads, np.ones_like(count)), (tally.others, others), (tally.current, current)):
        np.testing.assert_allclose(found, np.bincount(count, each, rows + 1), rtol=1e-3)


def part_of(
    stored: Stored, applied: Applied, columns: slice, vectors: slice, *, shape=(1, 1)
) -> tuple[Stored, Applied]:
    """Some columns and vectors, as if there were no others."""
    held = np.ascontiguousarray(stored.words[..., columns]), stored.inverted[..., columns]
    rows = 16 if applied.words.dtype == np.uint16 else 64
    given = Applied.of_vectors(*(each[vectors] for each in applied.by_vector()), shape, rows=rows)
    return Stored(*held, stored.tiles, "conv"), given


@pytest.mark.parametrize("columns", [128, 129])
@pytest.mark.parametrize("rows", [8, 24])
@pytest.mark.parametrize("scheme", ["unit", "per_level"])
def test_a_wide_layer_gives_what_its_parts_give(rows, scheme, columns, monkeypatch):
    """More columns than a table has, and more vectors than a thread takes at a time."""
    vectors = 8400
    if numba.config.DISABLE_JIT:  # what is compiled has it as a constant
        vectors = 40
        for module in (kernels, factored_kernels, wire_sum_kernels):
            monkeypatch.setattr(module, "_BLOCK", 16)
    model, converter = model_of(rows), Converter(reference=scheme)
    codes = codes_of_die(model, thresholds_of(model, converter), converter)
    _, _, stored, applied = reads_of(rows, columns=columns, vectors=vectors)
    whole, tally = codes.sums(stored, applied), model.tally(stored, applied)
    reads = np.zeros_like(tally.reads)
    for side in (slice(0, 60), slice(60, 126), slice(126, columns)):
        for some in (slice(0, 30), slice(30, vectors)):
            part = part_of(stored, applied, side, some)
            assert (whole[some, side] == codes.sums(*part)).all()
            reads += model.tally(*part).reads
    for sides in (
        (vectors, 1),
        (vectors // 20, 4),
    ):  # an image of more vectors than fit, and some that do not fill one
        images = vectors // np.prod(sides)
        some = slice(0, images * np.prod(sides))
        _, given = part_of(stored, applied, slice(None), some, shape=sides)
        assert given.images == images
        assert (codes.sums(stored, given) == whole[some]).all()
    assert (tally.reads == reads).all()
    assert whole.std() > 0.5


@pytest.mark.parametrize("rows", [8, 24])
def test_sums_of_many_reads_exceed_16_bits(rows):
    """Codes up to 255 of 200 tiles that are all alike."""
    model, converter = model_of(rows), Converter(bits=8, full_scale=float(rows))
    codes = codes_of_die(model, thresholds_of(model, converter), converter)
    _, _, stored, applied = reads_of(rows, columns=2)
    _, applied = part_of(stored, applied, slice(None), slice(1))
    tiles = 200
    many = Stored(
        np.repeat(stored.words, tiles, axis=1),
        np.repeat(stored.inverted, tiles, axis=1),
        np.array([tiles]),
        "conv",
    )
    parts = (applied.words, applied.inverted, applied.asserted)
    given = Applied(*(np.repeat(part, tiles, axis=2) for part in parts), applied.shape)
    sums = codes.sums(many, given)
    assert (sums == tiles * codes.sums(stored, applied)).all()
    assert abs(sums).max() > 2**15


@pytest.mark.parametrize("columns", [3, 65])
def test_currents_of_a_layer_are_those_of_each_read(columns):
    for rows in (8, 24):
        model = model_of(rows)
        weights, bits, stored, applied = reads_of(rows, columns=columns)
        given = applied.by_vector()
        found = model.currents_of(stored.words[0, 0], given.words[:, 0, 0], given.asserted[:, 0, 0], group=0)
        on = (bits[:, None] & weights[None]).reshape(-1, rows)
        expected = model.currents(on, np.repeat(bits, columns, axis=0), group=0).reshape(found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * model.cells.lsb)


@pytest.mark.parametrize("rows", [5, 8, 16, 24, 32, 64, 72, 128])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_ideal_codes_are_signed_counts(rows, turned, inverted):
    """Short reads share words; a group that is not read in the last tiles counts for nothing there."""
    rng, groups, tiles = np.random.default_rng(rows), 3, 5
    columns, vectors = (4, 9) if numba.config.DISABLE_JIT else (37, 300)  # more than are counted at once
    weights = rng.integers(0, 2, (groups, tiles, columns, rows), dtype=np.uint8)
    bits = rng.integers(0, 2, (vectors, groups, tiles, rows), dtype=np.uint8)
    flips = rng.random((groups, tiles, columns)) < 0.5 * turned
    given = (rng.random((vectors, groups, tiles)) < 0.5 * inverted).astype(np.uint8)
    read = np.array([5, 4, 0])
    stored, applied = stored_of(weights, turned=flips, tiles=read), applied_of(bits, inverted=given)
    counts = np.einsum("pgtm,gtcm->pgtc", bits.astype(float), weights.astype(float))
    signs = (1 - 2.0 * flips) * (1 - 2.0 * given[..., None])
    there = (np.arange(tiles) < read[:, None])[..., None]
    assert (IdealCodes().sums(stored, applied) == (counts * signs * there).sum(axis=(1, 2))).all()


def test_a_tile_with_bitline_drive_is_read_by_its_formula():
    """The module's formula in NumPy, for a matrix and factors that are drawn."""
    rng = np.random.default_rng(4)
    bits, matrix = rng.integers(0, 2, (5, 6), dtype=np.uint8), rng.uniform(1, 2, (6, 3))
    factors, unit = rng.uniform(-0.2, 0.2, (6, 3)), 7.0
    factors[0] += 1
    sums = bits @ matrix
    s, t = sums / unit, sums.mean(axis=1, keepdims=True) / unit
    one, of_s, of_t, of_ss, of_st, of_tt = factors
    expected = sums * (one + of_s * s + of_t * t + of_ss * s**2 + of_st * s * t + of_tt * t**2)
    np.testing.assert_allclose(mesh.read(mesh.Surrogate(matrix, factors, unit), bits), expected, rtol=1e-12)


def test_reads_of_several_tiles_and_groups_add_up():
    """A second group of rows and a second tile, which the last group has not: codes of each read, added."""
    rows = 8
    model = model_of(rows, groups=2)
    thresholds = thresholds_of(model, Converter())
    _, _, stored, applied = reads_of(rows)
    one = model.codes(thresholds).sums(stored, applied)
    words = np.repeat(np.repeat(stored.words, 2, axis=0), 2, axis=1)
    both = Stored(words, np.repeat(np.repeat(stored.inverted, 2, 0), 2, 1), np.array([2, 1]), "conv")
    parts = (applied.words, applied.inverted, applied.asserted)
    given = Applied(*(np.repeat(np.repeat(part, 2, axis=1), 2, axis=2) for part in parts), applied.shape)
    assert (model.codes(thresholds).sums(both, given) == 3 * one).all()
    tally, once = model.tally(both, given), model_of(rows).tally(stored, applied)
    np.testing.assert_allclose(tally.current, 3 * once.current)
    assert convert(thresholds, np.array([-1.0, 1.0])).tolist() == [0, len(thresholds.current)]
