"""Reads that discharge a line: the exact engine against closed forms and ngspice, what follows, and who refuses."""

import math

import numpy as np
import pytest
from layer_reads import applied_of, stored_of

from spicekit.circuits.render import Transient, tile_deck
from spicekit.circuits.spec import Discharge, TileSpec, Wires
from spicekit.decks.compare import verify
from spicekit.decks.run import run_deck
from spicekit.decks.source import parse_deck
from spicekit.engines.cell_currents import lsb
from spicekit.engines.converter import Converter
from spicekit.engines.exact import ladder, supply
from spicekit.engines.exact.codes import ExactCodes
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.engines.exact.maps import read_maps
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.engines.spice import solve as spice
from spicekit.engines.tile import Tile, read_currents
from spicekit.errors import BadInput, NotConverged
from spicekit.evaluation.design import Design, Read
from spicekit.mapping.positions import shared_resistance
from spicekit.tables.settling import line_capacitance, settling
from spicekit.tables.table import IVTable

WIRES = Wires(r_bl=3.2, r_sl=3.2)


def spec_of(load: float = 1e-13, time: float = 5e-11, **changes) -> TileSpec:
    return TileSpec(
        **{"rows": 8, "columns": 3, "wires": WIRES, "discharge": Discharge(load=load, time=time), **changes}
    )


def bits_of(vectors: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    weights = (rng.random((8, 3)) < [0.3, 0.6, 1]).astype(np.uint8)
    return weights, (rng.random((vectors, 8)) < 0.7).astype(np.uint8)


@pytest.mark.parametrize("over", [0.1, 1.0, 10.0])
def test_a_resistor_discharges_its_line_exponentially(over):
    """One cell of 10 kohm behind no wires, and a time of `over` time constants."""
    volt = np.linspace(0, 0.7, 57)
    drop = (volt[:, None] - volt[None, :]) / 1e4
    table = IVTable(volt, np.array([[0 * drop, 0 * drop], [0 * drop, drop]]), {"synthetic": "10 kohm"})
    ideal = Wires(r_driver=0, r_sink=0, r_bl=0, r_sl=0)
    still = spec_of(rows=1, columns=1, wires=ideal)
    capacitance = line_capacitance(still)
    spec = spec_of(time=over * 1e4 * capacitance, rows=1, columns=1, wires=ideal)
    one = np.ones((1, 1), np.uint8)
    current = solve(Crossbar(spec, table, one), one).current[0, 0]
    expected = capacitance * 0.35 * (1 - math.exp(-over)) / spec.discharge.time
    assert current == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("load", "worst"), [(1e-11, 0.003), (1e-13, 0.03)])
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_the_exact_engine_agrees_with_transients_in_ngspice(tables, cell, load, worst):
    """What is left of small loads is what asserted cells take beyond idle ones."""
    unit = lsb(spec_of(cell=cell), tables[cell])
    spec = spec_of(load, load * 0.15 / (8 * unit), cell=cell)
    weights, bits = bits_of()
    exact = solve(Crossbar(spec, tables[cell], weights), bits).current
    assert np.abs(exact - spice(spec, weights, bits)).max() < worst * unit
    held = solve(Crossbar(spec.replace(discharge=None), tables[cell], weights), bits).current
    assert (held - exact).max() > 0.1 * unit


def test_in_no_time_a_line_is_as_good_as_held(sram_table):
    weights, bits = bits_of()
    spec = spec_of(time=1e-16)
    held = solve(Crossbar(spec.replace(discharge=None), sram_table, weights), bits).current
    np.testing.assert_allclose(solve(Crossbar(spec, sram_table, weights), bits).current, held, rtol=1e-4)


def test_a_current_that_is_not_resolved_is_no_number(sram_table, monkeypatch):
    monkeypatch.setattr(supply, "LEVELS", (2, 3))
    weights, bits = bits_of()
    with pytest.raises(NotConverged, match="still moves by"):
        solve(Crossbar(spec_of(time=2e-10), sram_table, weights), bits)


def test_the_fast_engine_follows(sram_table):
    weights, bits = bits_of(20)
    spec = spec_of()
    tile = Tile(spec, sram_table, weights)
    error = read_currents(tile, bits, engine="fast") - read_currents(tile, bits, engine="exact")
    assert np.abs(error).max() < 0.002 * lsb(spec, sram_table)
    model = read_model(spec, sram_table)
    thresholds = fit_thresholds(model, Converter(), None)
    stored, applied = stored_of(weights.T), applied_of(bits)
    exact = ExactCodes(spec, sram_table, thresholds).sums(stored, applied)
    assert (model.codes(thresholds).sums(stored, applied) == exact).mean() > 0.95


def test_a_surrogate_is_made_anew_where_the_line_has_another_capacitance(sram_table, monkeypatch):
    """As after a change of a card's capacitances, which no I-V table shows."""
    found = []
    for capacitance in (1e-13, 2e-13):
        for module in (ladder, supply):
            monkeypatch.setattr(module, "line_capacitance", lambda spec, value=capacitance: value)
        found.append(read_model(spec_of(), sram_table).quiet[0, -1])
    assert found[1] > 1.01 * found[0]  # the line falls less


def test_its_deck_is_verified_and_runs(tmp_path):
    weights, bits = bits_of()
    spec = spec_of()
    text = tile_deck(spec, weights, bits[0])
    assert not verify(parse_deck(text), spec, weights, bits[0])
    line = next(line for line in text.splitlines() if line.startswith("Cline_1"))
    other = text.replace(line, line.replace("Cline_1 line_1 0 1", "Cline_1 line_1 0 2"))
    assert other != text
    assert verify(parse_deck(other), spec, weights, bits[0])
    run = run_deck(parse_deck(text))
    last = [float(x) for x in run.files["waves.txt"].splitlines()[-1].split()]
    drop = spec.v_read - np.array(last[1:])
    expected = spice(spec, weights, bits[:1])[0] * spec.discharge.time / line_capacitance(spec)
    np.testing.assert_allclose(drop, expected, rtol=1e-4)


def test_without_discharge_a_spec_is_what_it_was():
    spec = spec_of()
    assert "discharge" not in spec.replace(discharge=None).model_dump()
    assert TileSpec.from_toml(spec.to_toml()) == spec


def test_what_knows_no_discharge_says_so(sram_table):
    weights, bits = bits_of()
    spec = spec_of()
    for wires in (Wires(r_bl=1, r_sl=1, r_supply=1), Wires(r_bl=1, r_sl=1, r_ground=1)):
        with pytest.raises(BadInput, match="without shared rails"):
            spec_of(wires=wires)
    with pytest.raises(BadInput, match="word-line drive"):
        spec_of(cell="1t1r", drive="bitline", wires=Wires(r_row=1, r_col=1))
    with pytest.raises(BadInput, match="a transient of their own"):
        tile_deck(spec, weights, bits[0], transient=Transient(stop=1e-9))
    with pytest.raises(BadInput, match="leave out settling"):
        settling(spec, "worst")
    with pytest.raises(BadInput, match="lines that are held"):
        read_maps(Crossbar(spec, sram_table, weights), bits[0])
    with pytest.raises(BadInput, match="flip_rule = 'count'"):
        shared_resistance(spec)
    with pytest.raises(BadInput, match=r"lasts \[discharge\] time"):
        Design(tile=spec, read=Read(time=2e-9))
    assert Design(tile=spec).read_time == spec.discharge.time
