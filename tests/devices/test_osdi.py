"""Cards in compiled Verilog-A: what decks say of them, and, where ngspice loads them, that they carry their currents.

To run all of it against an ngspice configured with --enable-osdi, put its program on PATH and its library on
LD_LIBRARY_PATH.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.render import cell_deck, core_deck, tile_deck
from spicekit.circuits.spec import Device, TileSpec, Wires
from spicekit.decks.check import check
from spicekit.decks.run import column_currents, run_deck
from spicekit.decks.source import parse_deck
from spicekit.devices.cards import Corner, load_card, load_lines
from spicekit.devices.measure import families, gate_capacitances
from spicekit.engines import spice
from spicekit.errors import BadInput, MissingTool
from spicekit.spice.simulator import Job, Step, simulate, simulate_all, supports_osdi
from spicekit.tables.characterise import Characterisation, characterise
from spicekit.tables.spread import read_spread

K, VTH, PHI, CG = 2e-6, 0.25, 0.026, 3e-17  # A, V, V, F: of one fin
SHEET = """polarity = "{polarity}"
[geometry]
width = 7e-8
length = 2e-8
[osdi]
file = "testfin.osdi"
threshold = "delvtrand"
current = "m"
"""
CARD = ".model {polarity}_fin testfin (type={type} k=2e-6 vth=0.25 phi=0.026 cg=3e-17)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cards with their sheets, and a file that stands for their library."""
    for polarity, kind in (("nmos", 1), ("pmos", -1)):
        (tmp_path / f"{polarity}.sp").write_text(CARD.format(polarity=polarity, type=kind))
        (tmp_path / f"{polarity}.toml").write_text(SHEET.format(polarity=polarity))
    (tmp_path / "testfin.osdi").write_bytes(b"no code at all")
    return tmp_path


@pytest.fixture
def spec(folder: Path) -> TileSpec:
    device = Device(nmos=str(folder / "nmos.sp"), pmos=str(folder / "pmos.sp"), fins=2)
    return TileSpec(rows=3, columns=2, rows_active=3, wires=Wires(r_bl=3.2, r_sl=3.2), device=device)


@pytest.fixture
def fin(folder: Path) -> Path:
    """The same, with the library compiled; skips where that or ngspice's OSDI is missing."""
    compiler = shutil.which("cc")
    if compiler is None or not supports_osdi():
        pytest.skip("needs a C compiler and an ngspice with OSDI")
    source = Path(__file__).with_name("osdi_fin.c")
    target = folder / "testfin.osdi"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", target, source, "-lm"], check=True)
    return folder


WEIGHTS = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)
INPUTS = np.array([1, 0, 1], np.uint8)


def law(gate: float, drain: float) -> float:
    """Drain current of one fin with its source at 0 V."""
    source_end, drain_end = (np.log1p(np.exp((gate - VTH - v) / (2 * PHI))) for v in (0.0, drain))
    return float(K * (source_end**2 - drain_end**2))


def test_an_ngspice_without_osdi_is_named_with_its_cure(spec: TileSpec) -> None:
    if supports_osdi():
        pytest.skip("this ngspice has OSDI")
    for run in (lambda job: list(simulate_all([job])), simulate):
        with pytest.raises(MissingTool, match=r"testfin\.osdi.*OSDI.*--enable-osdi.*vacask.*BSIM4"):
            run(Job(cell_deck(spec, weight=1), (Step("op"),)))


def test_a_library_is_never_guessed(folder: Path) -> None:
    sheet = folder / "nmos.toml"
    sheet.write_text(sheet.read_text().partition("[osdi]")[0])
    with pytest.raises(BadInput, match=r"testfin.*\[osdi\] file"):
        load_card(str(folder / "nmos.sp"), "tt")


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("nmos.toml", "testfin.osdi", "missing.osdi", r"missing\.osdi: cannot be read"),
        ("nmos.toml", "testfin.osdi", "test fin.osdi", "no such path"),
        ("nmos.toml", "testfin.osdi", "a.osdi\\nquit", "no such path"),
        ("nmos.toml", "delvtrand", "delvtrand]=0", "threshold"),
        ("nmos.toml", 'polarity = "nmos"', "", "add polarity"),
        ("nmos.sp", "testfin", "nmos", "built into ngspice"),
    ],
)
def test_a_sheet_that_does_not_fit_its_card_is_refused(
    folder: Path, file: str, old: str, new: str, complaint: str
) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BadInput, match=complaint):
        load_card(str(folder / "nmos.sp"), "tt")


def test_decks_load_the_library_and_instantiate_by_fins(folder: Path, spec: TileSpec) -> None:
    deck = tile_deck(spec, WEIGHTS, INPUTS, detail="full")
    path = folder / "testfin.osdi"
    assert deck.count(f"pre_osdi {path}\n") == 1
    assert "Naccess rbl rwl mid 0 nmos_fin l=2e-08 nfin=2\n" in deck
    assert "Nup q qb vdd vdd pmos_fin l=2e-08 nfin=1\n" in deck
    assert not [line for line in deck.splitlines() if line.startswith("M")]


def test_a_deck_with_the_library_is_clean(fin: Path, spec: TileSpec) -> None:
    deck = tile_deck(spec, WEIGHTS, INPUTS, detail="full")
    assert check(parse_deck(deck), compiled=[fin / "testfin.osdi"]) == ()


def test_a_deck_loads_native_code_only_if_the_user_names_it(spec: TileSpec) -> None:
    deck = parse_deck(tile_deck(spec, WEIGHTS, INPUTS))
    with pytest.raises(BadInput, match=r"native code.*--osdi"):
        run_deck(deck)
    with pytest.raises(BadInput, match=r"native code.*--osdi"):
        run_deck(deck, compiled=[Path("/other/testfin.osdi")])
    assert [found.rule for found in check(deck) if found.severity == "refused"] == ["command"]


def test_tables_depend_on_the_compiled_model(folder: Path, spec: TileSpec) -> None:
    before = Characterisation(spec).deck_hash
    (folder / "testfin.osdi").write_bytes(b"another")
    assert Characterisation(spec).deck_hash != before


def test_currents_are_those_of_the_model(fin: Path) -> None:
    card = load_card(str(fin / "nmos.sp"), "tt")
    lines = ["* one fin", ".options reltol=1e-6 gmin=1e-18", *load_lines([card]), card.text]
    lines += ["vd d 0 0.7", "vg g 0 0", f"n1 d g 0 0 {card.instance(1)}", ".end", ""]
    (wave,) = simulate(Job("\n".join(lines), (Step("dc vg 0 0.7 0.05"),)))
    np.testing.assert_allclose(-wave["vd#branch"], [law(v, 0.7) for v in 0.05 * np.arange(15)], rtol=1e-6)


def test_figures_of_merit_are_taken_from_the_model(fin: Path) -> None:
    card, loose = load_card(str(fin / "nmos.sp"), "tt"), 2e-3  # ngspice's default reltol, twice
    (((gate, transferred), (drain, output)),) = families([card], Corner(), v_gates=(0.5,))
    np.testing.assert_allclose(transferred, [law(v, 0.7) for v in gate], rtol=loose)
    np.testing.assert_allclose(output[1:], [law(0.5, v) for v in drain[1:]], rtol=loose)
    assert gate_capacitances([card]) == pytest.approx([2 * CG], rel=1e-3)


def test_both_polarities_mirror_each_other(fin: Path) -> None:
    cards = [load_card(str(fin / f"{kind}.sp"), "tt") for kind in ("nmos", "pmos")]
    np.testing.assert_allclose(*(own[0][1] for own in families(cards, Corner())), rtol=1e-6)


def test_fins_multiply_the_current(fin: Path, spec: TileSpec) -> None:
    currents = [
        simulate(Job(cell_deck(spec.replace(device=spec.device.replace(fins=n)), weight=1), (Step("op"),)))[0][
            "vsl#branch"
        ][0]
        for n in (1, 3)
    ]
    assert currents[1] == pytest.approx(3 * currents[0], rel=1e-6)


@pytest.mark.parametrize("detail", ["read-port", "full"])
def test_a_deck_runs_by_itself_with_the_currents_of_the_simulator(fin: Path, spec: TileSpec, detail: str) -> None:
    deck = parse_deck(tile_deck(spec, WEIGHTS, INPUTS, detail=detail))
    run = run_deck(deck, compiled=[fin / "testfin.osdi"])
    assert run.status == 0, run.output
    np.testing.assert_allclose(column_currents(run), spice.solve(spec, WEIGHTS, INPUTS[None])[0], rtol=1e-6)


def test_a_sweep_becomes_a_table(fin: Path, spec: TileSpec) -> None:
    ((_, sweep),) = characterise([Characterisation(spec)])
    table = sweep.table()
    assert table.current[1, 1].max() > 1e3 * table.current[0, 1].max()


def test_a_core_of_compiled_models_inverts(fin: Path, spec: TileSpec) -> None:
    (wave,) = simulate(Job(core_deck(spec), (Step("dc vin 0 0.7 0.35"),)))
    assert wave["q"][0] > 0.69
    assert wave["q"][-1] < 0.01


def test_mismatch_moves_compiled_models_through_the_named_parameters(fin: Path, spec: TileSpec) -> None:
    cells = read_spread(spec, 40, weight=1, rng=np.random.default_rng(0))
    assert 0.005 < cells.relative < 0.5
