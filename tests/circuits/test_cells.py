"""Cells as data: one's own in every deck, table and engine; what a cell may not be."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.cells import load_cell, shipped_cells
from spicekit.circuits.render import cell_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.check import check
from spicekit.decks.source import parse_deck
from spicekit.engines.cell_currents import lsb
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.errors import BadInput
from spicekit.evaluation.design import read_design
from spicekit.files import shipped_folder
from spicekit.spice.simulator import Failure, Job, Step, simulate
from spicekit.tables.characterise import Characterisation, Sweep, characterise

WIRES = Wires(r_bl=3.2, r_sl=3.2, r_row=3.2, r_col=3.2)
SHEET = """title = "two in series"
subcircuit = "pair"
width = 1e-7
height = 1e-7
mismatch = ["access"]
[ports]
bl = "drive"
wl = "select"
sl = "sense"
q = "state"
"""
PAIR = """* a read port of one's own
.subckt pair bl wl sl q
Maccess bl wl mid 0 nmos fins={fins}
Mstorage mid q sl 0 nmos fins=3
.ends pair
"""


def own(folder: Path, sheet: str = SHEET, text: str = PAIR) -> Path:
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "cell.sp").write_text(text)
    (folder / "mine" / "cell.toml").write_text(sheet)
    return folder / "mine" / "cell.toml"


def swept(spec: TileSpec) -> Sweep | Failure:
    ((_, found),) = characterise([Characterisation(spec)], workers=1)
    return found


def test_four_cells_ship() -> None:
    assert shipped_cells() == ("10t-sram", "1t1mtj", "1t1r", "8t-sram")


@pytest.mark.parametrize("cell", ["10t-sram", "1t1mtj", "own"])
def test_a_cell_of_ones_own_agrees_with_ngspice_on_whole_tiles(cell: str, tmp_path: Path) -> None:
    """A table swept in ngspice, the exact engine on it, and the tile's deck, which passes the rule check."""
    name = str(own(tmp_path)) if cell == "own" else cell
    spec = TileSpec(cell=name, rows=8, columns=4, rows_active=8, wires=WIRES)
    found = swept(spec)
    assert isinstance(found, Sweep), found
    table, rng = found.table(), np.random.default_rng(1)
    weights = rng.integers(0, 2, (8, 4), dtype=np.uint8)
    inputs = rng.integers(0, 2, 8, dtype=np.uint8)
    inputs[0] = 1
    deck = tile_deck(spec, weights, inputs, batch=False)
    assert [finding for finding in check(parse_deck(deck)) if finding.severity == "error"] == []
    (wave,) = simulate(Job(deck, (Step("op"),)))
    spice = np.array([wave[f"vsense_{j}#branch"][0] for j in range(4)])
    exact = solve(Crossbar(spec, table, weights), inputs[None]).current[0]
    assert exact == pytest.approx(spice, abs=0.001 * lsb(spec, table))


def test_a_spec_names_a_cell_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = own(tmp_path)
    spec = tmp_path / "spec.toml"
    spec.write_text('[wires]\nr_bl = 1.0\nr_sl = 1.0\n[cell]\nfile = "mine/cell.toml"\n')
    monkeypatch.chdir("/")
    assert read_design(spec).tile.cell == str(sheet)
    spec.write_text('[tile]\ncell = "1t1r"\n' + spec.read_text())
    with pytest.raises(BadInput, match="gives a cell twice"):
        read_design(spec)
    with pytest.raises(BadInput, match=r"expected \[cell\] file"):
        TileSpec.from_tables({"cell": {"name": "x"}, "wires": {"r_bl": 1.0, "r_sl": 1.0}}, source="spec")


def test_transistors_of_a_cell_have_the_fins_that_it_says(tmp_path: Path) -> None:
    spec = TileSpec(cell=str(own(tmp_path)), wires=WIRES)
    lines = cell_deck(spec, weight=1).splitlines()
    assert [line.split("m=")[1] for line in lines if line.startswith(("Maccess", "Mstorage"))] == ["2", "3"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (".control", "is a command"),
        (".include other.sp", "is a command"),
        (".model nmos nmos level=14", "is a command"),
        ("Vdd vdd 0 0.7", "none of the elements"),
        ("Aread bl mid model", "none of the elements"),
        ("Mthird mid q sl 0 nmos l=1u w=1u", "expected 'M"),
        ("Mthird mid q sl 0 mine fins=2", "expected 'M"),
        ("R1 bl mid {value}", "stands for nothing"),
        ("R1 bl mid 1k ; remark", "comment"),
    ],
)
def test_a_subcircuit_may_hold_plain_elements_only(line: str, fault: str, tmp_path: Path) -> None:
    path = own(tmp_path, text=PAIR.replace(".ends", f"{line}\n.ends"))
    with pytest.raises(BadInput, match=fault):
        load_cell(str(path))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PAIR + "Rx bl sl 1e6\n", "line 6: 'Rx bl sl 1e6' stands outside"),
        (PAIR + ".nodeset v(bl)=1\n", "stands outside"),
        (PAIR.replace(".ends pair\n", ""), "ends inside a subcircuit"),
    ],
)
def test_nothing_of_a_cell_stands_outside_of_its_subcircuits(text: str, fault: str, tmp_path: Path) -> None:
    """A deck of one cell would take it, and a tile's with other nodes."""
    with pytest.raises(BadInput, match=fault):
        load_cell(str(own(tmp_path, text=text)))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('q = "state"', 'q = "state"\nr = "state"'), "holds one bit of two states"),
        (('q = "state"', 'q = "ground"'), "nothing expresses the stored bit"),
        (('sl = "sense"', 'sl = "ground"'), "one port must be 'sense'"),
        (('"access"', '"third"'), r"mismatch names \['third'\]"),
        (('wl = "select"\nsl = "sense"', 'sl = "sense"\nwl = "select"'), "ports of the sheet in their order"),
        (("pair", "other"), "must hold '.subckt other"),
        (("width = 1e-7", "width = 1e-7\nthickness = 1"), "thickness"),
    ],
)
def test_a_sheet_that_is_no_cell_is_refused(change: tuple[str, str], fault: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=fault):
        load_cell(str(own(tmp_path, sheet=SHEET.replace(*change))))


def test_a_cell_whose_current_goes_elsewhere_is_refused_with_the_amount(tmp_path: Path) -> None:
    found = swept(TileSpec(cell=str(own(tmp_path, text=PAIR.replace(".ends", "Rleak mid 0 1e6\n.ends"))), wires=WIRES))
    assert isinstance(found, Failure)
    assert "enter at the bit line and do not leave at the source line" in found.reason


def test_a_cell_that_stores_its_bit_the_other_way_round_is_refused(tmp_path: Path) -> None:
    shutil.copytree(shipped_folder("cells") / "1t1mtj", tmp_path / "mine")
    sheet = tmp_path / "mine" / "cell.toml"
    sheet.write_text(sheet.read_text().replace("tmr = [1.2, 0.0]", "tmr = [0.0, 1.2]"))
    found = swept(TileSpec(cell=str(sheet), wires=WIRES))
    assert isinstance(found, Failure)
    assert "the former must be the larger" in found.reason


def test_an_edited_cell_is_read_anew(tmp_path: Path) -> None:
    path = own(tmp_path)
    before = Characterisation(TileSpec(cell=str(path), wires=WIRES)).deck_hash
    own(tmp_path, text=PAIR.replace("fins=3", "fins=4"))
    assert Characterisation(TileSpec(cell=str(path), wires=WIRES)).deck_hash != before


def test_bit_line_drive_is_for_cells_that_say_so(tmp_path: Path) -> None:
    TileSpec(cell="1t1mtj", drive="bitline", wires=WIRES)
    with pytest.raises(ValueError, match="bitline = true"):
        TileSpec(cell="10t-sram", drive="bitline", wires=WIRES)
    with pytest.raises(ValueError, match="neither a shipped cell"):
        TileSpec(cell=str(tmp_path / "none.toml"), wires=WIRES)
