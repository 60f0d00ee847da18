"""What a deck holds, in figures: devices, wires, sources, and what its header says."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError

from spicekit.circuits.header import Header, read_header
from spicekit.decks.hierarchy import Place, inside_out, places
from spicekit.decks.parse import Deck, Element, number
from spicekit.errors import BadInput


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
    """Devices of the whole circuit, subcircuits unfolded, by letter."""
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
        If subcircuits contain each other.
    """
    elements = deck.top.elements
    return Summary(
        header=read_header(deck.comments) if "[deck]" in deck.comments else None,
        devices=_unfolded(deck),
        instances=Counter(element.model for element in elements if element.kind == "x"),
        resistors=_groups(elements, "r"),
        capacitors=_groups(elements, "c"),
        sources=_groups(elements, "vi"),
    )


def _unfolded(deck: Deck) -> Mapping[str, int]:
    """Devices by letter, counted once for each instance that holds them."""
    try:
        order = inside_out(places(deck))
    except CycleError as error:
        raise BadInput("summarise: subcircuits of the deck contain each other.") from error
    totals: dict[Place, Counter[str]] = {}
    for place in order:
        total: Counter[str] = Counter()
        for element in place.scope.elements:
            target = place.target(element)
            total.update(totals[target] if target else [element.kind])
        totals[place] = total
    top = next(total for place, total in totals.items() if place.scope is deck.top)
    return dict(sorted(top.items()))


def _groups(elements: tuple[Element, ...], kinds: str) -> dict[str, Group]:
    members: dict[str, list[str]] = {}
    for element in elements:
        if element.kind in kinds:
            members.setdefault(_NUMBERS.sub("", element.name), []).append(element.value)
    return {name: _group(values) for name, values in members.items()}


def _group(values: list[str]) -> Group:
    numbers = [number(value.removeprefix("dc ")) for value in values]
    known = [value for value in numbers if value is not None]
    total = sum(known) if len(known) == len(numbers) else None
    return Group(len(values), tuple(dict.fromkeys(values)), total)


_NUMBERS = re.compile(r"(_\d+)+$")
