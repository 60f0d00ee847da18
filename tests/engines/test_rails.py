"""Shared rails: the exact engine against ngspice and circuits without rails, the fast engine against the exact one."""

import numpy as np
import pytest
from layer_reads import applied_of, stored_of

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.compare import verify
from spicekit.decks.source import parse_deck
from spicekit.engines.cell_currents import Variation, lsb
from spicekit.engines.converter import Converter, convert
from spicekit.engines.exact import supply
from spicekit.engines.exact.codes import ExactCodes
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.engines.exact.maps import losses, read_maps
from spicekit.engines.fast.die import codes_of_die
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.engines.fast.rails import RailReads
from spicekit.engines.fast.torch_backend import codes_on
from spicekit.engines.spice import solve as spice
from spicekit.engines.tile import Tile, read_currents
from spicekit.engines.words import Applied, Stored
from spicekit.errors import BadInput, NotConverged
from spicekit.evaluation.design import Design
from spicekit.mapping.positions import shared_resistance
from spicekit.tables.settling import settling
from spicekit.tables.table import IVTable

ROWS, COLUMNS = 16, 12


def spec_of(*, supply: float = 0.0, ground: float = 0.0, columns: int = COLUMNS, **changes) -> TileSpec:
    per_rail = changes.pop("rail_columns", None)
    wires = Wires(r_bl=3.2, r_sl=3.2, r_supply=supply, r_ground=ground, rail_columns=per_rail)
    return TileSpec(**{"rows": ROWS, "columns": columns, "wires": wires, **changes})


def bits_of(columns: int = COLUMNS, vectors: int = 5, *, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    weights = (rng.random((rows, columns)) < rng.uniform(0.2, 1, columns)).astype(np.uint8)
    return weights, (rng.random((vectors, rows)) < rng.uniform(0.2, 1, (vectors, 1))).astype(np.uint8)


def test_without_rails_a_spec_is_what_it_was():
    """The hash is of the version before there were rails."""
    spec = TileSpec(rows=4, columns=3, wires=Wires(layer="M2", pitch_nm=108))
    assert spec.content_hash() == "92b603f14a5f298b87bdc0888e101028ddaba9aac5b5997de9758b27edea1198"
    railed = spec_of(supply=1.5, rail_columns=4)
    assert TileSpec.from_toml(railed.to_toml()) == railed
    assert railed.content_hash() != spec_of().content_hash()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"cell": "1t1r", "drive": "bitline", "wires": Wires(r_row=1, r_col=1, r_ground=1)},
            "word-line drive",
        ),
        ({"columns": 4, "rail_columns": 5}, "only 4 columns"),
    ],
)
def test_a_tile_without_such_rails_is_refused(changes, reason):
    with pytest.raises(BadInput, match=reason):
        spec_of(supply=1.0, **changes)


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize(
    ("ends", "per_rail", "sense_end"),
    [
        ((2.0, 0.0), None, "far"),
        ((0.0, 2.0), None, "near"),
        ((1.0, 1.0), 5, "far"),
        ((30.0, 60.0), None, "far"),
    ],
)
def test_the_exact_engine_agrees_with_ngspice(tables, cell, ends, per_rail, sense_end):
    spec = spec_of(supply=ends[0], ground=ends[1], rail_columns=per_rail, cell=cell, sense_end=sense_end)
    weights, bits = bits_of()
    exact = solve(Crossbar(spec, tables[cell], weights), bits).current
    np.testing.assert_allclose(exact, spice(spec, weights, bits), atol=1e-6 * exact.max())
    alone = spec.replace(wires=spec.wires.without_rails())
    assert (exact < solve(Crossbar(alone, tables[cell], weights), bits).current).all()


@pytest.mark.parametrize("sense_end", ["far", "near"])
def test_the_rails_of_one_column_are_in_series_with_its_ends(sram_table, sense_end):
    weights, bits = bits_of(1)
    railed = spec_of(supply=70.0, ground=40.0, columns=1, sense_end=sense_end)
    ends = Wires(r_bl=3.2, r_sl=3.2, r_driver=170.0, r_sink=140.0)
    expected = solve(Crossbar(railed.replace(wires=ends), sram_table, weights), bits).current
    np.testing.assert_allclose(solve(Crossbar(railed, sram_table, weights), bits).current, expected, rtol=1e-7)


def test_one_column_stands_for_a_rail_full_of_such(sram_table):
    weights, bits = bits_of(1)
    spec = spec_of(supply=3.0, ground=2.0, rail_columns=6)
    many = solve(Crossbar(spec, sram_table, np.repeat(weights, COLUMNS, axis=1)), bits).current
    one = solve(Crossbar(spec.one_column(), sram_table, weights), bits).current
    np.testing.assert_allclose(many, np.repeat(one, COLUMNS, axis=1), rtol=1e-6)


def test_a_rail_knows_nothing_of_other_rails_and_other_vectors(sram_table):
    weights, bits = bits_of()
    spec = spec_of(supply=5.0, ground=5.0, rail_columns=5)
    whole = solve(Crossbar(spec, sram_table, weights), bits).current
    changed = weights.copy()
    changed[:, :5] = 1
    assert (solve(Crossbar(spec, sram_table, changed), bits).current[:, 5:] == whole[:, 5:]).all()
    assert (solve(Crossbar(spec, sram_table, weights), bits[2:3]).current == whole[2:3]).all()
    two_tiles = solve(Crossbar(spec, sram_table, np.hstack([changed, weights])), bits).current
    assert (two_tiles[:, COLUMNS:] == whole).all()


def test_a_rail_that_is_not_solved_gives_no_number(sram_table, monkeypatch):
    monkeypatch.setattr(supply, "MAX_ITERATIONS", 2)
    weights, bits = bits_of()
    with pytest.raises(NotConverged, match="rail 0 for vector 0: its columns miss what it carries"):
        solve(Crossbar(spec_of(supply=50.0), sram_table, weights), bits)


def test_rails_that_take_nearly_all_are_solved(sram_table):
    weights, bits = bits_of()
    spec = spec_of(supply=1e5, ground=1e4)
    current = solve(Crossbar(spec, sram_table, weights), bits).current
    assert (current >= 0).all()
    assert (current.sum(axis=1) < 0.35 / 1.1e5).all()


def test_inside_a_tile_the_voltages_are_those_of_the_deck(sram_table):
    weights, bits = bits_of()
    spec = spec_of(supply=20.0, ground=30.0, rail_columns=7)
    ladder = Crossbar(spec, sram_table, weights)
    found = read_maps(ladder, bits[0])
    np.testing.assert_allclose(found.current.sum(axis=0), solve(ladder, bits[:1]).current[0], rtol=1e-5)
    lost = losses(ladder, bits[:1])
    assert lost["rails"] > 0
    alone = spec.replace(wires=spec.wires.without_rails())
    rest = losses(Crossbar(alone, sram_table, weights), bits[:1])
    assert "rails" not in rest
    assert {name: lost[name] for name in ("driver", "wires", "sink")} == {
        name: rest[name] for name in ("driver", "wires", "sink")
    }


def test_a_deck_with_other_rails_is_not_verified():
    weights, bits = bits_of()
    spec = spec_of(supply=2.0, ground=1.0)
    deck = tile_deck(spec, weights, bits[0])
    assert not verify(parse_deck(deck), spec, weights, bits[0])
    for planted in (("Rground_0 0 ground_0 1.0", "Rground_0 0 ground_0 1.1"), ("out_3 ground_0", "out_3 0")):
        assert planted[0] in deck
        assert verify(parse_deck(deck.replace(*planted)), spec, weights, bits[0])


def test_a_read_settles_to_the_current_of_a_loaded_rail(sram_table):
    spec = spec_of(supply=20.0, ground=20.0)
    found = settling(spec, "typical")
    alike = spec_of(supply=240.0, ground=240.0, columns=1)
    np.testing.assert_allclose(found.current, settling(alike, "typical").current, rtol=1e-9)


@pytest.fixture(scope="module")
def railed(sram_table: IVTable) -> RailReads:
    return read_model(spec_of(supply=2.0, ground=1.0, rows=8), sram_table)


def words_of(weights: np.ndarray, bits: np.ndarray) -> tuple[Stored, Applied]:
    """One tile row with one group, every third column and every second vector inverted."""
    turned = np.arange(weights.shape[1]) % 3 == 0
    inverted = (np.arange(len(bits)) % 2).astype(np.uint8)[:, None, None]
    return stored_of(weights.T, turned=turned), applied_of(bits, inverted=inverted)


@pytest.mark.parametrize(("rows", "rms"), [(8, 2e-3), (24, 2e-2)])
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_the_fast_engine_is_as_near_as_it_says(tables, cell, rows, rms):
    spec = spec_of(supply=2.0, ground=1.0, rows=rows, cell=cell)
    model = read_model(spec, tables[cell])
    assert model.error[0] < rms
    weights, bits = bits_of(vectors=50, rows=rows)
    tile = Tile(spec, tables[cell], weights)
    error = read_currents(tile, bits, engine="fast") - read_currents(tile, bits, engine="exact")
    assert np.sqrt(np.mean(error**2)) / lsb(spec, tables[cell]) < 3 * rms
    assert np.abs(error).max() / lsb(spec, tables[cell]) < 3 * max(model.error[1], rms)


@pytest.mark.parametrize(("rows", "cell"), [(8, "8t-sram"), (8, "1t1r"), (24, "8t-sram")])
def test_networks_read_what_tiles_read(tables, rows, cell):
    """20 columns on tiles of 12: the second tile is filled in part, its other columns store zeros."""
    spec = spec_of(supply=6.0, ground=4.0, rows=rows, cell=cell, rail_columns=5)
    table = tables[cell]
    model = read_model(spec, table)
    weights, bits = bits_of(20, 30, rows=rows)
    whole = np.pad(weights, ((0, 0), (0, 4)))
    halves = [Tile(spec, table, half) for half in (whole[:, :12], whole[:, 12:])]
    current = np.hstack([read_currents(half, bits, engine="fast")[:, 0] for half in halves])[:, :20]
    stored, applied = words_of(weights, bits)
    thresholds = fit_thresholds(model, Converter(), None)
    codes = convert(thresholds, current - model.cells.zeros(bits.sum(axis=1, dtype=int))[:, None])
    flipped = stored.inverted[0, 0] ^ applied.by_vector().inverted[:, 0].astype(bool)
    found = model.codes(thresholds).sums(stored, applied)
    assert (found != np.where(flipped, -codes, codes)).mean() < 0.003
    tally = model.tally(stored, applied)
    on = bits.astype(int) @ weights
    assert (tally.reads == np.bincount(on.ravel(), minlength=rows + 1)).all()
    expected = np.bincount(on.ravel(), current.ravel(), rows + 1)
    np.testing.assert_allclose(tally.current, expected, atol=1e-4 * current.max() * tally.reads.max())
    squares = np.bincount(on.ravel(), current.ravel() ** 2, rows + 1)
    np.testing.assert_allclose(tally.square, squares, atol=2e-4 * current.max() ** 2 * tally.reads.max())
    exact = ExactCodes(spec, table, thresholds).signed_codes(stored, applied, group=0, tile=0)
    assert (exact != found).mean() < 0.02


def test_rails_that_the_fast_engine_does_not_follow_are_refused(sram_table):
    with pytest.raises(BadInput, match=r"fast engine with shared rails was found to be off by .* Use the exact"):
        read_model(spec_of(supply=100.0, rows=64), sram_table)


def test_what_knows_no_rails_says_so(railed, sram_table):
    thresholds = fit_thresholds(railed, Converter(), None)
    with pytest.raises(BadInput, match="converters and cells as all alike"):
        codes_of_die(railed, thresholds, Converter(noise=0.5))
    with pytest.raises(BadInput, match="shared rails are in the processor's engine alone"):
        codes_on("cpu", railed.codes(thresholds), rows=8)
    with pytest.raises(BadInput, match="flip_rule = 'count'"):
        shared_resistance(railed.spec)
    weights, bits = bits_of(rows=8)
    tile = Tile(railed.spec, sram_table, weights, Variation(mismatch=1.0))
    with pytest.raises(BadInput, match="no mismatch behind shared rails"):
        read_currents(tile, bits, engine="fast")
    varied = read_currents(tile, bits, engine="exact")[:, 0]
    assert (varied == solve(Crossbar(railed.spec, sram_table, weights, tile.factor), bits).current).all()


def test_a_study_has_rails_as_axes(tmp_path):
    from spicekit.study.plan import read_study

    (tmp_path / "study.toml").write_text(
        '[base.wires]\nlayer = "M2"\npitch_nm = 108\n[[grid]]\n"wires.r_supply" = [0, 1]\n"wires.r_ground" = [0, 2]\n'
    )
    points = read_study(tmp_path / "study.toml").points
    assert [(p.design.tile.wires.r_supply, p.design.tile.wires.r_ground) for p in points] == [
        (0, 0),
        (0, 2),
        (1, 0),
        (1, 2),
    ]
    plain = Design(tile=TileSpec(wires=Wires(layer="M2", pitch_nm=108)))
    assert points[0].design.content_hash() == plain.content_hash()
