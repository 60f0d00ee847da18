"""Compares two decks, and sums one up, as ngspice takes them: order, remarks, case and spelling do not matter."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path

from spicekit.circuits.spec import Header, read_header
from spicekit.decks.expansion import Circuit, expanded
from spicekit.decks.source import Deck, Statement, number

Facts = dict[tuple[str, str], str]
"""What a deck says: by name of a device, model or dot line, and by part of it, such as a parameter."""


@dataclass(frozen=True, order=True)
class Difference:
    """Something that two decks do not share."""

    where: str
    """Device or model of the flat circuit with the part of it, dot line, or command."""
    first: str
    """What it is in the first deck; empty if it is not there."""
    second: str


def diff(first: Deck, second: Deck, *, compiled: Collection[Path] = ()) -> tuple[Difference, ...]:
    """Differences in flat devices, models, dot lines and commands; none if both decks do the same.

    >>> from spicekit.decks.source import parse_deck
    >>> a, b = parse_deck("a\\nR1 in 0 1k\\nR2 in 0 5"), parse_deck("b\\nr2 IN 0 5\\nr1 in 0 1100")
    >>> diff(a, b)
    (Difference(where='r1 r', first='1000', second='1100'),)

    Raises
    ------
    BadInput
        If a deck has lines that cannot be read, or that ngspice refuses or ignores.
    """
    circuits = [
        expanded(deck, compiled=compiled, called=f"diff: the {ordinal} deck")
        for ordinal, deck in (("first", first), ("second", second))
    ]
    a, b = facts(first, circuits[0]), facts(second, circuits[1])
    return (*compare(a, b), *compare_commands(first.commands, second.commands))


def facts(deck: Deck, circuit: Circuit) -> Facts:
    """Everything that a deck says about its circuit and analyses, in one spelling.

    What is said twice of one thing counts twice: which of them ngspice takes depends on the thing.
    """
    found: Facts = {}

    def say(name: str, part: str, value: str) -> None:
        before = found.get((name, part))
        found[name, part] = value if before is None else f"{before}, and {value}"

    for device in circuit.devices:
        say(device.name, "nodes", " ".join(device.nodes + device.controls))
        for part, value in _parts(device.kind, device.words):
            say(device.name, part, value)
    for name, model in circuit.models.items():
        say(f".model {name}", "type", model.type)
        for part, value in _parts("", model.words):
            say(f".model {name}", part, value)
    for statement in deck.statements:
        word = statement.word
        if _DRAWN.search(statement.text):
            say("drawn anew by every run", "", spelled(statement.text))
        if word == ".options":
            for part, value in _parts("", _EQUALS.sub("=", statement.text.lower()).split()[1:]):
                say(".options", part or value, value)
        elif word.startswith(".") and word not in _EVALUATED:
            text = spelled(statement.text.partition(" ")[2])
            found[word, "" if (word, "") not in found else text] = text
    return found


def compare(a: Facts, b: Facts) -> Iterator[Difference]:
    """Facts that differ; of a device or model that only one has, its name alone."""
    names_a, names_b = {name for name, _ in a}, {name for name, _ in b}
    for name in sorted(names_a ^ names_b):
        only = {
            part: value for (owner, part), value in (a if name in names_a else b).items() if owner == name
        }
        text = " ".join(f"{part}={value}" if part else value for part, value in only.items()) or name
        yield Difference(name, text, "") if name in names_a else Difference(name, "", text)
    for key in sorted(a.keys() | b.keys()):
        if key[0] in names_a and key[0] in names_b and a.get(key) != b.get(key):
            yield Difference(" ".join(filter(None, key)), a.get(key, ""), b.get(key, ""))


def compare_commands(first: Iterable[Statement], second: Iterable[Statement]) -> Iterator[Difference]:
    """Commands that differ, in their order."""
    a, b = ([spelled(command.text) for command in commands] for commands in (first, second))
    if a == b:
        return
    for kind, start, end, begin, stop in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind != "equal":
            for place, (one, other) in enumerate(
                zip_longest(a[start:end], b[begin:stop], fillvalue=""), start + 1
            ):
                yield Difference(f"command {place}", one, other)


def spelled(text: str) -> str:
    """A statement or command in lower case, with one space between words and numbers in one spelling.

    >>> spelled("PULSE ( 0, 1, 100n )")
    'pulse(0 1 1e-07)'
    """
    quoted = _QUOTED.split(text)  # what stands between quotes, at odd places, is printed as it is
    return "".join(
        part
        if place % 2
        else _BRACKET.sub(lambda match: match[0].strip(), " ".join(map(_plain, _WORDS.findall(part.lower()))))
        for place, part in enumerate(quoted)
    )


_EVALUATED = frozenset({".else", ".elseif", ".endif", ".ends", ".eom", ".func", ".global", ".if", ".macro"})
_EVALUATED |= {".model", ".param", ".subckt", ".title"}
"""Dot lines whose effect the flat circuit shows. What has none, such as a parameter that nothing uses, is no
difference; `.csparam` is one, since commands see it."""

_DRAWN = re.compile(r"\b(?:agauss|aunif|gauss|limit|unif)\s*\(", re.IGNORECASE)
"""Functions whose value is another when ngspice reads the deck again."""

_VALUES = {"r": "r", "c": "c", "l": "l"}
_EQUALS = re.compile(r"\s*=\s*")
_QUOTED = re.compile(r'("[^"]*")')
_WORDS = re.compile(r"[^\s(),=<>]+|[=<>]+|[()]")
_BRACKET = re.compile(r"(?<=\w) \( ?|\( | \)")


def _plain(word: str) -> str:
    value = number(word)
    # ngspice evaluates to 16 digits, of which rounding takes some
    return word if value is None else f"{value:.12g}"


def _parts(kind: str, words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Model and value without a name, then parameters by name."""
    if kind == "b":
        yield "", spelled(" ".join(words))
        return
    bare = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            yield name, spelled(value)
        else:
            bare.append(word)
    text = spelled(" ".join(bare))
    if kind in ("v", "i"):
        text = " ".join(re.sub("[()]", " ", text).split())  # ngspice takes a waveform with and without them
        if text and number(text.split()[0]) is not None:
            text = f"dc {text}"
    if text:
        yield _VALUES.get(kind, "") if number(text) is not None else "", text


# A deck in figures: devices, wires, sources, and what its header says.


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
