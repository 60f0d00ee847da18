"""The rule check is silent on good decks and finds each fault that is planted in one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicekit.circuits.render import Detail, Transient, cell_deck, core_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.check import check
from spicekit.decks.source import parse_deck, read_deck

WIRES = Wires(r_bl=3.2, r_sl=3.2, r_row=3.2, r_col=3.2)
TILE = TileSpec(rows=4, columns=3, rows_active=4, wires=WIRES)
WEIGHTS = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]], np.uint8)
GOOD = tile_deck(TILE, WEIGHTS, np.array([1, 0, 1, 1], np.uint8))

# What is planted: rule that must find it, text of the good deck, text put in its place.
PLANTED = {
    "floating node": ("floating-node", "\nVread", "\nC1 pad 0 1e-15\nC2 pad q_hi 1e-15\nVread"),
    "floating gate": ("floating-node", "Vwl_2 wl_2 0 dc 0.7", "Vwl_2 wl2 0 dc 0.7"),
    "single connection": ("single-connection", "Rbl_2_0 b_2_0 b_3_0 3.2", "Rbl_2_0 b_2_0 b_x 3.2"),
    "port used by nothing": (
        "single-connection",
        "Mstorage mid q rsl 0",
        "Mstorage mid rwl rsl 0",
    ),
    "undefined subcircuit": ("undefined-subcircuit", "q_hi read_port", "q_hi reed_port"),
    "undefined model": ("undefined-model", "Maccess rbl rwl mid 0 nmos", "Maccess rbl rwl mid 0 pmos"),
    "duplicate element": ("ngspice", "Rbl_1_0 ", "Rbl_0_0 "),
    "duplicate element in other case": ("ngspice", "Rbl_1_0 ", "RBL_0_0 "),
    "duplicate subcircuit": ("duplicate-name", "\nVread", "\n.subckt read_port a\n.ends\nVread"),
    "duplicate port": ("duplicate-name", "rbl rwl rsl q\n", "rbl rwl rsl rsl q\n"),
    "missing port": ("port-count", "Xc_0_0 b_0_0 wl_0", "Xc_0_0 b_0_0"),
    "missing bulk": ("ngspice", "Maccess rbl rwl mid 0", "Maccess rbl rwl mid"),
    "zero resistance": ("value", "Rbl_0_0 b_0_0 b_1_0 3.2", "Rbl_0_0 b_0_0 b_1_0 0"),
    "negative resistance": ("value", "Rbl_0_0 b_0_0 b_1_0 3.2", "Rbl_0_0 b_0_0 b_1_0 -3.2"),
    "zero width": ("value", "w=7.05e-08", "w=0"),
    "length in nanometres": ("value", "l=2.1e-08", "l=21"),
    "mega that is milli": ("suffix", "Rbl_0_0 b_0_0 b_1_0 3.2", "Rbl_0_0 b_0_0 b_1_0 1M"),
    "farad that is femto": ("suffix", "Rsink_1 out_1", "Cpad out_1 0 1F\nRsink_1 out_1"),
    "unknown suffix": ("suffix", "Rbl_0_0 b_0_0 b_1_0 3.2", "Rbl_0_0 b_0_0 b_1_0 3.2x"),
    "parameter unknown to the level": ("ngspice", "tnom=25", "hfin=32e-9 tnom=25"),
    "parameter unknown to the instance": ("ngspice", "w=7.05e-08", "nfin=2 w=7.05e-08"),
    "parameter unknown to the subcircuit": ("unknown-parameter", "q_hi read_port", "q_hi read_port gap=1n"),
    "level that is not known": ("ngspice", "level=14", "level=72"),
    "two sources on one node": ("supply-short", "Vhi q_hi 0 dc 0.7", "Vhi q_hi 0 dc 0.7\nVhi2 q_hi 0 dc 0.6"),
    "supplies tied by a source": ("supply-short", "Vlo q_lo 0", "Vtie q_lo q_hi dc 0\nVlo q_lo 0"),
    "supplies tied by a small resistor": ("supply-short", "Vlo q_lo 0", "Rtie vread q_hi 1e-3\nVlo q_lo 0"),
    "supplies tied inside a subcircuit": (
        "supply-short",
        "Vlo q_lo 0",
        ".subckt tie a b\nVtie a b dc 0\n.ends\nXtie q_lo q_hi tie\nVlo q_lo 0",
    ),
    "subcircuit in itself": ("recursion", "Mstorage", "Xself rbl rwl rsl q read_port\nMstorage"),
    "shell command": ("command", "\nop\n", "\nshell touch /tmp/x\nop\n"),
    "command in backquotes": ("command", "\nop\n", "\necho `touch x`\nop\n"),
    "command in a comment": ("command", "\nVread", "\n*#shell touch x\nVread"),
    "command behind .end": ("command", "\n.end\n", "\n.end\n.control\nshell touch x\n.endc\n"),
    "file elsewhere": ("command", "> currents.txt", "> /tmp/currents.txt"),
    "file one folder up": ("command", "> currents.txt", "> ../currents.txt"),
    "hidden file": ("command", "> currents.txt", "> .spiceinit"),
    "redirected let": ("command", "\nop\n", "\nlet x = 1 > /tmp/x\nop\n"),
    "variable that is a program": ("command", "set numdgt=12", "set editor=vi"),
    "title that includes a file": ("title", "* 4 x 3 tile", ".include /etc/passwd"),
    "form feed that hides the end of a section": ("syntax", "\nop\n", "\nop\n\f.endc\ncodemodel a b\n"),
    "space that is none": ("syntax", "\nVread", "\n\xa0.control\nVread"),
    "included file": ("include", "\nVread", "\n.include /etc/passwd\nVread"),
    "unknown dot line": ("statement", "\nVread", "\n.shady x\nVread"),
    "unknown device": ("ngspice", "\nVread", "\nAcode a b filesource\nVread"),
    "unclosed subcircuit": ("syntax", ".ends read_port", ""),
    "stray .ends": ("syntax", "\nVread", "\n.ends\nVread"),
    "unbalanced bracket": ("ngspice", "w=7.05e-08", "w={7.05e-08"),
    "text behind .end": ("single-connection", "\n.end\n", "\n.end\nR9 a b 1\n"),
    "unclosed control section": ("syntax", ".endc", ""),
}  # fmt: skip


def findings(text: str) -> list[str]:
    """All but that a deck without a `.control` section runs nothing."""
    return [f"{found.rule}: {found.message}" for found in check(parse_deck(text)) if found.rule != "analysis"]


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_fault_is_found(fault: str) -> None:
    rule, good, bad = PLANTED[fault]
    assert good in GOOD
    found = check(parse_deck(GOOD.replace(good, bad, 1)))
    assert rule in {finding.rule for finding in found}


@pytest.mark.parametrize(("cell", "drive"), [("8t-sram", "wordline"), ("1t1r", "wordline"), ("1t1r", "bitline")])
@pytest.mark.parametrize("end", ["far", "near"])
@pytest.mark.parametrize("ohm", [0.0, 3.2])
@pytest.mark.parametrize("size", [(1, 1), (4, 3)])
def test_rendered_tiles_are_clean(cell: str, drive: str, end: str, ohm: float, size: tuple[int, int]) -> None:
    wires = Wires(r_driver=ohm, r_sink=ohm, r_bl=ohm, r_sl=ohm, r_row=ohm, r_col=ohm)
    rows, columns = size
    spec = TileSpec(rows=rows, columns=columns, rows_active=rows, cell=cell, drive=drive, sense_end=end, wires=wires)
    if size != (1, 1):
        assert not findings(tile_deck(spec, WEIGHTS, np.array([1, 0, 1, 1], np.uint8)))
        return
    for weight, activation in itertools.product((0, 1), repeat=2):
        bits = np.full((2, 1), [[weight], [activation]], np.uint8)
        assert not findings(tile_deck(spec, bits[:1], bits[1]))


@pytest.mark.parametrize("spec", [TILE, TILE.replace(cell="1t1r"), TILE.replace(cell="1t1r", drive="bitline")])
@pytest.mark.parametrize("detail", ["read-port", "full"])
@pytest.mark.parametrize("transient", [None, Transient(stop=1e-9, row_cells=8)])
def test_every_variant_is_clean(spec: TileSpec, detail: Detail, transient: Transient | None) -> None:
    inputs = np.array([1, 0, 1, 1], np.uint8)
    assert not findings(tile_deck(spec, WEIGHTS, inputs, detail=detail, transient=transient))


def test_the_opened_core_is_clean() -> None:
    assert not findings(core_deck(TILE))


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_rendered_cells_are_clean(cell: str) -> None:
    assert not findings(cell_deck(TILE.replace(cell=cell), weight=1))


def test_a_message_says_where() -> None:
    (found,) = check(parse_deck(GOOD.replace("Rbl_1_0 ", "Rbl_0_0 ", 1)))
    line = next(n for n, text in enumerate(GOOD.splitlines(), 1) if text.startswith("Rbl_1_0"))
    assert found.line == line
    assert "Rbl_0_0" in found.message


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_text_is_checked_without_failing(data: st.DataObject) -> None:
    lines = GOOD.splitlines()
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(lines) - 1))
        noise = data.draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=6))
        cut = data.draw(st.integers(0, len(lines[at])))
        lines[at] = data.draw(st.sampled_from([lines[at][:cut], lines[at][:cut] + noise + lines[at][cut:], noise]))
    check(parse_deck("\n".join(lines)))


def test_deeply_nested_text_is_refused_not_fatal() -> None:
    nested = "".join(f".subckt s{n} a\n" for n in range(2000))  # twice as deep as Python recurses
    assert any("do not match" in message for message in findings(f"title\n{nested}.end\n"))


def test_a_chain_of_subcircuits_longer_than_ngspice_follows_is_told() -> None:
    chain = "".join(f".subckt s{n + 1} a\nX1 a s{n}\n.ends\n" for n in range(3000))
    text = f"title\n.subckt s0 a\nR1 a 0 1\n.ends\n{chain}V1 in 0 1\nXtop in s3000\n.end\n"
    (message,) = findings(text)
    assert "deeper than ngspice follows" in message


CIRCUIT = "t\n{}V1 1 0 1\nR1 1 0 {{r}}\n.op\n.end\n"
ONE = ".subckt one a b\n.param r=1k\nR1 a b {r}\n.ends "


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (".param r=1k\n.param R=2k\n", "duplicate-name: parameter r is given twice; ngspice takes the last value"),
        (".param r=1k r=2k\n", "duplicate-name: parameter r is given twice"),
        (".param r=1k\n" + ONE.replace("1k", "1k r=3k") + "\nX1 1 0 one\n", "duplicate-name: parameter r is given"),
        (".param r=1k\n" + ONE + "two\nX1 1 0 one\n", "syntax: ends one; ngspice ignores the name: .ends two"),
        (".param r=1k\n" + ONE + "ONE\nX1 1 0 one\n", ""),  # each in its place
        (".if (1)\n.param r=1k\n.else\n.param r=2k\n.endif\n", ""),
        (".param r=1k s='r == 1k ? r : 2'\n", ""),
    ],
)  # fmt: skip
def test_values_given_twice_and_wrong_ends_are_found_where_ngspice_says_nothing(lines: str, said: str) -> None:
    found = findings(CIRCUIT.format(lines))
    assert (len(found) == 1 and found[0].startswith(said)) if said else not found


@pytest.mark.parametrize(
    ("pulse", "is_whole"),
    [
        ("pulse(0 1 0 1n 1n 10n 5n)", False),
        ("dc 0 PULSE 0 {v} 0 1n 1n 10n 11.9n", False),
        ("pulse(0 1 0 1n 1n 10n 12n)", True),
        ("pulse(0 1 0 1n 1n 10n)", True),
        ("pulse(0 1 5n)", True),
    ],
)
def test_a_pulse_that_begins_again_before_it_ends_is_found(pulse: str, is_whole: bool) -> None:
    deck = f"t\n.param v=1\n.subckt s a\nV1 a 0 {pulse}\n.ends\nX1 1 s\nX2 2 s\nR1 1 2 1k\n.tran 1n 9n\n.end\n"
    found = [text for text in findings(deck) if "no full pulse" in text]
    assert len(found) == (not is_whole)  # once, though two instances have it


def test_a_library_that_is_included_whole_says_what_its_sections_want(tmp_path) -> None:
    (tmp_path / "corners.lib").write_text(".lib tt\n.param r=1k\n.endl\n")
    for line, count in ((".include corners.lib", 1), (".lib corners.lib tt", 0)):
        (tmp_path / "deck.sp").write_text(CIRCUIT.format(line + "\n"))
        said = [f.message for f in read_deck(tmp_path / "deck.sp").findings]
        assert len(said) == count
        assert all("ask for one by .lib corners.lib SECTION" in text for text in said)
