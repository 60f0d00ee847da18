"""Decks from outside: what runs is what was read, and nothing harmful is run."""

from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.render import Detail, Expected, tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.compare import diff
from spicekit.decks.expansion import summarise
from spicekit.decks.run import column_currents, judge, run_deck
from spicekit.decks.source import Deck, parse_deck
from spicekit.errors import BadInput, SpiceFailed
from spicekit.spice.batch import run_batch
from spicekit.spice.simulator import Job, Step, simulate

SPEC = TileSpec(rows=3, columns=2, rows_active=3, wires=Wires(r_bl=3.2, r_sl=3.2))
WEIGHTS = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)
INPUTS = np.array([1, 0, 1], np.uint8)
DECK = tile_deck(SPEC, WEIGHTS, INPUTS)


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("detail", ["read-port", "full"])
def test_a_deck_written_from_what_was_read_is_the_same_circuit(cell: str, detail: Detail) -> None:
    deck = parse_deck(tile_deck(SPEC.replace(cell=cell), WEIGHTS, INPUTS, detail=detail))
    again = parse_deck(deck.text())
    assert diff(deck, again) == ()
    assert [command.text for command in again.commands] == [command.text for command in deck.commands]


def test_running_a_deck_gives_the_currents_of_the_simulator() -> None:
    run = run_deck(parse_deck(DECK))
    (waves,) = simulate(Job(tile_deck(SPEC, WEIGHTS, INPUTS, batch=False), (Step("op"),)))
    expected = [waves[f"vsense_{j}#branch"][0] for j in range(2)]
    assert run.status == 0
    np.testing.assert_allclose(column_currents(run), expected, rtol=1e-9)


def test_a_deck_that_misses_its_currents_says_so_by_its_status() -> None:
    wrong = Expected(np.zeros(2), tolerance=1e-9)
    run = run_deck(parse_deck(tile_deck(SPEC, WEIGHTS, INPUTS, expected=wrong)))
    assert run.status == 1
    assert "FAIL: 2 of 2 columns" in run.output


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nop\n", "\nshell touch {victim}\nop\n"),
        ("\nop\n", "\necho `touch {victim}`\nop\n"),
        ("\nop\n", "\nop > {victim}\n"),
        ("\nVread", "\n*#echo a ; shell touch {victim}\nVread"),
        ("\nop\n", "\nset numdgt = ( > {victim} )\nop\n"),
        ("\nVread", "\n*#shell touch {victim}\nVread"),
        ("\n.end\n", "\n.end\n.control\nshell touch {victim}\n.endc\n"),
    ],
)
def test_a_deck_that_would_touch_a_file_is_refused(tmp_path: Path, old: str, new: str) -> None:
    victim = tmp_path / "victim"
    deck = parse_deck(DECK.replace(old, new.format(victim=victim), 1))
    with pytest.raises(BadInput, match="will not be run"):
        run_deck(deck)
    assert not victim.exists()


def test_a_title_that_makes_a_script_of_the_deck_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="will not be run"):
        run_deck(parse_deck(f"*ng_script\nshell touch {tmp_path / 'victim'}\n"))


def test_a_deck_without_currents_is_told() -> None:
    run = run_deck(parse_deck("title\nV1 a 0 1\nR1 a 0 1\n.control\nop\nquit 0\n.endc\n.end\n"))
    with pytest.raises(BadInput, match=r"wrote no currents\.txt"):
        column_currents(run)


def test_a_deck_that_never_ends_is_stopped() -> None:
    endless = "title\nV1 a 0 1\nR1 a 0 1\n.control\nwhile 1\nlet x = 1\nend\n.endc\n.end\n"
    with pytest.raises(SpiceFailed, match="longer than"):
        run_batch(endless, timeout=1.0)


def test_a_summary_counts_what_the_tile_has() -> None:
    summary = summarise(parse_deck(tile_deck(SPEC, WEIGHTS, INPUTS, detail="full")))
    assert summary.devices["m"] == 8 * 3 * 2
    assert summary.instances == {"cell_0": 2, "cell_1": 4}
    assert summary.resistors["rbl"].count == 4
    assert summary.resistors["rbl"].total == pytest.approx(4 * 3.2)
    assert summary.sources["vwl"].values == ("dc 0.7", "dc 0")
    assert summary.header is not None
    assert summary.header.spec == SPEC


def foreign(*lines: str) -> Deck:
    """A deck of somebody's."""
    circuit = ("t", "V1 a 0 pulse(0 1 1n 1n 1n 5n 10n)", "R1 a b 1k", "C1 b 0 1p")
    return parse_deck("\n".join([*circuit, *lines]))


TWO = ("tran t1 when v(b)=0.5 rise=1", "tran t2 when v(b)=5 rise=1")


@pytest.mark.parametrize("word", [".meas", ".measure"])
def test_a_measurement_that_fails_is_told_whatever_the_status_of_ngspice(word: str) -> None:
    deck = foreign(".tran 0.1n 10n", *(f"{word} {what}" for what in TWO))
    run = run_deck(deck)
    outcome = judge(deck, run)
    assert run.status == 0
    assert outcome.failed
    assert outcome.measured == {"t1": pytest.approx(2.235e-9, rel=1e-3), "t2": None}
    assert outcome.lines[-1] == "FAIL: 1 of 2 measurements failed: t2"


def test_a_command_that_fails_to_measure_is_told() -> None:
    deck = foreign(".control", "tran 0.1n 10n", *(f"meas {what}" for what in TWO), "quit 0", ".endc")
    assert judge(deck, run_deck(deck)).lines[-1] == "FAIL: 1 of 2 measurements failed: t2"


def test_commands_that_do_not_end_by_quit_have_not_failed() -> None:
    deck = foreign(".control", "tran 0.1n 10n", f"meas {TWO[0]}", "wrdata out.txt v(b)", "print v(a)[0]", ".endc")
    run = run_deck(deck)
    outcome = judge(deck, run)
    assert (run.status, outcome.failed, outcome.lines[-1]) == (1, False, "ran without an error")
    assert not any("DRAM" in line or "elapsed" in line for line in outcome.printed)
    assert any(line.startswith("---- out.txt: ") for line in outcome.printed)


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        ((".tran 1n 2n",), "FAIL: it asks for no output, so ngspice ran nothing"),
        ((".control", "dc v9 0 1 1", ".endc"), 'named "v9" is not in the circuit'),
        (("L1 a 0 1u", "V2 a 0 1", ".op"), "Transient op failed"),
        (("* remark", "R2 b", "+ 0 1k", "R1 a 0 2k", ".op"), "line 8: device already exists"),
        (("* remark", "R2 b 0 {zz}", ".op"), "line 6: Undefined parameter [zz]"),
    ],
)
def test_what_went_wrong_stands_last(lines: tuple[str, ...], end: str) -> None:
    deck = foreign(*lines)
    outcome = judge(deck, run_deck(deck))
    assert outcome.failed
    assert end in outcome.lines[-1]


def test_a_header_whose_currents_cannot_be_read_is_refused() -> None:
    expected = Expected(np.zeros(SPEC.columns), 1.0)
    text = tile_deck(SPEC, WEIGHTS, INPUTS, expected=expected).replace('"tolerance" = ', '"tolerance" = "x" #', 1)
    deck = parse_deck(text)
    with pytest.raises(BadInput, match="expected currents cannot be read"):
        judge(deck, run_deck(deck))
