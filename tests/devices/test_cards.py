"""Cards: the shipped ones by name and corner, the user's own read without trust."""

from pathlib import Path

import pytest

from spicekit.devices.cards import Corner, card_from_text, load_card, load_sheet, shipped_devices
from spicekit.devices.measure import measure
from spicekit.errors import BadInput
from spicekit.evaluation.design import read_design

CARD = """* my own
.MODEL Mine NMOS ( LEVEL = 54  ; a comment
+ vth0=0.3 u0 = 0.02, toxe=1e-9 $ another
+ vsat=8E4 )
"""


def parsed(text: str) -> str:
    return card_from_text(text, load_sheet("nmos-rvt"), device="mine.sp").text


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's card with its sheet beside it."""
    (tmp_path / "mine.sp").write_text(CARD)
    (tmp_path / "mine.toml").write_text("[geometry]\nwidth = 1e-7\nlength = 2e-8\n")
    return tmp_path / "mine.sp"


def test_eight_flavours_are_shipped() -> None:
    assert shipped_devices() == tuple(
        f"{polarity}-{flavour}" for polarity in ("nmos", "pmos") for flavour in ("lvt", "rvt", "slvt", "sram")
    )


def test_crossed_corners_take_a_fast_and_a_slow_transistor() -> None:
    assert load_card("nmos-sram", "fs") == load_card("nmos-sram", "ff")
    assert load_card("pmos-sram", "fs") == load_card("pmos-sram", "ss")
    assert load_card("nmos-sram", "sf") == load_card("nmos-sram", "ss")
    assert load_card("pmos-sram", "sf") == load_card("pmos-sram", "ff")


def test_card_is_written_anew_from_what_was_read() -> None:
    assert parsed(CARD) == ".model mine nmos (\n+ level=54 vth0=0.3 u0=0.02 toxe=1e-9 vsat=8e4)\n"


def test_version_with_two_points_is_a_number() -> None:
    assert "version=4.8.2" in parsed(".model mine nmos level=14 version = 4.8.2")


def test_own_card_takes_its_geometry_from_the_sheet_beside_it(own: Path) -> None:
    card = load_card(str(own), "tt")
    assert (card.model, card.polarity, card.width, card.length) == ("mine", "nmos", 1e-7, 2e-8)


def test_own_copy_of_a_shipped_device_carries_the_same_current(tmp_path: Path) -> None:
    shipped = load_card("pmos-lvt", "tt")
    (tmp_path / "tt.sp").write_text(shipped.text)
    (tmp_path / "device.toml").write_text("[geometry]\nwidth = 70.5e-9\nlength = 21e-9\n")
    own = load_card(str(tmp_path), "tt")
    first, second = measure([shipped, own], Corner())
    assert first == second


@pytest.mark.parametrize(
    "line",
    [
        ".control",
        ".include /etc/passwd",
        ".lib corners.lib tt",
        ".param x=1",
        "shell touch owned",
        "r1 a b 1",
        ".model second nmos (level=54)",
        ".model third.1 nmos (level=54)",
    ],
)
def test_anything_but_one_model_is_refused(line: str) -> None:
    with pytest.raises(BadInput, match=r"mine\.sp"):
        parsed(CARD + line + "\n")


def test_commands_in_comments_do_not_reach_the_deck() -> None:
    assert "shell" not in parsed("*#shell touch owned\n" + CARD)


@pytest.mark.parametrize("value", ["{vt}", "'0.3+0.1'", "`id`", "vt", "0.3*2"])
def test_expressions_in_a_card_are_refused(value: str) -> None:
    with pytest.raises(BadInput, match="parameter = number"):
        parsed(f".model mine nmos (level=14 vth0={value})")


def test_level_that_ngspice_lacks_is_named_with_its_cure(own: Path) -> None:
    own.write_text(".model mine nmos (level=72 phig=4.4)\n")
    with pytest.raises(BadInput, match=r"level 72 \(BSIM-CMG\).*OSDI.*refit"):
        load_card(str(own), "tt")


def test_verilog_a_model_is_refused_with_its_cure() -> None:
    with pytest.raises(BadInput, match=r"bsimcmg_va.*OSDI.*BSIM4"):
        parsed(".model mine bsimcmg_va (type=1)")


def test_single_card_file_serves_the_typical_corner_only(own: Path) -> None:
    with pytest.raises(BadInput, match=r"tt\.sp, ff\.sp, ss\.sp"):
        load_card(str(own), "ff")


def test_own_card_without_geometry_is_refused(own: Path) -> None:
    own.with_suffix(".toml").unlink()
    with pytest.raises(BadInput, match=r"mine\.toml.*\[geometry\]"):
        load_card(str(own), "tt")


def test_unknown_device_is_answered_with_the_shipped_ones() -> None:
    with pytest.raises(BadInput, match="nmos-sram"):
        load_card("nmos-fast", "tt")


def test_huge_file_is_refused(own: Path) -> None:
    own.write_text("*" * 200_000)
    with pytest.raises(BadInput, match="longer than"):
        load_card(str(own), "tt")


@pytest.mark.parametrize("name", ["m", "mod", "nmos", "level"])
def test_an_own_card_may_be_called_anything(tmp_path: Path, name: str) -> None:
    shipped = load_card("nmos-rvt", "tt")
    (tmp_path / "mine.sp").write_text(shipped.text.replace(shipped.model, name))
    (tmp_path / "mine.toml").write_text("[geometry]\nwidth = 70.5e-9\nlength = 21e-9\n")
    first, second = measure([shipped, load_card(str(tmp_path / "mine.sp"), "tt")], Corner())
    assert first == second


BOTH = ".model nch nmos level=54 vth0=0.4\n.model pch pmos level=54\n+ vth0=-0.4\n"


def test_a_file_with_both_channel_types_gives_the_one_that_is_asked_for(own: Path) -> None:
    own.write_text(BOTH)
    assert load_card(str(own), "tt", "nmos").model == "nch"
    assert load_card(str(own), "tt", "pmos").model == "pch"
    with pytest.raises(BadInput, match=r"2 \.model statements: nch \(nmos\), pch \(pmos\).*devices import"):
        load_card(str(own), "tt")


def test_a_bin_is_named_with_its_cure(own: Path) -> None:
    own.write_text(".model nch.0 nmos level=54 vth0=0.4\n")
    with pytest.raises(BadInput, match=r"'nch\.0' is a bin.*devices import"):
        load_card(str(own), "tt")


@pytest.mark.parametrize(("name", "near"), [("vthh0", "vth0"), ("toxee", "toxe")])
def test_a_misspelt_parameter_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(BadInput, match=f"no model parameter '{name}'.*'{near}'"):
        parsed(f".model mine nmos (level=14 {name}=0.4)")


def test_a_path_in_a_spec_counts_from_the_specs_folder(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.write_text(BOTH)
    spec = own.parent / "spec.toml"
    spec.write_text('[wires]\nr_bl = 1.0\nr_sl = 1.0\n[device]\nnmos = "mine.sp"\n')
    monkeypatch.chdir("/")
    device = read_design(spec).tile.device
    assert load_card(device.nmos, "tt", "nmos").model == "nch"
    assert device.pmos == "pmos-sram"
