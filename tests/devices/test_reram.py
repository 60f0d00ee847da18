"""The ReRAM element: states as stated, odd and smooth, spread as stated."""

import numpy as np
import pytest

from spicekit.devices.reram import load_reram, subcircuit, subcircuit_name
from spicekit.errors import BadInput
from spicekit.spice.simulator import Job, Step, simulate

PRESETS = ("hfo2-low", "hfo2-10k", "hfo2-100k")


@pytest.mark.parametrize("name", PRESETS)
def test_both_states_have_their_resistance_in_ngspice(name: str) -> None:
    preset = load_reram(name)
    deck = (
        f"* both states\n.options gmin=1e-18 reltol=1e-6\n{subcircuit(preset)}"
        f"vl l 0 {preset.v_read}\nxl l 0 {subcircuit_name(preset)}\n"
        f"vh h 0 {preset.v_read}\nxh h 0 {subcircuit_name(preset)} gap={preset.gap_hrs}\n.end\n"
    )
    (wave,) = simulate(Job(deck, (Step("op"),)))
    assert preset.v_read / -wave["vl#branch"][0] == pytest.approx(preset.r_lrs, rel=1e-5)
    assert preset.v_read / -wave["vh#branch"][0] == pytest.approx(preset.r_hrs, rel=1e-5)


def test_gaps_of_the_low_resistance_device_are_those_of_the_published_model() -> None:
    preset = load_reram("hfo2-low")
    assert preset.gap_lrs == pytest.approx(0.2e-9, rel=0.01)
    assert preset.gap_hrs == pytest.approx(1.7e-9, rel=0.01)


@pytest.mark.parametrize("name", PRESETS)
def test_subcircuit_follows_the_formula_with_either_sign(name: str) -> None:
    preset = load_reram(name)
    deck = f"* sweep\n.options gmin=1e-18\n{subcircuit(preset)}va a 0 0\nx1 a 0 {subcircuit_name(preset)}\n.end\n"
    (wave,) = simulate(Job(deck, (Step("dc va -0.7 0.7 0.1"),)))
    voltage = np.linspace(-0.7, 0.7, 15)
    assert -wave["va#branch"] == pytest.approx(preset.current(voltage, np.array(preset.gap_lrs)), rel=1e-5, abs=1e-15)


@pytest.mark.parametrize("name", PRESETS)
def test_read_stays_below_the_switching_thresholds(name: str) -> None:
    preset = load_reram(name)
    assert preset.v_reset < -preset.v_read < preset.v_read < preset.v_set


def test_spread_is_normal_in_lrs_current_and_log_normal_in_hrs_current() -> None:
    preset = load_reram("hfo2-10k")
    bits = np.repeat(np.array([1, 0], np.uint8), 20_000)
    current = preset.current(
        np.array(preset.v_read), preset.gaps(bits, np.random.default_rng(1).standard_normal(bits.shape))
    )
    lrs, hrs = current[bits == 1] * preset.r_lrs / preset.v_read, np.log(current[bits == 0])
    # 20,000 draws: a standard deviation is known to 0.5 %, a mean to 0.7 % of it
    assert np.mean(lrs) == pytest.approx(1.0, abs=0.002)
    assert np.std(lrs) == pytest.approx(preset.sigma_lrs, rel=0.02)
    assert np.mean(hrs) == pytest.approx(np.log(preset.v_read / preset.r_hrs), abs=0.02)
    assert np.std(hrs) == pytest.approx(preset.sigma_hrs, rel=0.02)


def test_a_cell_without_spread_is_nominal() -> None:
    preset = load_reram("hfo2-10k")
    assert preset.gaps(np.array([1, 0], np.uint8), np.zeros(2)).tolist() == [preset.gap_lrs, preset.gap_hrs]


def test_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="hfo2-10k"):
        load_reram("pcm")
