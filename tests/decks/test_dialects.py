"""Decks for other simulators say what the ngspice deck says; VACASK, where it is installed, runs them."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from faults import INPUTS, SPEC, WEIGHTS

from spicekit.circuits.render import Detail, Transient, tile_deck
from spicekit.circuits.spec import TileSpec
from spicekit.decks.compare import verify_translated
from spicekit.decks.dialects import Dialect, stored_levels, translate
from spicekit.decks.run import column_currents, run_deck
from spicekit.decks.source import parse_deck, read_deck
from spicekit.errors import BadInput, MissingTool
from spicekit.spice.batch import program_path

OTHERS: tuple[Dialect, ...] = ("xyce", "spectre", "vacask")


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("detail", ["read-port", "full"])
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("transient", [None, Transient(stop=1e-9)])
def test_a_good_deck_has_no_differences(
    dialect: Dialect, detail: Detail, cell: str, transient: Transient | None
) -> None:
    spec = SPEC.replace(cell=cell)
    deck = tile_deck(spec, WEIGHTS, INPUTS, detail=detail, transient=transient)
    if (cell, dialect) == ("1t1r", "vacask"):  # it has no behavioural source
        with pytest.raises(BadInput, match="no word for"):
            translate(deck, dialect)
        return
    text = translate(deck, dialect)
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


# VACASK reads the languages of Xyce and Spectre as well. What it has no word for is given to it in its own: names of
# channel types and sources, its port of BSIM4 (the one that it takes for Spectre's `bsim4` draws no current with
# these cards), multipliers, and the state that whole cells start in.
_HOST = """title
load "resistor.osdi"
load "capacitor.osdi"
load "spice/bsim4v8.osdi"
model vsource vsource
model resistor resistor
model capacitor capacitor
parameters n=1 p=-1 pulse="pulse"
include "deck.cir" lang={dialect}
control
options {tolerance} gmin=1e-18 temp=25 rawfile="ascii"
analysis read {analysis}
endc
"""
_WORDS = {
    "xyce": ((r"(?i) off=1| params:", ""),),
    "spectre": (
        (r" m=(\d)", r" $mfactor=\1"),
        (r"(?m)^(model \S+) bsim4", r"\1 sp_bsim4v8"),
        (r" (?:paramchk|version)=\S+| region=off", ""),
    ),
}


def vacask(folder: Path, deck: str, dialect: Dialect, transient: Transient | None) -> list[float]:
    """Column currents at the end of VACASK's run of a deck in a dialect, A."""
    try:
        program = str(program_path())
    except MissingTool as error:
        pytest.skip(str(error))
    text = translate(deck, dialect)
    if dialect == "vacask":
        (folder / "main.sim").write_text(text)
    else:
        for pattern, word in _WORDS[dialect]:
            text = re.sub(pattern, word, text)
        analysis = f"tran step=1e-12 stop={transient.stop}" if transient else "op"
        analysis += stored_levels(parse_deck(deck).statements)
        tolerance = "reltol=1e-4" if transient else "reltol=1e-6"
        (folder / "deck.cir").write_text(text)
        (folder / "main.sim").write_text(_HOST.format(dialect=dialect, analysis=analysis, tolerance=tolerance))
    done = subprocess.run([program, "main.sim"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:]
    raw = (folder / "read.raw").read_text()
    names = re.findall(r"\t\d+\t(\S+)\t", raw)
    values = dict(zip(names, raw.split("Values:")[1].split()[-len(names) :], strict=True))
    return [float(values[f"vsense_{column}:flow(br)"]) for column in range(SPEC.columns)]


@pytest.mark.parametrize(
    ("cell", "detail", "transient", "dialects"),
    [
        ("8t-sram", "read-port", None, OTHERS),
        ("8t-sram", "full", None, OTHERS),
        ("8t-sram", "read-port", Transient(stop=1e-9), OTHERS),
        ("1t1r", "read-port", None, ("xyce",)),  # VACASK has no behavioural source but in Xyce's language
        ("1t1r", "read-port", Transient(stop=1e-9), ("xyce",)),
    ],
)
def test_vacask_gives_the_currents_of_ngspice(
    tmp_path: Path, cell: str, detail: Detail, transient: Transient | None, dialects: tuple[Dialect, ...]
) -> None:
    deck = tile_deck(SPEC.replace(cell=cell), WEIGHTS, INPUTS, detail=detail, transient=transient)
    run = run_deck(parse_deck(deck))
    if transient:
        expected = np.loadtxt(run.files["waves.txt"].splitlines(), skiprows=1)[-1, -SPEC.columns :]
    else:
        expected = column_currents(run)
    for dialect in dialects:
        current = vacask(tmp_path, deck, dialect, transient)
        np.testing.assert_allclose(current, expected, rtol=1e-4 if transient else 1e-8, err_msg=dialect)


def test_a_spec_of_another_size_is_told() -> None:
    other = TileSpec(rows=2, columns=2, rows_active=2, wires=SPEC.wires)
    text = translate(tile_deck(other, np.ones((2, 2), np.uint8), np.ones(2, np.uint8)), "spectre")
    assert verify_translated(text, SPEC, WEIGHTS, INPUTS)


@pytest.mark.parametrize("dialect", OTHERS)
def test_what_ngspice_cannot_read_is_said_to_be_so(tmp_path: Path, dialect: Dialect) -> None:
    (tmp_path / "deck").write_text(translate(tile_deck(SPEC, WEIGHTS, INPUTS), dialect))
    with pytest.raises(BadInput, match=f"for {dialect}"):
        read_deck(tmp_path / "deck")
