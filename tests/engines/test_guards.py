"""What is no number, no engine and no table of this tile is refused; nothing passes because a comparison is false."""

import dataclasses

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.cards import Corner
from spicekit.engines.cache import fitted
from spicekit.engines.converter import Converter, Thresholds
from spicekit.engines.exact import ladder, mesh
from spicekit.engines.exact.codes import ExactCodes, first_step, start_of
from spicekit.engines.exact.ladder import Crossbar, larger
from spicekit.engines.exact.maps import read_maps
from spicekit.engines.fast import wire_sums
from spicekit.engines.fast.model import read_model
from spicekit.engines.tile import Tile, column_currents, read_currents
from spicekit.errors import BadInput, NotConverged
from spicekit.tables.store import find_table, table_for
from spicekit.tables.table import IVTable, linear

SPEC = TileSpec(rows=4, rows_active=4, columns=2, wires=Wires(r_bl=1, r_sl=1, r_row=1, r_col=1))
WEIGHTS = np.eye(4, 2, dtype=np.uint8)
BITS = np.ones((1, 4), np.uint8)


@pytest.fixture
def formula() -> IVTable:
    volt = np.linspace(0, 0.7, 8)
    drop = volt[:, None] - volt[None, :]
    return IVTable(volt, np.array([[1e-9 * drop, 2e-6 * drop], [2e-9 * drop, 1e-4 * drop]]), {"synthetic": "ohmic"})


@pytest.mark.parametrize("name", ["IDEAL", "Fast", "nonsense", "", None])
def test_an_engine_that_does_not_exist_is_refused(formula, name):
    with pytest.raises(BadInput, match="is not one of spice, exact, fast, ideal"):
        column_currents(Tile(SPEC, formula, WEIGHTS), BITS, engine=name)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"corner": Corner(process="ff", temperature=398.0)}, "process tt.* process ff"),
        ({"cell": "1t1r"}, "cell 8t-sram.* cell 1t1r"),
        ({"v_wl": 0.6}, "v_wl 0.7.* v_wl 0.6"),
    ],
)
@pytest.mark.parametrize("taken_by", [lambda spec, table: Tile(spec, table, WEIGHTS), read_model, table_for])
def test_a_table_of_other_conditions_is_refused_with_both_named(sram_table, other, named, taken_by):
    with pytest.raises(BadInput, match=named):
        taken_by(SPEC.replace(**other), sram_table)


def test_without_a_table_the_right_one_is_found():
    hot = SPEC.replace(corner=Corner(process="ff", temperature=398.15))
    assert table_for(hot, None).sha256 == find_table(hot).sha256 != find_table(SPEC).sha256


def test_a_linear_table_is_of_one_read_voltage(sram_table):
    ohmic = linear(sram_table, SPEC.v_read)
    assert table_for(SPEC, ohmic) is ohmic
    with pytest.raises(BadInput, match=r"v_read 0.35.* v_read 0.3;"):
        table_for(SPEC.replace(v_read=0.3), ohmic)


def test_a_table_that_does_not_say_what_it_is_of_is_refused(formula):
    with pytest.raises(BadInput, match=r"does not say which cell.*synthetic"):
        table_for(SPEC, dataclasses.replace(formula, origin={}))


def test_the_larger_of_a_number_and_none_is_none():
    assert larger(1.0, 2.0) == larger(2.0, 1.0) == 2.0
    assert np.isnan([larger(1.0, np.nan), larger(np.nan, 1.0), larger(np.nan, np.nan)]).all()


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("end", ["far", "near"])
def test_a_cell_without_a_number_does_not_pass_as_converged(formula, end, row):
    """As a table would give it whose spline is damaged: everywhere but in the last row, later rows have numbers."""
    spec, scale = SPEC.replace(sense_end=end), np.ones((4, 2))
    columns = Crossbar(spec, formula, WEIGHTS, scale)
    scale[row, 1] = np.nan  # after it was checked
    with pytest.raises(NotConverged, match="column 1 for vector 0: Kirchhoff residual nan A"):
        ladder.solve(columns, BITS)


@pytest.mark.parametrize("row", range(4))
def test_nor_does_it_in_a_mesh(formula, row):
    spec, scale = SPEC.replace(cell="1t1r", drive="bitline"), np.ones((4, 2))
    tile = ladder.Crossbar(spec, formula, WEIGHTS, scale)
    scale[row, 1] = np.nan
    with pytest.raises(NotConverged, match="Kirchhoff residual nan A"):
        mesh.solve(tile, BITS)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("column", range(2))
def test_nor_does_it_in_a_map(formula, column):
    """Whichever column it is in: Python's `max` drops what is no number behind one that is."""
    scale = np.ones((4, 2))
    columns = Crossbar(SPEC, formula, WEIGHTS, scale)
    scale[1, column] = np.nan
    with pytest.raises(NotConverged, match="off by nan A"):
        read_maps(columns, BITS[0])


def test_one_step_that_is_no_number_is_bounded_by_nothing(formula):
    start = start_of(SPEC, formula, 0)
    start.cells[2] = np.nan
    current, bound = first_step(start, WEIGHTS, BITS)
    assert np.isnan(current).all()
    assert np.isinf(bound).all()


@pytest.mark.parametrize("factor", [np.nan, np.inf, -0.1])
def test_factors_that_no_cell_has_are_refused(formula, factor):
    scale = np.ones((4, 2))
    scale[1, 1] = factor
    with pytest.raises(BadInput, match="Crossbar: scale must hold finite factors, 0 or more"):
        Crossbar(SPEC, formula, WEIGHTS, scale)
    with pytest.raises(BadInput, match="Crossbar: weights and scale must be"):
        Crossbar(SPEC, formula, WEIGHTS, np.ones((4, 3)))


@pytest.mark.parametrize("error", [[np.nan, np.nan], [0.3, 0.3]])
def test_a_fit_whose_error_is_too_large_or_no_number_is_refused_each_time(tmp_path, monkeypatch, error):
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path))
    for _ in range(2):  # found, then from the cache
        with pytest.raises(BadInput, match=r"the engine was found to be off by .* its limit is 0.2. Do else."):
            fitted("key", lambda: {"error": np.array(error)}, limit=0.2, what="the engine", instead="Do else.")


def test_a_group_of_rows_whose_error_is_no_number_is_not_hidden_by_the_others(tmp_path, monkeypatch, sram_table):
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path))
    exact = wire_sums._exact

    def second_group_fails(spec, table, held, asserted, rows):
        found = exact(spec, table, held, asserted, rows)
        return found if rows.start == 0 else np.full_like(found, np.nan)

    monkeypatch.setattr(wire_sums, "_exact", second_group_fails)
    with pytest.raises(BadInput, match="off by nan LSB rms"):
        read_model(SPEC.replace(rows=34, rows_active=17), sram_table)


def test_exact_codes_solve_what_one_step_leaves_open(formula, monkeypatch):
    """A step that knows nothing: every column is solved to the last digit."""
    monkeypatch.setattr(
        "spicekit.engines.exact.codes.first_step",
        lambda start, weights, bits: (np.full((1, 2), np.nan), np.full((1, 2), np.inf)),
    )
    codes = ExactCodes(SPEC, formula, Thresholds((np.arange(4) + 0.5) * 3e-5, 1.0))
    assert codes._codes(WEIGHTS, BITS, 0).tolist() == [[1, 1]]


def test_a_full_scale_that_is_left_out_is_the_rows_of_a_read():
    for rows in (8, 16, 24, 64):
        for bits in (None, 2, 3):
            stated = Converter(bits=bits, full_scale=rows)
            assert stated.step(rows) == Converter(bits=bits).step(rows)
            assert stated.resolution(rows) == Converter(bits=bits).resolution(rows)
    assert Converter(bits=5).step(16) == Converter().step(16) == 1.0  # bits left out, or as many as that


def test_reads_of_few_rows_whose_zeros_conduct_are_refused_by_the_fast_engine():
    """A 1T-1MTJ cell that stores 0 conducts 0.7 of one that stores 1: the fast engine was off by 2 LSB, in silence."""
    volt = np.linspace(0, 0.7, 57)
    drop = volt[:, None] - volt
    spec = TileSpec(rows=16, columns=2, wires=Wires(r_bl=3.2, r_sl=3.2))
    weights = np.eye(16, 2, dtype=np.uint8)
    bits = np.ones((1, 16), np.uint8)

    def off_by(zeros):
        states = np.array([[1e-12 * drop, zeros * drop], [1e-12 * drop, 1e-4 * drop]])
        tile = Tile(spec, IVTable(volt, states, {"synthetic": "ohmic"}), weights)
        exact, fast = (read_currents(tile, bits, engine=engine) for engine in ("exact", "fast"))
        return float(np.abs(fast - exact).max() / (1e-4 * spec.v_read))

    assert off_by(1e-6) < 0.01
    with pytest.raises(BadInput, match=r"fast engine was found to be off by .* LSB rms.*zeros conduct less"):
        off_by(5e-5)
