"""Compares decks as ngspice takes them: two decks, or a tile's deck and what its spec and bits mean.

Order, remarks, case and spelling do not matter. A tile's deck that passes its own check proves little: its tolerance,
its commands and its header are text that anybody can edit, and much of a circuit shows in no current. So it is held,
device by device and command by command, against one that is rendered anew, and its header against what it speaks of:
layout against schematic, in spirit.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from spicekit.circuits.render import Bits, Expected, Outputs, Transient, check_detail, claimed, tile_deck
from spicekit.circuits.spec import Header, TileSpec, header_lines, read_header
from spicekit.decks.dialects import REMARKS, Dialect, dialect_of, translate
from spicekit.decks.expansion import Circuit, expand, expanded
from spicekit.decks.source import Deck, Statement, number, parse_deck
from spicekit.decks.vetting import vet
from spicekit.errors import BadInput
from spicekit.results import plain

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
    a, b = _facts(first, circuits[0]), _facts(second, circuits[1])
    return (*_fact_differences(a, b), *_command_differences(first.commands, second.commands))


def verify(
    deck: Deck,
    spec: TileSpec,
    weights: Bits,
    inputs: Bits,
    *,
    expected: Expected | None = None,
    compiled: Collection[Path] = (),
) -> tuple[Difference, ...]:
    """Differences of a tile deck (first) from what a spec and bits mean (second); none for a good deck.

    Detail and length of a transient are taken from the deck's header, everything else from the arguments.

    Parameters
    ----------
    deck : Deck
    spec : TileSpec
    weights : (r, c) uint8 array
    inputs : (r,) uint8 array
        Of the one read that the deck stands for.
    expected : Expected, optional
        What its currents are to be, A, and the largest tolerance to accept. Needed if the deck checks itself.
    compiled : collection of Path
        Models in compiled Verilog-A that it may load.

    Raises
    ------
    BadInput
        If the deck has no header of a tile, or checks itself and `expected` was not given.
    MissingTool, SpiceFailed
        If ngspice is not there, or takes too long.
    """
    if unlike := _size_difference(read_header(deck.comments), spec):
        return unlike
    text, found = _meant(read_header(deck.comments), spec, weights, inputs, expected)
    meant = parse_deck(text)
    found += _header_differences(read_header(deck.comments), read_header(meant.comments))
    if deck.findings or deck.text() != meant.text():
        found += _circuit_differences(deck, meant, compiled)
    return tuple(found)


def verify_translated(
    text: str, spec: TileSpec, weights: Bits, inputs: Bits, *, expected: Expected | None = None
) -> tuple[Difference, ...]:
    """As `verify`, of a deck in another dialect, statement by statement: ngspice does not read it."""
    dialect, comments = dialect_of(text)
    if unlike := _size_difference(read_header(comments), spec):
        return unlike
    ours, found = _meant(read_header(comments), spec, weights, inputs, expected)
    meant = translate(ours, dialect)
    found += _header_differences(read_header(comments), read_header(dialect_of(meant)[1]))
    return (*found, *_statement_differences(text, meant, dialect))


def _size_difference(header: Header, spec: TileSpec) -> tuple[Difference, ...]:
    """Another number of rows, columns or expected currents than meant: nothing else can be compared."""
    sizes = [f"{tile.rows} x {tile.columns} cells" for tile in (header.spec, spec)]
    if sizes[0] != sizes[1]:
        return (Difference("size", sizes[0], sizes[1]),)
    own = claimed(header)
    if own and own.current.shape != (spec.columns,):
        return (Difference("expected currents", str(own.current.size), str(spec.columns)),)
    return ()


def _meant(
    header: Header, spec: TileSpec, weights: Bits, inputs: Bits, expected: Expected | None
) -> tuple[str, list[Difference]]:
    """The deck that the arguments mean, of the header's kind, and what is wrong with the currents it expects."""
    if header.facts.get("kind") != "tile":
        raise BadInput(f"verify: the deck's header calls it a {header.facts.get('kind')!r}; pass a deck of a tile.")
    own = claimed(header)
    if own and expected is None:
        raise BadInput("verify: the deck checks its own currents; pass what they are to be, as `expected`.")
    text = tile_deck(
        spec,
        weights,
        inputs,
        detail=check_detail(str(header.facts.get("detail"))),
        expected=own,
        transient=_made(Transient, header, "transient"),
        outputs=_made(Outputs, header, "outputs"),
        origin=_made(dict[str, str | int], header, "origin"),
    )
    return text, [*_claim_differences(own, expected)] if own and expected else []


T = TypeVar("T")


def _made(kind: type[T], header: Header, name: str) -> T | None:
    """What a table of the header describes."""
    table = header.facts.get(name)
    try:
        return TypeAdapter(kind).validate_python(table) if table else None
    except ValidationError as error:
        raise BadInput(f"verify: the header's {name} cannot be read ({error.errors()[0]['msg']}).") from error


def _header_differences(header: Header, meant: Header) -> Iterator[Difference]:
    """What the header says against what it speaks of: spec, bits, cards, templates."""
    a, b = (plain(tomllib.loads("\n".join(header_lines(each.facts, each.spec)))) for each in (header, meant))
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            yield Difference(f"header {name.replace('.', ' ')}", str(a.get(name, "")), str(b.get(name, "")))


def _claim_differences(own: Expected, expected: Expected) -> Iterator[Difference]:
    """Currents and tolerance that the deck holds itself to."""
    if not 0 <= own.tolerance <= expected.tolerance * (1 + 1e-9):
        yield Difference("expected tolerance", f"{own.tolerance:g} A", f"at most {expected.tolerance:g} A")
    # A hundredth of the tolerance: an engine solves to far less, on any machine.
    off = ~(np.abs(own.current - expected.current) <= 0.01 * expected.tolerance)
    for column in np.flatnonzero(off):
        first, second = (f"{which.current[column]:.9g} A" for which in (own, expected))
        yield Difference(f"expected current of column {column}", first, second)


def _circuit_differences(deck: Deck, meant: Deck, compiled: Collection[Path]) -> Iterator[Difference]:
    """Devices, models, dot lines and commands; other files, and what ngspice refuses or ignores, first."""
    for name in sorted({statement.file for statement in deck.statements} - {""}):
        yield Difference(f"file {name}", "included: it may change behind the deck", "")
    circuit = expand(deck, compiled=compiled)
    for found in (*deck.findings, *vet(deck, compiled=compiled), *circuit.findings):
        if found.severity != "warning":
            yield Difference(f"line {found.line}", found.message, "")
    yield from _fact_differences(_facts(deck, circuit), _facts(meant, expand(meant, compiled=compiled)))
    yield from _command_differences(deck.commands, meant.commands)


def _statement_differences(first: str, second: str, dialect: Dialect) -> Iterator[Difference]:
    """Statements that two decks of one dialect do not share, by scope and name; their order does not matter."""
    a, b = (Counter(_statements(text, dialect)) for text in (first, second))
    only: dict[str, list[str]] = {}
    for side, counted in enumerate(((a - b).elements(), (b - a).elements())):
        for scope, statement in counted:
            words = statement.split()
            name = words[:2] if words[0].lstrip(".") == "model" else words[:1]
            key = " ".join(filter(None, (scope, *name)))
            only.setdefault(key, ["", ""])[side] += f"{statement}; "
    for where, (one, other) in sorted(only.items()):
        yield Difference(where, one.removesuffix("; "), other.removesuffix("; "))


def _statements(text: str, dialect: Dialect) -> Iterator[tuple[str, str]]:
    scope = ""
    for line in text.splitlines():
        said = line.partition(REMARKS[dialect] if dialect != "xyce" else ";")[0]
        words = spelled(said).replace("(", " (").split()
        if not words or (dialect == "xyce" and line.startswith("*")):
            continue
        if words[0].lstrip(".") == "ends":
            scope = ""
        yield scope, " ".join(words)
        if words[0].lstrip(".") == "subckt":
            scope = words[1]


def _facts(deck: Deck, circuit: Circuit) -> Facts:
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


def _fact_differences(a: Facts, b: Facts) -> Iterator[Difference]:
    """Facts that differ; of a device or model that only one has, its name alone."""
    names_a, names_b = {name for name, _ in a}, {name for name, _ in b}
    for name in sorted(names_a ^ names_b):
        only = {part: value for (owner, part), value in (a if name in names_a else b).items() if owner == name}
        text = " ".join(f"{part}={value}" if part else value for part, value in only.items()) or name
        yield Difference(name, text, "") if name in names_a else Difference(name, "", text)
    for key in sorted(a.keys() | b.keys()):
        if key[0] in names_a and key[0] in names_b and a.get(key) != b.get(key):
            yield Difference(" ".join(filter(None, key)), a.get(key, ""), b.get(key, ""))


def _command_differences(first: Iterable[Statement], second: Iterable[Statement]) -> Iterator[Difference]:
    """Commands that differ, in their order."""
    a, b = ([spelled(command.text) for command in commands] for commands in (first, second))
    if a == b:
        return
    for kind, start, end, begin, stop in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind != "equal":
            for place, (one, other) in enumerate(zip_longest(a[start:end], b[begin:stop], fillvalue=""), start + 1):
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
