"""Runs a deck from outside: read, found harmless, written anew from what was read, then run.

Since the text that runs is written from the statements that were vetted, nothing else can reach ngspice.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import CURRENTS_FILE, WAVES_FILE, claimed
from spicekit.circuits.spec import read_header
from spicekit.decks.complaints import Lines
from spicekit.decks.source import Deck, deck_text
from spicekit.decks.vetting import vet
from spicekit.errors import BadInput, SpiceFailed
from spicekit.spice.batch import BatchRun, run_batch


def run_deck(deck: Deck, *, timeout: float = 600.0, compiled: Collection[Path] = ()) -> BatchRun:
    """Run an untrusted deck in `ngspice -b`.

    It may load the `compiled` Verilog-A models (absolute paths), which are native code, and no others.

    Raises
    ------
    BadInput
        If a line cannot be read, or a command or statement is not known to be harmless.
    MissingTool, SpiceFailed
        If ngspice is not there, or exceeds `timeout` seconds.
    """
    _refuse_objections(deck, compiled)
    return run_batch(deck.text(), timeout=timeout, compiled=compiled)


def walking(rows: int) -> NDArray[np.uint8]:
    """(2 rows + 2, rows) bits: each row alone, all rows but one, all, none. They show every cell by itself.

    >>> walking(2).tolist()
    [[1, 0], [0, 1], [0, 1], [1, 0], [1, 1], [0, 0]]
    """
    one = np.eye(rows, dtype=np.uint8)
    return np.concatenate([one, 1 - one, np.ones((1, rows), np.uint8), np.zeros((1, rows), np.uint8)])


def run_vectors(
    deck: Deck, vectors: NDArray[np.uint8], *, timeout: float = 600.0, compiled: Collection[Path] = ()
) -> NDArray[np.float64]:
    """Column currents of a tile deck's circuit for other vectors than its own; its commands are not run.

    Parameters
    ----------
    deck : Deck
        That spicekit rendered, without a transient.
    vectors : (b, r) uint8 array
    timeout, compiled
        As in `run_deck`.

    Returns
    -------
    (b, c) float64 array, A

    Raises
    ------
    BadInput
        As `run_deck`; if the deck is of no tile, or of a transient, or the vectors do not fit it.
    SpiceFailed
        If a vector has no operating point.
    """
    _refuse_objections(deck, compiled)
    header = read_header(deck.comments)
    spec = header.spec
    if header.facts.get("kind") != "tile" or "transient" in header.facts or spec.discharge:
        raise BadInput("run_vectors: pass the deck of a tile with an operating point, as 'netlist tile' renders it.")
    if vectors.ndim != 2 or vectors.shape[1] != spec.rows or not np.isin(vectors, (0, 1)).all():
        raise BadInput(f"run_vectors: vectors must be bits shaped (b, {spec.rows}); got {vectors.shape}.")
    source, level = ("vwl", spec.v_wl) if spec.drive == "wordline" else ("vin", spec.v_read)
    commands = [c.text for c in deck.commands if c.word == "pre_osdi"] + ["set numdgt=12"]
    for vector in vectors.tolist():
        commands += [f"alter {source}_{row} dc = {level * bit}" for row, bit in enumerate(vector)]
        commands += ["op", "if $sim_status <> 0", "quit 1", "end"]
        commands += [f"print i(vsense_{column}) >> {CURRENTS_FILE}" for column in range(spec.columns)]
        commands += ["destroy all"]
    text = deck_text(deck.statements, [*commands, "quit 0"])
    run = run_batch(text, timeout=timeout, compiled=compiled)
    if run.status:
        raise SpiceFailed(f"run_vectors: ngspice, {run.output[-300:].strip()}")
    return column_currents(run).reshape(len(vectors), spec.columns)


def _refuse_objections(deck: Deck, compiled: Collection[Path]) -> None:
    unread = (found for found in deck.findings if found.severity != "warning")
    objections = sorted([*unread, *vet(deck, compiled=compiled)])
    if objections:
        first = objections[0]
        raise BadInput(
            f"run_deck: {len(objections)} lines of the deck will not be run; "
            f"{f'{first.file}, ' if first.file else ''}line {first.line}: {first.message}."
        )


@dataclass(frozen=True)
class Outcome:
    """What a run comes to."""

    failed: bool
    measured: Mapping[str, float | None]
    """Results of `.measure` and `meas`, and single numbers that it printed; None for a measurement that failed."""
    errors: tuple[str, ...]
    """What ngspice says went wrong."""
    printed: tuple[str, ...]
    """What the deck printed and left in short files; nothing for a tile of ours, whose `lines` say it."""
    lines: tuple[str, ...]
    """All of it for people, the most important line last."""


def judge(deck: Deck, run: BatchRun) -> Outcome:
    """What a run of a deck comes to: its own verdict, failed measurements, errors that ngspice's status hides.

    ngspice exits with 0 if a measurement fails, and with 1 if its `.control` section ends without `quit`.
    """
    said = run.output.splitlines()
    measured: dict[str, float | None] = {}
    for line in said:
        if match := _MEASURED.match(line):
            measured[match[1] or match[3]] = float(match[2]) if match[2] else None
    for line in said:
        if match := _UNMEASURED.search(line):
            measured[match[1] or match[2]] = None
    errors = tuple(dict.fromkeys(_errors(deck, said)))
    idle = any(line.startswith("Note: No ") for line in said)
    ended = run.status != 0 and not (idle and deck.commands)
    failed = ended or bool(errors) or None in measured.values()
    tile = _tile_lines(deck, run, said)
    printed = [] if tile else [line for line in said if not _CHATTER.match(line) and not _MEASURED.match(line)]
    for name, text in {} if tile else run.files.items():
        lines = text.rstrip().split("\n")
        printed += [f"---- {name}", *lines] if len(lines) <= _SHOWN else [f"---- {name}: {len(lines)} lines"]
    lines = [f"{name} = {'failed' if value is None else f'{value:.9g}'}" for name, value in measured.items()]
    lines += [*tile, *errors[:_SHOWN]]
    verdict = [line for line in said if line.startswith(("FAIL:", "PASS:"))]
    if lost := [name for name, value in measured.items() if value is None]:
        verdict.append(f"FAIL: {len(lost)} of {len(measured)} measurements failed: {', '.join(lost)}")
    elif errors:
        verdict.append(f"FAIL: ngspice reports {len(errors)} errors; the first: {errors[0]}")
    elif ended and not verdict:
        why = "it asks for no output, so ngspice ran nothing" if idle else f"ngspice ended with status {run.status}"
        verdict.append(f"FAIL: {why}")
    elif not verdict and not tile:
        verdict.append("ran without an error")
    return Outcome(failed, measured, errors, tuple(printed), (*lines, *verdict))


def _errors(deck: Deck, said: list[str]) -> Iterator[str]:
    """What ngspice says went wrong, each in one line, with the deck's own numbers of lines."""
    lines = Lines(list(deck.statements))
    named = False
    for place, line in enumerate(said):
        if match := _PLACED.match(line):
            rest = [text.strip() for text in said[place + 1 : place + 3]]
            text, what = (rest if match[1] else ["", *rest])[:2]
            at = lines.at(int(match[1] or match[2]), text)
            yield f"{at.file or 'line'} {at.line}: {what}: {at.text}"
            named = True
        elif _ERROR.match(line) and not (named and _FATAL.match(line)):
            yield line.strip()


def _tile_lines(deck: Deck, run: BatchRun, said: list[str]) -> list[str]:
    """Columns that miss what a tile of ours expects, and the worst of them; nothing for other decks."""
    header = read_header(deck.comments) if "[deck]" in deck.comments else None
    if header is None or header.facts.get("kind") != "tile":
        return []
    if "transient" in header.facts:
        points = len(run.files.get(WAVES_FILE, "").splitlines()) - 1
        return [f"{WAVES_FILE}: {points} points of {header.spec.columns} columns"] if points > 0 else []
    lines = [line for line in said if line.startswith("FAIL column")]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"... and {len(lines) - _SHOWN} more"]
    if run.files.get(CURRENTS_FILE):
        current, expected = column_currents(run), claimed(header)
        if expected and current.shape == expected.current.shape:
            error = np.abs(current - expected.current)
            worst = int(error.argmax())
            lines.append(f"worst column {worst}: off by {error[worst]:.3g} A, of {expected.tolerance:.3g} A allowed")
        else:
            lines.append(f"{len(current)} columns, {current.min():.6g} to {current.max():.6g} A; none expected")
    return lines


def column_currents(run: BatchRun) -> NDArray[np.float64]:
    """(c,) float64 array, A: the column currents that a tile deck left behind.

    Raises
    ------
    BadInput
        If it left none.
    """
    values = _CURRENT.findall(run.files.get(CURRENTS_FILE, ""))
    if not values:
        raise BadInput(f"the deck wrote no {CURRENTS_FILE}; ngspice said: {run.output[-300:].strip()}")
    return np.array([float(value) for value in values])


_SHOWN = 8  # lines of one kind, or of a file

# A value, or `failed` behind the name.
_MEASURED = re.compile(
    r"(\w+)\s+=\s+([-+]?\d[\d.]*(?:e[-+]?\d+)?)(?:\s+(?:at|from|targ)=.*)?\s*$|(\w+)\s+=\s+failed$", re.I
)
_UNMEASURED = re.compile(r"^\s*\.?meas(?:ure)?\s+\w+\s+(\w+)\s.*failed!$|^\s*measure '(\w+)'\s+failed")
_ERROR = re.compile(
    r"\s*(?:error|fatal)\b(?!\s*=|: \(internal\))|doAnalyses: |Warning from checkvalid: vector|"
    r".*simulation\(s\) aborted",
    re.IGNORECASE,
)
# ngspice stops, having said why.
_FATAL = re.compile(r"ERROR: fatal error in ngspice|Error: incomplete or empty netlist")
_PLACED = re.compile(r"Error on line (\d+) or its substitute:$|Netlist line no\. (\d+):$")
# What speaks of the program, not of the circuit.
_CHATTER = re.compile(
    r"(?:Total|DRAM|Maximum ngspice|Current ngspice|Shared ngspice|Text \(code\)|Stack =|Library pages|No\. of Data|"
    r"Note: No |Doing analysis at|Circuit:|Using |ngspice-|CPL GC|\s*$)"
)
_CURRENT = re.compile(r"^i\(vsense_\d+\) = (\S+)$", re.MULTILINE)
