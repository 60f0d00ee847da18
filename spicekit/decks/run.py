"""Runs a deck from outside: read, found harmless, written anew from what was read, then run.

Since the text that runs is written from the parsed deck, nothing that the check did not see can reach ngspice.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import CURRENTS_FILE
from spicekit.decks.parse import Deck, Element, Model, Parameters, Scope
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
    objections = sorted([*deck.findings, *vet(deck, compiled=compiled)])
    if objections:
        first = objections[0]
        raise BadInput(
            f"run_deck: {len(objections)} lines of the deck will not be run; line {first.line}: {first.message}."
        )
    return run_batch(write_deck(deck), timeout=timeout, compiled=compiled)


def write_deck(deck: Deck) -> str:
    """Text of a parsed deck: circuit, dot lines and commands, without comments."""
    commands = [".control", *(command.text for command in deck.commands), ".endc"] if deck.commands else []
    return "\n".join(["* written by spicekit", *_scope_lines(deck.top), *commands, ".end", ""])


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


_CURRENT = re.compile(r"^i\(vsense_\d+\) = (\S+)$", re.MULTILINE)


def _scope_lines(scope: Scope) -> Iterator[str]:
    for model in scope.models:
        yield _model_line(model)
    for child in scope.subcircuits:
        yield " ".join([".subckt", child.name, *child.ports, *_pairs(child.parameters)])
        yield from _scope_lines(child)
        yield f".ends {child.name}"
    for statement in scope.statements:
        yield statement.text
    for element in scope.elements:
        yield _element_line(element)


def _model_line(model: Model) -> str:
    # A line each: ngspice takes long lines, people do not.
    return "\n+ ".join([f".model {model.name} {model.type}", *_pairs(model.parameters)])


def _element_line(element: Element) -> str:
    words = [element.name, *element.nodes, element.model, element.value, *_pairs(element.parameters)]
    return " ".join(word for word in words if word)


def _pairs(parameters: Parameters) -> list[str]:
    return [f"{name}={value}" if value else name for name, value in parameters.items()]
