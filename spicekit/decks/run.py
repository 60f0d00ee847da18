"""Runs a deck from outside: read, found harmless, written anew from what was read, then run.

Since the text that runs is written from the statements that were vetted, nothing else can reach ngspice.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.header import read_header
from spicekit.circuits.render import CURRENTS_FILE
from spicekit.decks.source import Deck
from spicekit.decks.vetting import vet
from spicekit.errors import BadInput
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
    unread = (found for found in deck.findings if found.severity != "warning")
    objections = sorted([*unread, *vet(deck, compiled=compiled)])
    if objections:
        first = objections[0]
        raise BadInput(
            f"run_deck: {len(objections)} lines of the deck will not be run; "
            f"{f'{first.file}, ' if first.file else ''}line {first.line}: {first.message}."
        )
    return run_batch(deck.text(), timeout=timeout, compiled=compiled)


def judge(deck: Deck, run: BatchRun) -> list[str]:
    """What a run of one of our tiles comes to, the most important line last; nothing for other decks.

    Columns that miss what the deck expects, then the worst column, then its own verdict or ngspice's error.
    """
    header = read_header(deck.comments) if "[deck]" in deck.comments else None
    if header is None or header.facts.get("kind") != "tile" or "transient" in header.facts:
        return []
    said = run.output.splitlines()
    failed = [line for line in said if line.startswith("FAIL column")]
    verdict = [line for line in said if line.startswith(("FAIL:", "PASS:"))]
    lines = failed[:_SHOWN]
    if len(failed) > _SHOWN:
        lines.append(f"... and {len(failed) - _SHOWN} more")
    if run.files.get(CURRENTS_FILE):
        current, expected = column_currents(run), header.facts.get("expected")
        if expected and len(current) == len(expected["current"]):
            error = np.abs(current - expected["current"])
            worst = int(error.argmax())
            lines.append(
                f"worst column {worst}: off by {error[worst]:.3g} A, of {expected['tolerance']:.3g} A allowed"
            )
        else:
            lines.append(
                f"{len(current)} columns, {current.min():.6g} to {current.max():.6g} A; none expected"
            )
    if run.status and not verdict:
        verdict = [line for line in said if "rror" in line][-_SHOWN:] or [
            f"ngspice ended with status {run.status}"
        ]
    return lines + verdict


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


_SHOWN = 8  # lines of one kind

_CURRENT = re.compile(r"^i\(vsense_\d+\) = (\S+)$", re.MULTILINE)
