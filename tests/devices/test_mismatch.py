"""Threshold mismatch: Pelgrom's law, and shifts that a deck takes."""

import numpy as np
import pytest

from spicekit.devices.cards import load_card
from spicekit.devices.mismatch import AVT, sample_vt, sigma_vt
from spicekit.spice.simulator import Job, Step, simulate

CARD = load_card("nmos-sram", "tt")


def test_four_times_the_fins_halve_the_spread() -> None:
    assert sigma_vt(CARD, 4) == pytest.approx(sigma_vt(CARD, 1) / 2)


def test_difference_of_two_equal_transistors_has_pelgroms_deviation() -> None:
    first, second = (sample_vt(CARD, 2, (50_000,), rng=np.random.default_rng(seed)) for seed in (1, 2))
    area = 2 * CARD.width * CARD.length
    assert np.std(first - second) == pytest.approx(AVT / np.sqrt(area), rel=0.02)  # 0.3 % from 50,000 draws


def test_shift_moves_the_transfer_curve_sideways() -> None:
    shift = 0.025
    device = f"{CARD.model} l={CARD.length} w={CARD.width}"
    deck = (
        f"* as drawn, and shifted\n.options gmin=1e-18\n{CARD.text}vd d 0 0.7\nvg g 0 0\nvh h g {shift}\n"
        f"va d a 0\nm1 a g 0 0 {device}\nvb d b 0\nm2 b h 0 0 {device} delvto={shift}\n.end\n"
    )
    (wave,) = simulate(Job(deck, (Step("dc vg 0 0.6 0.1"),)))
    # to 15 %: BSIM4's mobility falls with the threshold itself, which a gate voltage does not move
    assert wave["vb#branch"] == pytest.approx(wave["va#branch"], rel=0.15)
