"""Monte Carlo of read currents, and what mismatch does to a column."""

import numpy as np
import pytest

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import lsb
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.spice.simulator import Job, Step, simulate
from spicekit.tables.spread import alters, mismatched, read_spread, sigmas

SPEC = TileSpec(rows=8, columns=2, rows_active=8, wires=Wires(r_bl=3.2, r_sl=3.2))


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_spread_is_seeded_and_centred_on_the_nominal_cell(cell):
    spec = SPEC.replace(cell=cell)
    first, again = (read_spread(spec, 60, weight=1, rng=np.random.default_rng(1)) for _ in range(2))
    assert (first.current == again.current).all()
    assert first.current.mean() == pytest.approx(first.nominal, rel=0.1)
    assert 0.02 < first.relative < 0.4


def test_more_fins_spread_less():
    wide = SPEC.replace(device=SPEC.device.replace(fins=8))
    narrow, broad = (read_spread(s, 60, weight=1, rng=np.random.default_rng(1)).relative for s in (SPEC, wide))
    assert broad < 0.7 * narrow


def test_scaled_cells_stand_for_shifted_thresholds_within_a_few_hundredths_of_an_lsb(sram_table):
    """The exact engine takes mismatch as a factor on each cell's current; ngspice shifts each transistor."""
    rng = np.random.default_rng(2)
    devices = mismatched(SPEC)
    draws = rng.normal(0.0, sigmas(devices), (8, 2, 2 * len(devices)))
    ones = np.ones((8, 2), np.uint8)
    every = [alters(devices, f"xc_{i}_{j}", draws[i, j]) for i in range(8) for j in range(2)]
    deck = tile_deck(SPEC, ones, ones[:, 0], batch=False)
    senses = ("vsense_0#branch", "vsense_1#branch")
    (loaded,) = simulate(Job(deck, (Step("op", sum(every, ())),), senses))
    spice = np.array([loaded[name][0] for name in senses])

    from spicekit.circuits.render import cell_deck

    steps = [
        Step("op"),
        *(Step("op", alters(devices, "xcell", draw)) for draw in draws.reshape(16, -1)),
    ]
    alone = simulate(Job(cell_deck(SPEC, weight=1), tuple(steps), ("vsl#branch",)))
    current = np.array([waves["vsl#branch"][0] for waves in alone])
    scale = (current[1:] / current[0]).reshape(8, 2)
    exact = solve(Crossbar(SPEC, sram_table, ones, scale), ones[:, :1].T).current[0]
    unscaled = solve(Crossbar(SPEC, sram_table, ones, np.ones((8, 2))), ones[:, :1].T).current[0]
    step = lsb(SPEC, sram_table)
    assert (abs(exact - spice) < 0.05 * step).all()
    assert (abs(exact - spice) < abs(unscaled - spice)).all()
