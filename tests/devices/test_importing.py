"""Cards out of files as foundries and predictive kits hand them out."""

from pathlib import Path

import pytest

from spicekit.devices.cards import load_card
from spicekit.devices.importing import Compiled, import_card, import_device, read_models, value
from spicekit.devices.sheet import Geometry
from spicekit.errors import BadInput

FIN = Geometry(width=44e-9, length=22e-9)

KIT = """* two channel types, two bins, a spread, a computed value, a device in a subcircuit
.param base = 0.3 slope = 0.0
.lib TT
.param shift = 0
.endl TT
.lib ff
.param shift = '-0.05 * 2'
.endl
.lib ss
.param shift = {agauss(0.1, 0.01, 3)}
.endl ss
.subckt nfet d g s b
+ params: l = 1u w = 1u
m1 d g s b nch l={l} w={w}
.model nch.0 nmos level=54 version=4.5 $ a comment
+ vth0 = '(base+shift)*2 - 100m' u0={0.02+slope*sqrt(l*w)} lmin = 10n lmax = 50n wmin=1n wmax=1u
+ nobody=3
.model nch.1 nmos level=54 vth0=0.9 lmin=50n lmax=1u wmin=1n wmax=1u
.ends
.MODEL PCH PMOS ( LEVEL = 54, VTH0 = -0.4 )
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "kit.lib"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5u", 1.5e-6),
        ("2meg", 2e6),
        ("'1e-9*2'", 2e-9),
        ("{-x**2}", -9.0),
        ("max(x, 4) + 1k", 1004.0),
        ("3^2", 9.0),
        ("4.5", 4.5),
        ("4.8.2", 4.8),
    ],
)
def test_values_are_numbers_with_suffixes_and_arithmetic(text: str, expected: float) -> None:
    assert value(text, {"x": 3.0}) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "x.real",
        "[1]",
        "x if x else 1",
        "9**9**9**9",
        "y",
        "lambda: 1",
        "'",
        "1/0",
        "(" * 500,
    ],
)
def test_what_is_no_arithmetic_has_no_value(text: str) -> None:
    with pytest.raises(BadInput, match="has no value"):
        value(text, {"x": 3.0})


def test_sections_give_a_folder_with_three_corners(tmp_path: Path) -> None:
    target, cards = import_device(file(tmp_path, KIT), tmp_path / "mine", FIN, polarity="nmos")
    assert set(cards) == {"tt.sp", "ff.sp", "ss.sp"}
    assert cards["tt.sp"].dropped == {"nobody": ""}
    for speed, vth0 in (("tt", "0.5"), ("ff", "0.3"), ("ss", "0.7")):
        card = load_card(str(target), speed)  # type: ignore[arg-type]
        assert f"vth0={vth0} u0=0.02 " in card.text
        assert (card.width, card.length, card.polarity) == (44e-9, 22e-9, "nmos")


def test_a_bin_is_chosen_by_size_and_another_channel_by_name(tmp_path: Path) -> None:
    models = read_models(KIT, source="kit")
    assert "vth0=0.9" in import_card(models, Geometry(width=44e-9, length=60e-9), section="tt", name="nch").text
    assert import_card(models, FIN, section="tt", name="PCH").polarity == "pmos"
    with pytest.raises(BadInput, match=r"no models fit.*nch\.0 \(nmos, w 1e-09 to 1e-06 m, l 1e-08 to 5e-08 m\)"):
        import_card(models, Geometry(width=2e-6, length=22e-9), section="tt", name="nch")
    with pytest.raises(BadInput, match=r"2 models fit.*--polarity"):
        import_card(models, FIN, section="tt")
    with pytest.raises(BadInput, match=r"no section 'fs'; it has .*tt"):
        import_card(models, FIN, section="fs", name="nch")


def test_a_value_that_needs_what_is_not_there_says_so() -> None:
    models = read_models(".model n nmos level=54 vth0='base+x'\n", source="kit")
    with pytest.raises(BadInput, match=r"model n, vth0: .*'base' is not known"):
        import_card(models, FIN)


def test_a_sum_without_quotes_counts_whole() -> None:
    models = read_models(".param d=0.05\n.model n nmos (level=54, vth0 = 0.3 + d, u0=1 )\n", source="kit")
    assert "vth0=0.35 u0=1" in import_card(models, FIN).text


def test_what_is_no_parameter_is_refused_not_passed_over() -> None:
    with pytest.raises(BadInput, match=r"line 1: expected 'parameter = value', got 'oops'"):
        read_models(".model n nmos oops level=54 vth0=0.3\n", source="kit")


def test_a_misspelt_parameter_is_left_out_with_what_was_meant() -> None:
    models = read_models(".model n nmos level=54 toxe=1n vth00=0.3 toxee=2n\n", source="kit")
    assert import_card(models, FIN).dropped["vth00"] == " (did you mean 'vth0'?)"
    assert "'toxe'" not in import_card(models, FIN).dropped["toxee"]  # the card has it


@pytest.mark.parametrize("line", [".control", ".if (x==1)"])
def test_what_decides_or_executes_is_refused(line: str) -> None:
    with pytest.raises(BadInput, match="decides or executes"):
        read_models(f"{line}\n{KIT}", source="kit")


def test_included_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "other.lib").write_text(".model hidden nmos level=54\n")
    kit = file(tmp_path, f".include '{tmp_path}/other.lib'\n.lib 'other.lib' tt\n.model n nmos level=54\n")
    _, cards = import_device(kit, tmp_path / "mine", FIN)
    assert [card.model for card in cards.values()] == ["n"]


@pytest.mark.parametrize(("version", "parameter"), [("107", "devtype=1"), ("111.2", "type=1")])
def test_level_72_becomes_a_card_of_its_compiled_model(tmp_path: Path, version: str, parameter: str) -> None:
    kit = file(tmp_path, f".model nmos_sram nmos level = 72\n+version = {version} eot = 1e-009\n+l = 2.1e-008\n")
    target, _ = import_device(kit, tmp_path / "mine", FIN, compiled=Compiled("/models/cmg.osdi", "bsimcmg"))
    text = target.read_text()
    assert f".model nmos_sram bsimcmg (\n+ eot=1e-09 {parameter})" in text
    assert 'file = "/models/cmg.osdi"' in target.with_suffix(".toml").read_text()


def test_a_files_name_is_text_in_what_is_written(tmp_path: Path) -> None:
    kit = tmp_path / 'a "kit"\n.include x.lib'
    kit.write_text(".model n nmos level=54 vth0=0.3\n")
    target, _ = import_device(kit, tmp_path / "mine", FIN)
    assert load_card(str(target), "tt").model == "n"
