"""Margins of cells: against closed forms first, then what a good cell must show."""

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.errors import BadInput
from spicekit.tables.cell_figures import (
    Access,
    Butterfly,
    CoreMargins,
    core_margins,
    element_margins,
    read_points,
)

SPEC = TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2))
VDD = SPEC.corner.vdd


def inverters(access: Access, threshold: float, other: float) -> Butterfly:
    """Ideal inverters that switch from the supply to 0 V at their thresholds; nearly steep, to be a function."""
    level = np.linspace(0, VDD, 7001)

    def step(at: float) -> np.ndarray:
        return VDD * np.clip(0.5 - (level - at) / 1e-3, 0, 1)

    return Butterfly(access, level, step(other), step(threshold))


@pytest.mark.parametrize("shift", [0.0, 0.05, -0.1])
def test_ideal_inverters_have_the_margin_of_their_smaller_rectangle(shift: float) -> None:
    # Lobes are rectangles of sides (t, vdd - t'); the square in the smaller one has the shorter side.
    first, second = VDD / 2 + shift, VDD / 2
    smaller = min(min(first, VDD - second), min(second, VDD - first))
    assert inverters("hold", first, second).margin == pytest.approx(smaller, abs=2e-3)


def test_a_core_that_keeps_both_states_while_written_has_a_negative_write_margin() -> None:
    assert inverters("write", VDD / 2, VDD / 2).margin < 0


@pytest.fixture(scope="module")
def margins() -> CoreMargins:
    return core_margins(SPEC)


def test_opening_the_write_ports_costs_margin(margins: CoreMargins) -> None:
    assert VDD / 2 > margins.hold.margin > margins.read.margin > 0


def test_a_bit_can_be_written_by_butterfly_and_by_bit_line(margins: CoreMargins) -> None:
    assert margins.write.margin > 0
    assert 0 < margins.write_trip < VDD / 2


def test_the_read_port_does_not_disturb_the_bit(margins: CoreMargins) -> None:
    assert margins.port_rise < 1e-6
    assert margins.port_kick < 0.2 * margins.hold.margin
    assert margins.port_rise < 1e-3 * margins.half_select_rise


def test_a_core_at_rest_leaks_little(margins: CoreMargins) -> None:
    assert 0 < margins.leakage < 1e-9


def test_a_higher_supply_gives_more_read_current() -> None:
    points = read_points(SPEC, "vdd", (0.6, 0.8))
    assert [point.corner.process for point in points] == ["ss", "ss", "tt", "tt", "ff", "ff"]
    for low, high in zip(points[::2], points[1::2], strict=True):
        assert high.on > low.on > 0
        assert low.ratio > 1e3


def test_reading_stays_below_the_thresholds_of_the_reram_element() -> None:
    margins = element_margins(SPEC.replace(cell="1t1r"))
    assert 0 < margins.lrs < margins.hrs <= SPEC.v_read
    assert margins.set > 0
    assert margins.reset > 0


def test_a_reram_cell_has_no_core() -> None:
    with pytest.raises(BadInput, match="holds no 6T core"):
        core_margins(SPEC.replace(cell="1t1r"))
