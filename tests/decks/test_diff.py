"""Two decks differ where their circuits do, and nowhere else."""

import numpy as np
import pytest

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.compare import diff
from spicekit.decks.source import parse_deck
from spicekit.errors import BadInput

SPEC = TileSpec(rows=3, columns=2, rows_active=3, wires=Wires(r_bl=3.2, r_sl=3.2))
WEIGHTS = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)
DECK = tile_deck(SPEC, WEIGHTS, np.array([1, 0, 1], np.uint8))


def rewritten(deck: str) -> str:
    """The same circuit: elements reversed, upper case, other numbers and line breaks, no comments."""
    lines = [line for line in deck.splitlines()[1:] if not line.startswith("*")]
    start = lines.index("Vread vread 0 dc 0.35")
    end = lines.index(".control")
    elements = [line for line in reversed(lines[start:end]) if line]
    text = "\n".join(["other title", *lines[:start], *elements]).upper()
    commands = "\n".join([*lines[end:], ".end"])
    return (text + "\n" + commands).replace(" 100.0\n", "\n+ 0.1K\n").replace("3.2\n", "3200M ; same\n")


def test_spelling_is_no_difference() -> None:
    assert rewritten(DECK) != DECK
    assert diff(parse_deck(DECK), parse_deck(rewritten(DECK))) == ()


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("Rbl_0_0 b_0_0 b_1_0 3.2", "Rbl_0_0 b_0_0 b_1_0 3.3", "rbl_0_0 r"),
        ("Xc_0_1 b_0_1 wl_0 s_0_1 q_lo", "Xc_0_1 b_0_1 wl_0 s_0_1 q_hi", "m.xc_0_1.mstorage nodes"),
        ("Vread vread 0 dc 0.35", "Vread vread 0 dc 0.3", "vread"),
        ("Mstorage mid q rsl 0", "Mstorage mid q rsl rsl", "m.xc_0_0.mstorage nodes"),
        ("print i(vsense_0)", "print i(vsense_1)", "command 8"),
        ("set numdgt=12", "set numdgt=12\nalter rbl_0_0 = 1", "command 2"),
        ("tnom=25", "tnom=27", ".model nmos_sram_tt tnom"),
        (".temp 25.0", ".temp 85.0", ".temp"),
        ("Rbl_1_1 b_1_1 b_2_1 3.2\n", "", "rbl_1_1"),
    ],
)
def test_a_change_of_the_circuit_is_found_where_it_is(old: str, new: str, where: str) -> None:
    assert old in DECK
    first, *others = diff(parse_deck(DECK), parse_deck(DECK.replace(old, new, 1)))
    assert first.where == where
    assert len(others) in (0, 5)  # an edit of the cell shows in each of six


def test_a_deck_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(BadInput, match="second deck"):
        diff(parse_deck(DECK), parse_deck(DECK.replace("\nVread", "\n.ends\nVread", 1)))


def test_what_is_said_twice_is_a_difference() -> None:
    """ngspice takes the last value of a resistor, and the first of two models."""
    once, twice = (parse_deck(f"title\nR1 a 0 {value}\nv1 a 0 1\n.op\n.end\n") for value in ("1k", "1k r=5k"))
    assert [difference.where for difference in diff(once, twice)] == ["r1 r"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("b1 a 0 i=v(a)*(1 + v(a))*2", "b1 a 0 i=v(a)*1 + v(a)*2"),
        (
            "r1 a 0 1\n.control\nlet x = (v(a) + 1) * 2\n.endc",
            "r1 a 0 1\n.control\nlet x = v(a) + 1 * 2\n.endc",
        ),
    ],
)
def test_brackets_of_an_expression_count(one: str, other: str) -> None:
    first, second = (parse_deck(f"title\nv1 a 0 1\n{text}\n.op\n.end\n") for text in (one, other))
    assert len(diff(first, second)) == 1


def test_brackets_of_a_waveform_do_not_count() -> None:
    first, second = (
        parse_deck(f"title\nv1 a 0 {wave}\nr1 a 0 1k\n.tran 1n 9n\n.end\n")
        for wave in ("pulse(0 1 0 1n)", "pulse 0 1 0 1n")
    )
    assert diff(first, second) == ()


def test_a_model_that_a_condition_leaves_out_is_none() -> None:
    branch = "title\n.param k=1\n.if (k==1)\n.model n nmos vto=0.3\n.else\n.model n nmos vto=0.9\n.endif\n"
    circuit = "m1 d g 0 0 n l=1u w=1u\nvd d 0 1\nvg g 0 1\n.op\n.end\n"
    plain = "title\n.model n nmos vto=0.3\n"
    assert diff(parse_deck(branch + circuit), parse_deck(plain + circuit)) == ()
