"""The verification finds every planted fault, and nothing in a good deck."""

import functools
import itertools
import re

import numpy as np
import pytest
from faults import FAULTS, INPUTS, SPEC, WEIGHTS, good, plant

import spicekit.decks.compare as verification
from spicekit.circuits.render import Detail, Expected, Transient, cell_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.compare import Difference, verify
from spicekit.decks.source import parse_deck
from spicekit.engines.tile import expected_currents
from spicekit.errors import BadInput


@pytest.fixture(autouse=True)
def _what_is_meant_is_expanded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests hold decks against the same one."""
    monkeypatch.setattr(verification, "expand", KEPT)


KEPT = functools.lru_cache(maxsize=64)(verification.expand)


@pytest.fixture(scope="module")
def expected() -> Expected:
    return expected_currents(SPEC, WEIGHTS, INPUTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, expected: Expected) -> None:
    assert verify(parse_deck(plant(fault, good())), SPEC, WEIGHTS, INPUTS, expected=expected)


def test_the_good_deck_is_good(expected: Expected) -> None:
    assert verify(parse_deck(good()), SPEC, WEIGHTS, INPUTS, expected=expected) == ()


def respelled(text: str) -> str:
    """The same deck: elements reversed, in capitals, with other numbers and line ends."""
    lines = text.split("\n")
    start = next(n for n, line in enumerate(lines) if line.lower().startswith("vread") or line.startswith("Vwl wl"))
    end = lines.index(".control")
    elements = [line.upper() for line in reversed(lines[start:end]) if line and not line.startswith("*")]
    other = (
        "\r\n".join([*elements, ""])
        .replace(" 3.2\r\n", "\r\n+ 3200M ; the same\r\n")
        .replace(" 100.0\r\n", " 0.1K\r\n")
    )
    return "\n".join([*lines[:start], other, *lines[end:]])


@pytest.mark.parametrize(
    ("cell", "drive", "detail"),
    [
        ("8t-sram", "wordline", "read-port"),
        ("8t-sram", "wordline", "full"),
        ("1t1r", "wordline", "full"),
        ("1t1r", "bitline", "read-port"),
    ],
)
@pytest.mark.parametrize("end", ["far", "near"])
@pytest.mark.parametrize(("size", "ohm"), [((1, 1), 3.2), ((5, 3), 0.0), ((4, 6), 3.2)])
@pytest.mark.parametrize("transient", [None, Transient(stop=1e-9, row_cells=8)])
def test_good_decks_have_no_differences(
    cell: str,
    drive: str,
    detail: Detail,
    end: str,
    size: tuple[int, int],
    ohm: float,
    transient: Transient | None,
) -> None:
    rows, columns = size
    wires = Wires(r_bl=ohm, r_sl=ohm, r_row=ohm, r_col=ohm)
    spec = TileSpec(rows=rows, columns=columns, rows_active=rows, cell=cell, drive=drive, sense_end=end, wires=wires)
    rng = np.random.default_rng(rows)
    weights, inputs = rng.integers(0, 2, size, dtype=np.uint8), rng.integers(0, 2, rows, dtype=np.uint8)
    text = tile_deck(spec, weights, inputs, detail=detail, transient=transient)
    for written in (text, respelled(text)):
        assert verify(parse_deck(written), spec, weights, inputs) == ()


def test_every_cell_and_input_counts() -> None:
    deck = parse_deck(tile_deck(SPEC, WEIGHTS, INPUTS))
    for row, column in itertools.product((0, 1, 7), (0, 3)):
        weights = WEIGHTS.copy()
        weights[row, column] ^= 1
        where = {difference.where for difference in verify(deck, SPEC, weights, INPUTS)}
        assert "header deck weights_sha256" in where
        assert any(f"xc_{row}_{column}." in name for name in where)
    inputs = INPUTS.copy()
    inputs[4] ^= 1
    assert [d.where for d in verify(deck, SPEC, WEIGHTS, inputs)] == ["header deck inputs_sha256", "vwl_4"]


def test_another_spec_is_told() -> None:
    deck = parse_deck(tile_deck(SPEC, WEIGHTS, INPUTS))
    where = {difference.where for difference in verify(deck, SPEC.replace(v_read=0.3), WEIGHTS, INPUTS)}
    assert where == {"header deck spec_sha256", "header tile v_read", "vread"}


def test_a_deck_that_checks_itself_needs_its_currents() -> None:
    with pytest.raises(BadInput, match="checks its own currents"):
        verify(parse_deck(good()), SPEC, WEIGHTS, INPUTS)


def test_a_deck_without_a_tile_is_refused() -> None:
    with pytest.raises(BadInput, match="'cell'"):
        verify(parse_deck(cell_deck(SPEC, weight=1)), SPEC, WEIGHTS, INPUTS)


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (8, 2), (8, 5), (16, 16)])
def test_another_size_is_the_only_difference(rows: int, columns: int) -> None:
    spec = SPEC.replace(rows=rows, columns=columns, rows_active=rows)
    weights, inputs = np.ones((rows, columns), np.uint8), np.ones(rows, np.uint8)
    expected = expected_currents(spec, weights, inputs)
    found = verify(parse_deck(good()), spec, weights, inputs, expected=expected)
    assert found == (Difference("size", "8 x 4 cells", f"{rows} x {columns} cells"),)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"full"', '"full"\n* "transient" = {"stop" = "x"}'),
        ('"full"', '"full"\n* "outputs" = 5'),
        ('"full"', '"full"\n* "outputs" = {"nodes" = 5}'),
        ('"full"', '"full"\n* "origin" = 5'),
        ('"detail" = "full"', '"detail" = 7'),
        ('"current" = ', '"curent" = '),
        ('"tolerance" = ', '"tolerance" = "x" #'),
    ],
)
def test_a_header_that_cannot_be_read_is_refused(old: str, new: str, expected: Expected) -> None:
    deck = parse_deck(good().replace(old, new, 1))
    with pytest.raises(BadInput):
        verify(deck, SPEC, WEIGHTS, INPUTS, expected=expected)


def test_another_number_of_expected_currents_is_told(expected: Expected) -> None:
    deck = parse_deck(re.sub(r'("current" = \[)[^,]*, ', r"\1", good()))
    assert verify(deck, SPEC, WEIGHTS, INPUTS, expected=expected) == (Difference("expected currents", "3", "4"),)


@pytest.mark.parametrize(
    "idle",
    [
        ".param spare=3",
        ".func ff(x) {x*2}",
        ".subckt idle a b\nRx a b 1\n.ends",
        ".model idle nmos level=1",
        "* remark",
    ],
)
def test_what_nothing_uses_is_no_difference(idle: str, expected: Expected) -> None:
    deck = parse_deck(good().replace("\nVread", f"\n{idle}\nVread", 1))
    assert verify(deck, SPEC, WEIGHTS, INPUTS, expected=expected) == ()


def test_a_parameter_that_commands_see_is_a_difference(expected: Expected) -> None:
    deck = parse_deck(good().replace("\nVread", "\n.csparam failures=0\nVread", 1))
    assert [d.where for d in verify(deck, SPEC, WEIGHTS, INPUTS, expected=expected)] == [".csparam"]
