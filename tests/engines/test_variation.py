"""Cells that are not all alike: draws, factors against ngspice, and what the engines make of them."""

import numpy as np
import pytest

from spicekit.circuits.render import cell_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.reram import load_reram
from spicekit.engines.cell_currents import Variation, cell_currents_of, cell_sensitivity, factors, stick
from spicekit.engines.fast.mismatch import passed
from spicekit.engines.tile import Tile, column_currents, read_currents
from spicekit.errors import BadInput
from spicekit.provenance import content_hash
from spicekit.spice.simulator import Job, Step, simulate_all
from spicekit.tables.spread import AVT, alters, mismatched, sigmas


def spec_of(cell="8t-sram", *, drive="wordline", ohm=3.2, rows=16, rows_active=16) -> TileSpec:
    wires = Wires(r_bl=ohm, r_sl=ohm, r_row=ohm, r_col=ohm)
    return TileSpec(cell=cell, drive=drive, rows=rows, rows_active=rows_active, columns=6, wires=wires)


def bits_of(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)


def test_stuck_cells_have_their_rate_and_hold_against_what_is_written():
    variation = Variation(stuck_at_0=0.1, stuck_at_1=0.05, seed=4)
    zeros, ones = (stick(np.full((200, 300), bit, np.uint8), variation, place="conv") for bit in (0, 1))
    assert zeros.mean() == pytest.approx(0.05, rel=0.05)
    assert 1 - ones.mean() == pytest.approx(0.1, rel=0.05)
    written = bits_of(200, 300)
    held = stick(written, variation, place="conv")
    free = zeros != ones
    assert (held[free] == written[free]).all()
    assert (held[~free] == zeros[~free]).all()


def test_a_die_is_its_seed_and_layers_differ():
    variation, written = Variation(stuck_at_0=0.3, seed=1), np.ones((50, 50), np.uint8)
    held = stick(written, variation, place="conv")
    assert (held == stick(written, variation, place="conv")).all()
    assert (held == stick(written.reshape(10, 5, 50), variation, place="conv").reshape(50, 50)).all()
    assert (held != stick(written, variation, place="other")).any()
    assert (held != stick(written, variation.replace(seed=2), place="conv")).any()


def test_more_than_all_cells_cannot_be_stuck():
    with pytest.raises(BadInput, match="must not exceed 1"):
        Variation(stuck_at_0=0.6, stuck_at_1=0.6)


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("weight", [0, 1])
def test_factors_are_those_of_cells_with_shifted_devices_in_ngspice(tables, cell, weight):
    """Draws of up to three standard deviations, on all devices at once; a and b come from one at a time."""
    spec = spec_of(cell)
    sensitivity = cell_sensitivity(spec, tables[cell])
    z = np.clip(np.random.default_rng(5).standard_normal((12, sensitivity.shape[1])), -3, 3)
    devices = mismatched(spec)
    k = 2 * len(devices)
    jobs = []
    for draw in np.concatenate([np.zeros((1, z.shape[1])), z]):
        gap = None
        if cell == "1t1r":
            preset = load_reram(spec.device.reram)
            nominal, log = (
                (preset.gap_lrs, np.log1p(preset.sigma_lrs * draw[-1]))
                if weight
                else (preset.gap_hrs, preset.sigma_hrs * draw[-1])
            )
            gap = float(nominal - preset.g0 * log)
        deck = cell_deck(spec, weight=weight, gap=gap)
        step = Step("op", alters(devices, "xcell", sigmas(devices) * draw[:k]))
        jobs.append(Job(deck, (step,), ("vsl#branch",)))
    outcomes = dict(simulate_all(jobs))
    current = np.array([outcomes[place].runs[0].waves["vsl#branch"][0] for place in range(len(jobs))])
    a, b = sensitivity[weight].T
    expected = np.exp(z @ a + z**2 @ b)
    np.testing.assert_allclose(current[1:] / current[0], expected, rtol=0.02 if weight else 0.06)


def test_spread_of_the_read_current_is_that_of_the_devices(tables):
    """8T-SRAM, two fins: 6 %, of which the access transistor has most; without mismatch all are alike."""
    bits = np.ones((300, 100), np.uint8)
    sensitivity = cell_sensitivity(spec_of(), tables["8t-sram"])
    one, two = (factors(bits, Variation(mismatch=k), sensitivity, place="conv").std() for k in (1.0, 2.0))
    assert one == pytest.approx(0.06, abs=0.01)
    assert two == pytest.approx(2 * one, rel=0.05)
    assert (factors(bits, Variation(), sensitivity, place="conv") == 1).all()


def test_a_die_is_drawn_as_numpy_draws_it():
    """Bit for bit: a study may go on with other versions of what compiles loops."""
    rng = np.random.default_rng(3)
    shape, sensitivity = (5, 3, 16, 7), rng.normal(0, 0.1, (2, 4, 2))
    bits, log = bits_of(*shape).swapaxes(0, 1), np.zeros(np.prod(shape))
    variation = Variation(mismatch=1.3, seed=8)
    drawn = np.random.default_rng(int(content_hash([8, "conv", "mismatch"]), 16))
    for a, b in sensitivity[bits.ravel()].transpose(1, 2, 0):
        z = 1.3 * drawn.standard_normal(log.size)
        log += z * (a + z * b)
    np.testing.assert_array_equal(factors(bits, variation, sensitivity, place="conv").ravel(), np.exp(log))


def test_another_standard_deviation_is_not_taken_from_the_cache(tables, monkeypatch):
    for cell in ("8t-sram", "1t1r"):
        spec = spec_of(cell)
        before = cell_sensitivity(spec, tables[cell])
        kept = passed(spec, tables[cell], Variation(mismatch=1.0)).place
        with monkeypatch.context() as patch:
            patch.setattr("spicekit.tables.spread.AVT", 2 * AVT)
            after = cell_sensitivity(spec, tables[cell])
            assert after[1, 0, 0] == pytest.approx(2 * before[1, 0, 0], rel=0.2)
            assert not np.array_equal(passed(spec, tables[cell], Variation(mismatch=1.0)).place, kept)


@pytest.mark.parametrize("drive", ["wordline", "bitline"])
@pytest.mark.parametrize("engine", ["spice", "exact", "fast", "ideal"])
def test_a_tile_with_stuck_cells_is_the_tile_that_holds_those_bits(tables, drive, engine):
    spec = spec_of("1t1r", drive=drive)
    written, bits = bits_of(16, 6), bits_of(3, 16, seed=1)
    variation = Variation(stuck_at_0=0.2, stuck_at_1=0.2)
    made = Tile(spec, tables["1t1r"], written, variation)
    assert (made.held != written).any()
    plain = Tile(spec, tables["1t1r"], made.held)
    currents = [column_currents(tile, bits, engine=engine) for tile in (made, plain)]
    np.testing.assert_array_equal(*currents)


@pytest.mark.parametrize("drive", ["wordline", "bitline"])
def test_the_engines_see_the_same_mismatched_cells(tables, drive):
    """Without wires the exact engine adds up the cells; with light ones it is near."""
    variation = Variation(mismatch=1.0, seed=3)
    written, bits = bits_of(16, 6), bits_of(5, 16, seed=1)
    bare = spec_of("1t1r", drive=drive, ohm=0.0)
    bare = bare.replace(wires=bare.wires.replace(r_driver=0.0, r_sink=0.0))
    tile = Tile(bare, tables["1t1r"], written, variation)
    exact, ideal = (column_currents(tile, bits, engine=engine) for engine in ("exact", "ideal"))
    np.testing.assert_allclose(exact, ideal, rtol=1e-6)
    plain = column_currents(Tile(bare, tables["1t1r"], written), bits, engine="ideal")
    assert abs(ideal / plain - 1).max() > 0.005


@pytest.mark.parametrize("rows_active", [8, 16])
def test_fast_follows_the_exact_engine_on_every_group_of_rows(tables, rows_active):
    for cell, table in tables.items():
        spec = spec_of(cell, rows_active=rows_active)
        written, bits = bits_of(16, 6), bits_of(40, 16, seed=1)
        made = Tile(spec, table, written, Variation(mismatch=1.0, seed=3))
        exact, fast = (read_currents(made, bits, engine=engine) for engine in ("exact", "fast"))
        nominal = read_currents(Tile(spec, table, written), bits, engine="exact")
        unit = cell_currents_of(spec, table).lsb
        assert abs(fast - exact).max() < 0.02 * unit
        assert abs(nominal - exact).max() > 0.1 * unit


def test_what_an_engine_cannot_do_it_refuses(tables):
    written, bits = bits_of(16, 6), bits_of(1, 16)
    mismatch = Variation(mismatch=1.0)
    with pytest.raises(BadInput, match="spice engine takes all cells as alike"):
        column_currents(Tile(spec_of(), tables["8t-sram"], written, mismatch), bits, engine="spice")
    tile = Tile(spec_of("1t1r", drive="bitline"), tables["1t1r"], written, mismatch)
    with pytest.raises(BadInput, match="bit-line drive takes all cells as alike"):
        column_currents(tile, bits, engine="fast")


def test_the_command_line_reads_a_tile_with_variation(tmp_path, tables, monkeypatch):
    from typer.testing import CliRunner

    from spicekit.cli.app import app

    monkeypatch.setattr("spicekit.tables.store.find_table", lambda spec, store=None: tables["8t-sram"])
    written, bits = bits_of(16, 6), bits_of(3, 16, seed=1)
    np.save(tmp_path / "w.npy", written)
    np.save(tmp_path / "a.npy", bits)
    found = []
    for name, table in (("plain", ""), ("stuck", "[variation]\nstuck_at_1 = 0.5\n")):
        path = tmp_path / f"{name}.toml"
        head = "[tile]\nrows = 16\nrows_active = 16\ncolumns = 6\n"
        path.write_text(head + "[wires]\nr_bl = 3.2\nr_sl = 3.2\n" + table)
        arguments = ["tile", "--spec", path, "--weights", tmp_path / "w.npy", "--inputs", tmp_path / "a.npy"]
        result = CliRunner().invoke(app, [*map(str, arguments), "--out", str(tmp_path / "out.npz")])
        assert result.exit_code == 0, result.output
        found.append(np.load(tmp_path / "out.npz")["current"])
    made = Tile(spec_of(), tables["8t-sram"], written, Variation(stuck_at_1=0.5))
    np.testing.assert_allclose(found[1], column_currents(made, bits, engine="exact"), rtol=1e-9)
    assert (found[1] > found[0]).any()
