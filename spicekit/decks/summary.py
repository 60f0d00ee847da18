"""What a deck holds, in figures: devices, wires, sources, and what its header says."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from spicekit.circuits.header import Header, read_header
from spicekit.decks.expansion import Circuit, expanded
from spicekit.decks.source import Deck, number


@dataclass(frozen=True)
class Group:
    """Elements whose names differ by their numbers only: `rbl_0_0`, `rbl_1_0` are `rbl`."""

    count: int
    values: tuple[str, ...]
    """What they are set to, each once."""
    total: float | None
    """Sum of their values; None where a value is no number."""


@dataclass(frozen=True)
class Summary:
    """A deck in figures."""

    header: Header | None
    """None for a deck that spicekit did not render."""
    devices: Mapping[str, int]
    """Devices of the flat circuit, by letter."""
    instances: Mapping[str, int]
    """Subcircuit instances at the top level, by subcircuit."""
    resistors: Mapping[str, Group]
    capacitors: Mapping[str, Group]
    sources: Mapping[str, Group]


def summarise(deck: Deck) -> Summary:
    """Figures of a deck.

    Raises
    ------
    BadInput
        If ngspice does not take it.
    """
    circuit = expanded(deck)
    return Summary(
        header=read_header(deck.comments) if "[deck]" in deck.comments else None,
        devices=dict(sorted(Counter(device.kind for device in circuit.devices).items())),
        instances=deck.outline.instances,
        resistors=_groups(circuit, "r"),
        capacitors=_groups(circuit, "c"),
        sources=_groups(circuit, "vi"),
    )


def _groups(circuit: Circuit, kinds: str) -> dict[str, Group]:
    members: dict[str, list[str]] = {}
    for device in circuit.devices:
        if device.kind in kinds and "." not in device.name:
            members.setdefault(_NUMBERS.sub("", device.name), []).append(" ".join(device.words))
    return {name: _group(values) for name, values in members.items()}


def _group(values: list[str]) -> Group:
    numbers = [number(value.removeprefix("dc ")) for value in values]
    known = [value for value in numbers if value is not None]
    total = sum(known) if len(known) == len(numbers) else None
    return Group(len(values), tuple(dict.fromkeys(values)), total)


_NUMBERS = re.compile(r"(_\d+)+$")
