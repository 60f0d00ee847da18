"""Shipped cards: true to their curves and near published figures, ordered by corner, smooth where no curve is."""

from functools import cache

import numpy as np
import pytest

from spicekit.devices.cards import Card, Corner, device_folder, load_card, load_sheet, shipped_devices
from spicekit.devices.check import Comparison, check_curves, check_devices
from spicekit.devices.measure import Figures, errors, families, measure, read_curves, surfaces
from spicekit.devices.sheet import Limits
from spicekit.spice.simulator import Job, Step, simulate

COLD, ROOM, HOT = 233.15, 298.15, 398.15  # K


@cache
def checked() -> dict[tuple[str, str, str], Comparison]:
    rows = check_devices(shipped_devices())
    return {(row.device, row.process, row.figure): row for row in rows}


@cache
def figures_at(temperature: float) -> dict[str, Figures]:
    cards = [load_card(device, "tt") for device in shipped_devices()]
    found = measure(cards, Corner(temperature=temperature))
    return dict(zip(shipped_devices(), found, strict=True))


def drain_current(card: Card, **volts: float) -> float:
    """Current into the drain of one fin at node voltages d, g, s with the bulk at 0 V, A."""
    sources = "".join(f"v{node} {node} 0 {value}\n" for node, value in volts.items())
    deck = (
        f"* one fin\n.options gmin=1e-18\n.temp 25\n{card.text}"
        f"m1 d g s 0 {card.model} l={card.length} w={card.width}\n{sources}.end\n"
    )
    (wave,) = simulate(Job(deck, (Step("op"),)))
    return -float(wave["vd#branch"][0])


@pytest.mark.parametrize("device", shipped_devices())
def test_published_figures_and_capacitances_are_within_reach(device: str) -> None:
    rows = [row for (name, _, _), row in checked().items() if name == device]
    targets = {(row.process, row.figure) for row in rows if row.target is not None}
    published = {"idsat", "ieff", "ioff", "vtsat", "vtlin", "ss", "dibl"}
    assert targets == {("tt", name) for name in published} | {(speed, "cgate") for speed in ("tt", "ff", "ss")}
    assert [(row.process, row.figure) for row in rows if not row.within] == []


def test_cards_carry_what_the_kits_own_cards_carry() -> None:
    """Over the whole surface, at each corner and temperature, in limits that the sheets may not loosen."""
    rows = check_curves(shipped_devices())
    assert len(rows) == 8 * 3 * 3
    assert {load_sheet(device).curves.limits for device in shipped_devices()} == {Limits()}  # type: ignore[union-attr]
    assert (Limits().rms, Limits().worst, Limits().figures, Limits().subthreshold) == (
        0.005,
        0.02,
        0.01,
        0.25,
    )
    assert [(row.device, row.process, row.celsius) for row in rows if not row.within] == []


def test_another_card_is_off_the_curves() -> None:
    """What the check is for: the FF card is not the TT card's curve."""
    curves = read_curves(device_folder("nmos-sram") / "curves.npz")
    (mine,) = surfaces([load_card("nmos-sram", "ff")], curves.celsius, curves.v_ds, curves.v_gs)
    assert not any(row.within(Limits()) for row in errors(mine, curves, "tt"))
    assert all(row.within(Limits()) for row in errors(mine, curves, "ff"))


@pytest.mark.parametrize("polarity", ["nmos", "pmos"])
def test_current_rises_with_both_voltages_beyond_the_fitted_range(polarity: str) -> None:
    """From -0.2 V on the gate to 1 V on gate and drain: no card turns back where nothing was fitted."""
    chosen = [name for name in shipped_devices() if name.startswith(polarity)]
    cards = [load_card(name, speed) for name in chosen for speed in ("tt", "ff", "ss")]
    gates = np.linspace(-0.2, 1, 49)
    found = surfaces(cards, np.array([-40.0, 25.0, 125.0]), np.linspace(0, 1, 41), gates)
    largest = found.max(axis=(2, 3), keepdims=True)
    assert (np.diff(found, axis=2) > -1e-9 * largest[..., :, :]).all()  # 1e-9: gmin and ngspice's tolerance
    assert (np.diff(found[:, :, 1:], axis=3) > -1e-9 * largest).all()
    bend = np.diff(found, 2, axis=3)  # no step or kink: the transconductance moves little in 25 mV
    assert (abs(bend) < 0.02 * largest).all()


@pytest.mark.parametrize("device", shipped_devices())
@pytest.mark.parametrize(("figure", "rises"), [("idsat", True), ("ioff", True), ("vtsat", False)])
def test_typical_lies_between_slow_and_fast(device: str, figure: str, rises: bool) -> None:
    slow, typical, fast = (checked()[device, process, figure].measured for process in ("ss", "tt", "ff"))
    assert slow < typical < fast if rises else slow > typical > fast


def test_measured_current_is_that_of_an_operating_point() -> None:
    card = load_card("nmos-sram", "tt")
    (figures,) = measure([card], Corner())
    assert figures.idsat == pytest.approx(drain_current(card, d=0.7, g=0.7, s=0.0), rel=1e-6)
    assert figures.ioff == pytest.approx(drain_current(card, d=0.7, g=0.0, s=0.0), rel=1e-3)


def test_source_and_drain_may_be_exchanged() -> None:
    card = load_card("nmos-sram", "tt")
    forward = drain_current(card, d=0.35, g=0.7, s=0.0)
    backward = drain_current(card, d=0.0, g=0.7, s=0.35)
    assert backward == pytest.approx(-forward, rel=1e-6)


def test_fin_has_next_to_no_body_effect() -> None:
    card = load_card("nmos-sram", "tt")
    low = drain_current(card, d=0.4, g=0.6, s=0.0)
    lifted = drain_current(card, d=0.7, g=0.9, s=0.3)
    assert lifted == pytest.approx(low, rel=0.01)  # what is left is the depletion width in the swing


@pytest.mark.parametrize("device", shipped_devices())
def test_leakage_and_swing_grow_with_temperature(device: str) -> None:
    cold, room, hot = (figures_at(temperature)[device] for temperature in (COLD, ROOM, HOT))
    assert cold.ioff < room.ioff / 10 < room.ioff < hot.ioff / 10
    assert cold.ss / COLD == pytest.approx(hot.ss / HOT, rel=0.03)  # proportional to kT/q


@pytest.mark.parametrize("device", ["nmos-sram", "pmos-sram"])
def test_hot_carries_more_below_and_less_above_a_crossing_within_the_supply(device: str) -> None:
    card = load_card(device, "tt")
    ((gate, cold),), ((_, hot),) = (families([card], Corner(temperature=t))[0] for t in (COLD, HOT))
    (crossings,) = np.nonzero(np.diff(np.sign(hot - cold)))
    assert len(crossings) == 1
    assert hot[0] > cold[0]
    assert 0.4 < gate[crossings[0]] < 0.65


def test_transfer_curve_bends_once() -> None:
    """Current over gate voltage has one inflection only: tables are interpolated and solvers differentiate."""
    (((_, current),),) = families([load_card("nmos-sram", "tt")], Corner())
    curvature = np.diff(current, 2)
    changes = np.count_nonzero(np.diff(np.sign(curvature[np.abs(curvature) > 1e-6 * current.max()])))
    assert changes <= 1
