"""The splines that tiles with bit-line drive take their cells from: right also where hardly a voltage is across."""

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.exact.mesh import linearise
from spicekit.spice.simulator import Job, Step, simulate
from spicekit.tables.characterise import Characterisation
from spicekit.tables.table import IVTable

SPEC = TileSpec(cell="1t1r", wires=Wires(r_bl=3.2, r_sl=3.2))


def cells_at(table: IVTable, state: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Currents and slopes (n,) in A and S."""
    cell = np.empty((len(x), 3))
    axis = float(table.voltage[0]), table.step
    linearise(np.full(len(x), state), np.ones(len(x)), table.conductance_patches, axis, x, y, cell)
    c, p, q = cell.T
    return c + p * x + q * y, p, q


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_it_goes_through_every_point_of_the_table(tables, cell):
    table = tables[cell]
    x, y = (v.ravel() for v in np.meshgrid(table.voltage, table.voltage, indexing="ij"))
    for state, current in enumerate(table.current.reshape(4, -1)):
        apart = x != y
        found = cells_at(table, state, x, y)[0]
        np.testing.assert_allclose(found[apart], current[apart], rtol=1e-9, atol=1e-20)
        assert (abs(found[~apart]) <= 1e-16 * abs(current).max()).all()


@pytest.mark.parametrize("points", [5, 6, 9])
def test_cells_of_one_conductance_are_met_exactly(points):
    v = np.linspace(0, 0.7, points)
    table = IVTable(
        v,
        np.array([[1e-9, 1e-6], [2e-9, 1e-4]])[..., None, None] * (v[:, None] - v),
        {"synthetic": "ohmic"},
    )
    x, y = np.random.default_rng(0).uniform(0, 0.7, (2, 50))
    current, p, q = cells_at(table, 3, x, y)
    np.testing.assert_allclose(current, 1e-4 * (x - y), rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(p, 1e-4, rtol=1e-9)
    np.testing.assert_allclose(q, -1e-4, rtol=1e-9)


def test_slopes_are_the_currents_own(tables):
    x, y = np.random.default_rng(1).uniform(0.01, 0.69, (2, 200))
    table, h = tables["1t1r"], 1e-6
    _, p, q = cells_at(table, 3, x, y)
    up, down = (cells_at(table, 3, x + step, y)[0] for step in (h, -h))
    right, left = (cells_at(table, 3, x, y + step)[0] for step in (h, -h))
    np.testing.assert_allclose((up - down) / (2 * h), p, rtol=1e-5)
    np.testing.assert_allclose((right - left) / (2 * h), q, rtol=1e-5)


@pytest.mark.parametrize("weight", [0, 1])
def test_close_to_equal_voltages_the_conductance_is_that_of_ngspice(tables, weight):
    """Off the grid: there BSIM4's second derivative jumps, and one spline across it is off by 4e-4."""
    v = np.array([0.004, 0.033, 0.068, 0.11, 0.15])
    x, y = np.concatenate([v + 1e-3, v - 1e-3]), np.concatenate([v, v])
    steps = [
        Step("op", (f"vwl dc {SPEC.v_wl!r}", f"vbl dc {bl!r}", f"vsl dc {sl!r}"))
        for bl, sl in zip(x.tolist(), y.tolist(), strict=True)
    ]
    waves = simulate(Job(Characterisation(SPEC).decks[weight], tuple(steps), keep=("vsl#branch",)))
    expected = np.array([wave["vsl#branch"][0] for wave in waves])
    np.testing.assert_allclose(cells_at(tables["1t1r"], 2 * weight + 1, x, y)[0], expected, rtol=5e-5)
