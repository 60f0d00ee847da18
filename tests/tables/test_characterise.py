"""What decides a table, how finely it is swept, and what it stands for."""

import re

import numpy as np
import pytest

from spicekit.circuits import render
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.cards import Corner
from spicekit.errors import BadInput
from spicekit.spice.simulator import Job, Simulator, Step, simulate
from spicekit.tables.calibrate import calibrate
from spicekit.tables.characterise import Characterisation
from spicekit.tables.spread import mismatched
from spicekit.tables.store import current_sweep
from spicekit.tables.table import interpolate

SPEC = TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2))
RERAM = SPEC.replace(cell="1t1r")
NGSPICE = Simulator("45", "the state it starts in")


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 32, "rows_active": 8},
        {"columns": 1},
        {"v_read": 0.1},
        {"sense_end": "near"},
        {"wires": Wires(layer="M4", pitch_nm=108, r_driver=0, r_sink=7)},
        {"device": SPEC.device.replace(reram="hfo2-100k", pmos="pmos-lvt")},
    ],
    ids=str,
)
def test_what_carries_no_read_current_of_an_8t_cell_shares_its_table(changes):
    other = Characterisation(SPEC.replace(**changes))
    assert (other.name, other.deck_hash) == (Characterisation(SPEC).name, Characterisation(SPEC).deck_hash)


@pytest.mark.parametrize(
    "changes",
    [
        {"cell": "1t1r"},
        {"v_wl": 0.65},
        {"corner": Corner(process="ss")},
        {"corner": Corner(vdd=0.65)},
        {"corner": Corner(temperature=300.0)},
        {"device": SPEC.device.replace(nmos="nmos-lvt")},
        {"device": SPEC.device.replace(fins=1)},
    ],
    ids=str,
)
def test_what_carries_current_makes_another_table(changes):
    other = Characterisation(SPEC.replace(**changes))
    assert other.name != Characterisation(SPEC).name
    assert other.key(NGSPICE) != Characterisation(SPEC).key(NGSPICE)


def test_another_start_up_state_of_ngspice_makes_another_key():
    assert Characterisation(SPEC).key(NGSPICE) != Characterisation(SPEC).key(NGSPICE._replace(state="scale=2"))


def test_a_reram_preset_makes_another_table_of_a_1t1r_cell():
    other = RERAM.replace(device=RERAM.device.replace(reram="hfo2-100k"))
    assert Characterisation(other).name != Characterisation(RERAM).name


def test_conditions_give_the_characterisation_back():
    for spec in (SPEC, RERAM.replace(v_wl=0.6, corner=Corner(process="ff", temperature=233.15))):
        request = Characterisation(spec)
        assert Characterisation.of(request.conditions).name == request.name


def test_conditions_that_no_spec_has_are_refused():
    with pytest.raises(BadInput, match=r"conditions of a table.*unknown key 'colour'"):
        Characterisation.of({**Characterisation(SPEC).conditions, "colour": "blue"})


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("*", "* another comment\n*", True),
        (".subckt read_port", "\n\n.subckt   read_port", True),
        ("reltol=1e-6 abstol", "reltol=1e-6\n+ abstol", True),
        ("(", " ( ", True),
        ("reltol=1e-6", "reltol=1e-5", False),
        ("Mstorage mid", "Mstorage rbl", False),
    ],
)
def test_only_what_ngspice_takes_from_a_deck_makes_a_table_stale(old, new, same, monkeypatch):
    before = Characterisation(SPEC).deck_hash
    decks = Characterisation(SPEC).decks
    assert all(old in deck for deck in decks)
    monkeypatch.setattr(
        "spicekit.tables.characterise.cell_deck", lambda spec, weight, gap: decks[weight].replace(old, new)
    )
    assert (Characterisation(SPEC).deck_hash == before) is same


def test_the_version_of_spicekit_does_not_make_a_table_stale(monkeypatch):
    before = Characterisation(SPEC).deck_hash
    monkeypatch.setattr(render.spicekit, "__version__", "99.0")
    assert "spicekit 99.0" in Characterisation(SPEC).decks[0]
    assert Characterisation(SPEC).deck_hash == before


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_between_its_points_the_spline_is_within_1e_4_of_the_on_current(cell, tables):
    """Against operating points of ngspice at voltages off the grid, in all four states."""
    table = tables[cell]
    rng = np.random.default_rng(5)
    v_bl, v_sl = rng.uniform(0, 0.7, (2, 100))
    spec = SPEC.replace(cell=cell)
    error = 0.0
    for w in (0, 1):
        for a in (0, 1):
            deck = Characterisation(spec).decks[w]
            steps = [
                Step("op", (f"vwl dc {spec.v_wl * a!r}", f"vbl dc {bl!r}", f"vsl dc {sl!r}"))
                for bl, sl in zip(v_bl.tolist(), v_sl.tolist(), strict=True)
            ]
            waves = simulate(Job(deck, tuple(steps), keep=("vsl#branch",)))
            expected = np.array([wave["vsl#branch"][0] for wave in waves])
            error = max(error, np.abs(interpolate(table, np.full(100, 2 * w + a), v_bl, v_sl) - expected).max())
    assert error < 1e-4 * table.current[1, 1, 28, 0]  # at 0.35 V


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_equal_terminals_carry_no_current(cell, tables):
    """To what ngspice resolves: gmin = 1e-18 S at 0.7 V, and its relative tolerance on a node in between."""
    current = tables[cell].current
    assert np.abs(np.diagonal(current, axis1=2, axis2=3)).max() < 1e-9 * current.max()


def test_a_source_line_above_the_bit_line_turns_the_current(tables):
    for table in tables.values():
        on = table.current[1, 1]
        assert (on[np.triu_indices(57, 1)] < 0).all()
        assert (on[np.tril_indices(57, -1)] > 0).all()


@pytest.mark.parametrize("spec", [SPEC, RERAM], ids=lambda spec: spec.cell)
def test_a_monte_carlo_cell_is_the_nominal_one_with_shifted_thresholds(spec, tmp_path):
    """Against decks whose transistors have models of their own, shifted in the card."""
    request = Characterisation(spec, seed=3)
    assert calibrate([request], tmp_path, workers=1).made == (request.name,)
    sweep = current_sweep(request, tmp_path)
    assert sweep.origin["conditions"]["seed"] == 3
    drawn = [re.search(r"xcell\.(\w+)\[(\w+)\]=(.*)", alter).groups() for alter in sweep.origin["alters"]]
    shifts = {name: float(value) for name, parameter, value in drawn if parameter == "delvto"}
    counts = {name: float(value) for name, parameter, value in drawn if parameter == "m"}
    assert len(set(shifts.values())) == len(set(counts.values())) == len(mismatched(spec))
    for weight, deck in enumerate(request.decks):
        own = shifted(deck, shifts, counts)
        (wave,) = simulate(Job(own, (Step("op", ("vbl dc 0.35", "vsl dc 0.05", f"vwl dc {spec.v_wl}")),)))
        assert sweep.current[weight, 1, 28, 4] == pytest.approx(float(wave["vsl#branch"][0]), rel=1e-4)
    nominal = Characterisation(spec)
    assert not np.isclose(sweep.current[1, 1, 28, 0], on_current(nominal), rtol=1e-3)


def shifted(deck: str, shifts: dict[str, float], counts: dict[str, float]) -> str:
    """The deck with a model for each transistor, its `vth0` moved, and with other numbers of fins."""
    (model,) = re.findall(r"(?ims)^\.model nmos\S+.*?(?=^[^+])", deck)
    name = model.split()[1]
    vth0 = float(re.search(r"vth0\s*=\s*(\S+?)[\s)]", model)[1])
    for transistor, shift in shifts.items():
        moved = re.sub(r"vth0\s*=\s*[^\s)]+", f"vth0={vth0 + shift!r}", model)
        deck = deck.replace(model, model + moved.replace(name, f"{name}_{transistor}"))
        deck = re.sub(rf"(?im)^({transistor}\s.*?){name}\b", rf"\1{name}_{transistor}", deck)
        deck = re.sub(rf"(?im)^({transistor}\s.*?) m=\S+", rf"\1 m={counts[transistor]!r}", deck)
    return deck


def on_current(request: Characterisation) -> float:
    (wave,) = simulate(Job(request.decks[1], (Step("op", ("vbl dc 0.35", "vsl dc 0")),)))
    return float(wave["vsl#branch"][0])


def test_a_seed_is_one_cell_of_its_own_at_every_corner():
    slow = SPEC.replace(corner=Corner(process="ss"))
    requests = [
        Characterisation(SPEC, seed=1),
        Characterisation(slow, seed=1),
        Characterisation(SPEC, seed=2),
    ]
    assert requests[0].sample == requests[1].sample != requests[2].sample
    assert len({request.name for request in requests}) == len({request.key(NGSPICE) for request in requests}) == 3
    assert all(Characterisation.of(request.conditions).name == request.name for request in requests)


def test_another_sigma_makes_monte_carlo_tables_stale(monkeypatch):
    before, nominal = Characterisation(SPEC, seed=1).deck_hash, Characterisation(SPEC).deck_hash
    monkeypatch.setattr("spicekit.tables.spread.AVT", 2e-9)
    assert Characterisation(SPEC, seed=1).deck_hash != before
    assert Characterisation(SPEC).deck_hash == nominal
