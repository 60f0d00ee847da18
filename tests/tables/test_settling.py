"""Settling times and charges from transients."""

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.tables.settling import Settling, settling

SPEC = TileSpec(rows=8, columns=8, rows_active=8, wires=Wires(r_bl=3.2, r_sl=3.2, r_row=3.2, r_col=3.2))


@pytest.fixture(scope="module")
def worst() -> Settling:
    return settling(SPEC, "worst")


def test_the_current_stays_within_half_an_lsb_once_settled(worst: Settling) -> None:
    after = worst.waves["time"] > worst.delay + worst.time
    error = np.abs(worst.waves["vsense_0#branch"] - worst.current[0])
    assert (error[after] <= worst.lsb / 2).all()
    assert (error[~after] > worst.lsb / 2).any()


def test_a_transient_ends_at_the_operating_point(worst: Settling) -> None:
    np.testing.assert_allclose(worst.waves["vsense_0#branch"][-1], worst.current[0], rtol=1e-4)


def test_a_slower_driver_settles_later(worst: Settling) -> None:
    slow = settling(SPEC.replace(wires=Wires(r_driver=2000, r_bl=3.2, r_sl=3.2)), "worst")
    assert slow.time > worst.time


def test_word_line_charge_grows_with_the_columns(worst: Settling) -> None:
    wide = settling(SPEC.replace(columns=16), "worst")
    np.testing.assert_allclose(wide.word_line_charge, 2 * worst.word_line_charge, rtol=0.05)


@pytest.mark.parametrize("drive", ["wordline", "bitline"])
def test_reram_tiles_settle_too(drive: str) -> None:
    result = settling(SPEC.replace(cell="1t1r", drive=drive, columns=4), "typical")
    assert 0 < result.time < 1e-8
    assert result.read_charge > 0


def test_a_word_line_takes_the_same_charge_however_many_are_raised(worst: Settling) -> None:
    few = settling(SPEC, "typical")
    assert few.word_lines == 4
    charges = [read.word_line_charge / read.word_lines for read in (worst, few)]
    np.testing.assert_allclose(charges[0], charges[1], rtol=0.02)
