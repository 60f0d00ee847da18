"""The surrogate for bit-line drive, held against the exact engine."""

import numba
import numpy as np
import pytest

from spicekit.circuits.spec import Device, TileSpec, Wires
from spicekit.engines.cell_currents import cell_currents_of, lsb
from spicekit.engines.exact.ladder import Crossbar
from spicekit.engines.exact.mesh import solve
from spicekit.engines.fast.mesh import column_currents, correction, prepare, read
from spicekit.engines.fast.wire_sums import sample_patterns
from spicekit.errors import BadInput
from spicekit.tables.characterise import Characterisation, characterise
from spicekit.tables.table import IVTable


def spec_of(ohm: float = 3.2, *, terminal: float = 100.0, size: int = 64, **changes: object) -> TileSpec:
    wires = Wires(r_row=ohm, r_col=ohm, r_driver=terminal, r_sink=terminal)
    sizes = {"rows": size, "columns": size, "rows_active": size}
    return TileSpec(cell="1t1r", drive="bitline", wires=wires, **sizes | changes)


HIGH = Device(reram="hfo2-100k")


@pytest.fixture(scope="module")
def high():
    """The I-V table of the 100 kohm cell."""
    ((_, sweep),) = characterise([Characterisation(spec_of(device=HIGH))])
    return sweep.table()


@pytest.mark.parametrize("clustered", [False, True])
def test_errors_stay_below_a_thirtieth_of_an_lsb_rms_with_cells_of_100_kohm(high, clustered):
    spec = spec_of(device=HIGH)
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 2, (64, 64), dtype=np.uint8)
    if clustered:
        weights = rng.permutation(sample_patterns(64, 64, rng=rng)).T
        bits = sample_patterns(120, 64, rng=rng)
    else:
        bits = (rng.random((120, 64)) < rng.uniform(0.1, 0.9, (120, 1))).astype(np.uint8)
    error = column_currents(spec, high, weights, bits) - solve(Crossbar(spec, high, weights), bits).current
    assert np.sqrt(np.mean(error**2)) <= lsb(spec, high) / 30
    assert abs(error).max() <= 0.3 * lsb(spec, high)


def test_no_other_tile_is_much_worse_than_stated(high):
    spec = spec_of(device=HIGH)
    stated, _ = correction(spec, high).error
    rng = np.random.default_rng(2)
    for _ in range(6):
        weights = rng.permutation(sample_patterns(64, 64, rng=rng)).T
        bits = sample_patterns(30, 64, rng=rng)
        error = column_currents(spec, high, weights, bits) - solve(Crossbar(spec, high, weights), bits).current
        assert np.sqrt(np.mean(error**2)) <= 1.5 * stated * lsb(spec, high)


def test_without_resistance_it_counts(high):
    spec = spec_of(0.0, terminal=0.0, size=8, device=HIGH)
    rng = np.random.default_rng(3)
    weights, bits = (rng.integers(0, 2, (n, 8), dtype=np.uint8) for n in (8, 20))
    state = cell_currents_of(spec, high).state
    ideal = bits @ np.where(weights == 1, state[1, 1], state[0, 1])
    np.testing.assert_allclose(column_currents(spec, high, weights, bits), ideal, rtol=1e-6)


def test_a_tile_of_linear_cells_is_its_matrix():
    volt = np.linspace(0, 0.7, 8)
    drop = volt[:, None] - volt[None, :]
    table = IVTable(volt, np.array([[0 * drop, 1e-6 * drop], [0 * drop, 1e-4 * drop]]), {"synthetic": "a formula"})
    spec = spec_of(20.0, size=16)
    rng = np.random.default_rng(4)
    weights, bits = (rng.integers(0, 2, (n, 16), dtype=np.uint8) for n in (16, 50))
    surrogate = prepare(spec, table, weights)
    exact = solve(Crossbar(spec, table, weights), bits).current
    for current in (bits @ surrogate.matrix, read(surrogate, bits)):
        np.testing.assert_allclose(current, exact, atol=1e-4 * exact.max())


def test_currents_depend_on_neither_batch_nor_threads(high):
    rng = np.random.default_rng(5)
    weights, bits = (rng.integers(0, 2, (n, 8), dtype=np.uint8) for n in (8, 20))
    surrogate = prepare(spec_of(size=8, device=HIGH), high, weights)
    together = read(surrogate, bits)
    singly = np.concatenate([read(surrogate, vector[None]) for vector in bits])
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = read(surrogate, bits)
    finally:
        numba.set_num_threads(threads)
    assert (together == singly).all()
    assert (together == alone).all()


def test_a_spec_that_it_cannot_render_is_refused_with_its_error(tables):
    """Twice the usual read voltage over cells of 10 kohm."""
    spec = spec_of(v_read=0.7)
    weights = np.ones((64, 64), np.uint8)
    with pytest.raises(BadInput, match=r"off by 0\.[12]\d+ LSB rms .* its limit is 0\.1"):
        column_currents(spec, tables["1t1r"], weights, weights)
