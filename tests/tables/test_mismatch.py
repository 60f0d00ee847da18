"""Threshold mismatch: Pelgrom's law, and shifts that a deck takes."""

import numpy as np
import pytest

from spicekit.devices.cards import load_card
from spicekit.spice.simulator import Job, Step, simulate
from spicekit.tables.spread import ABETA, AVT, pelgrom

CARD = load_card("nmos-sram", "tt")


def test_four_times_the_fins_halve_the_spread() -> None:
    assert pelgrom(CARD, 4) == pytest.approx(pelgrom(CARD, 1) / 2)


def test_difference_of_two_equal_transistors_has_pelgroms_deviation() -> None:
    """That of one is smaller by the root of two. One fin: 24 mV, 1.8 %."""
    root = np.sqrt(CARD.width * CARD.length)
    assert np.sqrt(2) * pelgrom(CARD, 1) == pytest.approx([AVT / root, ABETA / root])
    assert pelgrom(CARD, 1) == pytest.approx([0.0239, 0.0183], rel=0.01)


def test_current_factor_scales_the_current_at_every_voltage() -> None:
    altered = CARD.altered(2, 0.0, 0.03)
    device = f"{CARD.model} l={CARD.length} w={CARD.width}"
    deck = (
        f"* as drawn, and stronger\n.options gmin=1e-18\n{CARD.text}vd d 0 0.7\nvg g 0 0\n"
        f"va d a 0\nm1 a g 0 0 {device} m=2\nvb d b 0\nm2 b g 0 0 {device} m={altered['m']}\n.end\n"
    )
    (wave,) = simulate(Job(deck, (Step("dc vg 0 0.6 0.1"),)))
    assert wave["vb#branch"] == pytest.approx(1.03 * wave["va#branch"], rel=1e-6)


def test_shift_moves_the_transfer_curve_sideways() -> None:
    shift = 0.025
    device = f"{CARD.model} l={CARD.length} w={CARD.width}"
    deck = (
        f"* as drawn, and shifted\n.options gmin=1e-18\n{CARD.text}vd d 0 0.7\nvg g 0 0\nvh h g {shift}\n"
        f"va d a 0\nm1 a g 0 0 {device}\nvb d b 0\nm2 b h 0 0 {device} delvto={shift}\n.end\n"
    )
    (wave,) = simulate(Job(deck, (Step("dc vg 0 0.6 0.1"),)))
    assert wave["vb#branch"] == pytest.approx(wave["va#branch"], rel=1e-3)
