"""`spicekit netlist` as people call it."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.devices.cards import load_card
from spicekit.errors import BadInput

SPEC = """
[tile]
rows = 4
columns = 2
rows_active = 4
[wires]
r_bl = 3.2
r_sl = 3.2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    np.save("w.npy", rng.integers(0, 2, (4, 2), dtype=np.uint8))
    np.save("a.npy", np.array([[0, 0, 0, 0], [1, 1, 0, 1]], np.uint8))
    Path("tile.toml").write_text(SPEC)
    return tmp_path


TILE = ["tile", "--spec", "tile.toml", "--weights", "w.npy", "--inputs", "a.npy"]


def netlist(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["netlist", *words])
    if isinstance(result.exception, BadInput):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def test_a_tile_is_rendered_checked_run_and_shown(folder: Path) -> None:
    netlist(*TILE, "--vector", "1", "--expect", "exact", "--detail", "full", "-o", "deck.cir")
    assert "0 errors, 0 warnings" in netlist("check", "deck.cir")
    assert "PASS: 2 columns" in netlist("run", "deck.cir", "-o", "out")
    assert (folder / "out" / "currents.txt").is_file()
    assert "4 x 2 8t-sram" in netlist("show", "deck.cir")
    shown = json.loads(netlist("show", "deck.cir", "--json"))
    assert shown["header"]["spec"]["rows"] == 4
    assert sum(shown["instances"].values()) == 8
    whole = ["verify", "deck.cir", *TILE[1:]]
    assert "0 differences" in netlist(*whole, "--vector", "1")
    assert "vwl_0: dc 0.7  ->  dc 0" in netlist(*whole, "--vector", "0", status=1)


def test_walking_vectors_show_a_cell_that_its_own_vector_hides(folder: Path) -> None:
    netlist(*TILE, "--vector", "0", "--expect", "exact", "-o", "deck.cir")  # asserts no row
    walking = ["run", "deck.cir", "--vectors", "walking", "--weights", "w.npy"]
    assert "PASS: 0 of 20 currents are off" in netlist(*walking)
    weights = np.load("w.npy")
    weights[2, 1] ^= 1
    np.save("w.npy", weights)
    assert "PASS" in netlist("run", "deck.cir")
    assert "column 1" in netlist(*walking, status=1)
    assert "20" not in netlist("run", "deck.cir", "--vectors", "a.npy")
    with pytest.raises(BadInput, match=r"'walkin' is not one of walking, .* did you mean walking"):
        netlist("run", "deck.cir", "--vectors", "walkin")


def test_export_refuses_an_unknown_detail_before_the_network_runs(folder: Path, monkeypatch) -> None:
    def case(*arguments: object, **options: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr("spicekit.evaluation.vectors.network_case", case)
    export = ["export", "--network", "vgg-small", "--layer", "conv3", "--spec", "tile.toml", "-o", "out"]
    with pytest.raises(BadInput, match="magic"):
        netlist(*export, "--detail", "magic")


def test_a_deck_is_of_one_read_and_adds_up_to_what_the_tile_engine_gives(folder: Path) -> None:
    """A vector with ones in two reads of two rows: no deck without a pick, and the picked ones are the tile's reads."""
    Path("tile.toml").write_text(SPEC.replace("rows_active = 4", "rows_active = 2"))
    with pytest.raises(BadInput, match=r"vector 1 has ones in 2 reads of 2 rows .*--read"):
        netlist(*TILE, "--vector", "1", "-o", "deck.cir")
    assert not (folder / "deck.cir").exists()
    with pytest.raises(BadInput, match="pass 0 to 1"):
        netlist(*TILE, "--vector", "1", "--read", "2", "-o", "deck.cir")
    total = 0.0
    for read in ("0", "1"):
        netlist(*TILE, "--vector", "1", "--read", read, "--expect", "exact", "-o", "deck.cir")
        assert "PASS: 2 columns" in netlist("run", "deck.cir", "-o", read)
        assert "0 differences" in netlist("verify", "deck.cir", *TILE[1:], "--vector", "1", "--read", read)
        lines = (folder / read / "currents.txt").read_text().splitlines()[1:]
        total = total + np.array([float(line.split("=")[1]) for line in lines])
    tile = CliRunner().invoke(app, ["tile", *TILE[1:], "--engine", "exact", "--out", "currents.npz"])
    assert tile.exit_code == 0, tile.output
    np.testing.assert_allclose(total, np.load("currents.npz")["current"][1], rtol=2e-4)


def test_vectors_differ_in_their_word_lines_only(folder: Path) -> None:
    for vector in "01":
        netlist(*TILE, "--vector", vector, "-o", f"{vector}.cir")
    output = netlist("diff", "0.cir", "1.cir", status=1)
    assert [line.split(":")[0] for line in output.splitlines()[:-1]] == ["vwl_0", "vwl_1", "vwl_3"]
    assert "0 differences" in netlist("diff", "0.cir", "0.cir")


def test_check_fails_on_a_faulty_deck(folder: Path) -> None:
    netlist(*TILE, "-o", "deck.cir")
    faulty = (folder / "deck.cir").read_text().replace("b_1_0 3.2", "b_1_0 -3.2")
    (folder / "deck.cir").write_text(faulty)
    assert "is not positive" in netlist("check", "deck.cir")


def test_a_transient_leaves_waves(folder: Path) -> None:
    netlist(*TILE, "--vector", "1", "--transient", "2e-10", "-o", "deck.cir")
    netlist("run", "deck.cir", "-o", "out")
    waves = np.loadtxt(folder / "out" / "waves.txt", skiprows=1)
    assert waves.shape[1] == 3
    assert waves[-1, 0] == pytest.approx(2e-10)


def test_voltages_and_measurements_are_left_on_request(folder: Path) -> None:
    asked = ["--save", "xc_0_0.mid", "--save", "b_0_0", "-o", "deck.cir"]
    netlist(*TILE, "--vector", "1", *asked)
    assert "0 errors, 0 warnings" in netlist("check", "deck.cir")
    netlist("run", "deck.cir", "-o", "out")
    lines = (folder / "out" / "voltages.txt").read_text().splitlines()
    assert [line.split(" = ")[0] for line in lines] == ["v(xc_0_0.mid)", "v(b_0_0)"]
    assert "0 differences" in netlist("verify", "deck.cir", *TILE[1:], "--vector", "1")
    netlist(*TILE, "--vector", "1", "--transient", "2e-10", "--measure", "t1 when v(wl_0)=0.35 rise=1", *asked)
    output = netlist("run", "deck.cir", "-o", "out")
    assert 1e-11 < float(output.split("t1")[1].split()[1]) < 1e-10
    assert "points of 2 columns" in output.splitlines()[-1]
    assert np.loadtxt(folder / "out" / "waves.txt", skiprows=1).shape[1] == 5
    assert "0 differences" in netlist("verify", "deck.cir", *TILE[1:], "--vector", "1")


@pytest.mark.parametrize("more", [["--save", "b;shell"], ["--measure", "t1 when v(a)=1"]])
def test_outputs_that_are_none_are_refused(folder: Path, more: list[str]) -> None:
    with pytest.raises(BadInput, match=r"name of a node|of a transient"):
        netlist(*TILE, *more, "-o", "deck.cir")


def test_a_vector_that_is_not_there_is_refused_and_nothing_is_written(folder: Path) -> None:
    with pytest.raises(BadInput, match="hold no vector 2"):
        netlist(*TILE, "--vector", "2", "-o", "deck.cir")
    assert not (folder / "deck.cir").exists()


def test_a_tolerance_is_of_an_engine_to_agree_with(folder: Path) -> None:
    with pytest.raises(BadInput, match="--tolerance 1e-09 needs --expect"):
        netlist(*TILE, "--tolerance", "1e-9", "-o", "deck.cir")
    assert not (folder / "deck.cir").exists()


def test_pickled_arrays_are_not_opened(folder: Path) -> None:
    np.save("w.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(BadInput, match=r"w\.npy"):
        netlist(*TILE, "-o", "deck.cir")


def test_a_cell_is_rendered(folder: Path) -> None:
    netlist("cell", "--spec", "tile.toml", "--weight", "0", "-o", "cell.cir")
    assert "0 errors, 0 warnings" in netlist("check", "cell.cir")
    assert "i(vsl) = " in netlist("run", "cell.cir")


@pytest.mark.parametrize("verb", ["show", "diff"])
def test_what_is_no_deck_is_neither_summed_up_nor_compared(folder: Path, verb: str) -> None:
    (folder / "notes.txt").write_text("title\nsome notes of mine\n.end\n")
    with pytest.raises(BadInput, match="line 2"):
        netlist(verb, *["notes.txt"] * (2 if verb == "diff" else 1))


def test_a_transient_of_negative_length_is_refused(folder: Path) -> None:
    netlist(*TILE, "--transient", "-1", "-o", "deck.cir", status=2)
    assert not (folder / "deck.cir").exists()


@pytest.mark.parametrize(("nmos", "complaint"), [("pmos-sram", "card of pmos"), ("double.sp", "two models")])
def test_a_card_that_would_take_the_place_of_another_is_refused(folder: Path, nmos: str, complaint: str) -> None:
    """Either would give a deck that runs, with currents of another transistor."""
    text = load_card("nmos-sram", "tt").text.replace("nmos_sram_tt", "pmos_sram_tt")
    (folder / "double.sp").write_text(text)
    (folder / "double.toml").write_text("[geometry]\nwidth = 7e-8\nlength = 2e-8\n")
    (folder / "tile.toml").write_text(f"{SPEC}[device]\nnmos = '{nmos}'\n")
    with pytest.raises(BadInput, match=complaint):
        netlist(*TILE, "--detail", "full", "-o", "deck.cir")


def test_a_tile_in_another_dialect_is_verified(folder: Path) -> None:
    netlist(*TILE, "--vector", "1", "--dialect", "spectre", "--expect", "exact", "-o", "deck.scs")
    whole = ["verify", "deck.scs", *TILE[1:], "--vector"]
    assert "0 differences" in netlist(*whole, "1")
    assert "vwl_0" in netlist(*whole, "0", status=1)


def test_results_are_printed_for_programs(folder: Path) -> None:
    netlist(*TILE, "--vector", "1", "--expect", "exact", "-o", "deck.cir")
    asked = [*TILE[1:], "--vector", "1"]
    assert json.loads(netlist("check", "deck.cir", "--json")) == {"findings": []}
    ran = json.loads(netlist("run", "deck.cir", "--json"))
    assert (ran["status"], ran["failed"], ran["files"]) == (0, False, ["currents.txt"])
    assert "PASS" in ran["lines"][-1]
    walked = json.loads(netlist("run", "deck.cir", "--vectors", "walking", "--weights", "w.npy", "--json"))
    assert (np.shape(walked["current"]), walked["off"]) == ((10, 2), 0)
    assert json.loads(netlist("verify", "deck.cir", *asked, "--json")) == {"differences": []}
    changed = Path("deck.cir").read_text().replace("Rbl_1_0 b_1_0 b_2_0 3.2", "Rbl_1_0 b_1_0 b_2_0 4")
    Path("other.cir").write_text(changed)
    (found,) = json.loads(netlist("diff", "deck.cir", "other.cir", "--json", status=1))["differences"]
    assert found == {"where": "rbl_1_0 r", "first": "3.2", "second": "4"}
    assert json.loads(netlist("verify", "other.cir", *asked, "--json", status=1))["differences"]
