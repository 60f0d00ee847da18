"""Reads a deck into elements, models and subcircuits, without running anything.

A deck is untrusted text. A line that cannot be read becomes a finding; none is skipped in silence. Names are
lower case, as ngspice takes them; values stay as written, so that `1M` (milli to SPICE, mega to people)
can be seen.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spicekit.errors import BadInput

Parameters = dict[str, str]
"""Values as written, by lower-case name."""


@dataclass(frozen=True)
class Statement:
    """A line, with its continuation lines joined."""

    text: str
    line: int


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong with a deck."""

    line: int
    severity: Literal["error", "warning"]
    rule: str
    message: str


@dataclass(frozen=True)
class Element:
    """An instance of a device or of a subcircuit."""

    name: str
    nodes: tuple[str, ...]
    controls: tuple[str, ...]
    """Nodes whose voltages it reads without drawing current."""
    model: str
    """Model or subcircuit; empty if it has none."""
    value: str
    """What else stands without a name: a resistance, a waveform, an expression."""
    parameters: Parameters
    line: int

    @property
    def kind(self) -> str:
        """Letter of the device: `r`, `m`, `x`."""
        return self.name[0]


@dataclass(frozen=True)
class Model:
    """A `.model` card."""

    name: str
    type: str
    parameters: Parameters
    line: int


@dataclass(frozen=True)
class Scope:
    """The top level of a deck (without name and ports), or a subcircuit."""

    name: str
    ports: tuple[str, ...]
    parameters: Parameters
    elements: tuple[Element, ...]
    models: tuple[Model, ...]
    subcircuits: tuple["Scope", ...]
    statements: tuple[Statement, ...]
    """Other dot lines: `.temp`, `.options`, `.nodeset`."""
    line: int


@dataclass(frozen=True)
class Deck:
    """A parsed deck."""

    comments: tuple[str, ...]
    """Without their `*`; the title, which ngspice takes for a comment, comes first."""
    top: Scope
    commands: tuple[Statement, ...]
    """Lines of `.control` sections, and of comments that ngspice executes: `*#`, `*ng_script`."""
    findings: tuple[Finding, ...]
    """Lines that could not be read."""


def read_deck(path: Path) -> Deck:
    """Deck from a file.

    Raises
    ------
    BadInput
        If the file cannot be read, is not text, or is larger than any deck of a tile.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"{path}: is larger than {_LARGEST >> 20} MiB, which no deck of a tile is.")
        return parse_deck(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); pass a SPICE deck.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is not UTF-8 text; pass a SPICE deck.") from error


def parse_deck(text: str) -> Deck:
    """Deck from its text.

    >>> (load,) = parse_deck("title\\nRload out 0 1k\\n.end").top.elements
    >>> load.nodes, load.value
    (('out', '0'), '1k')
    """
    comments: list[str] = []
    commands: list[Statement] = []
    findings: list[Finding] = []
    cards = _cards(text, comments, commands, findings)
    top = _scope(cards, findings, _Head("", (), {}, 1), depth=0)
    return Deck(tuple(comments), top, tuple(commands), tuple(findings))


def readable(deck: Deck) -> Deck:
    """The deck itself, if every line of it was read; else `BadInput`: what it lacks would go unnoticed."""
    if deck.findings:
        first = min(deck.findings)
        raise BadInput(
            f"the deck has {len(deck.findings)} lines that cannot be read, the first on line {first.line}: "
            f"{first.message[:80]}; 'spicekit netlist check' lists them."
        )
    return deck


def number(text: str) -> float | None:
    """Value of a SPICE number with its scale suffix; None for expressions and what is no number.

    >>> number("1k"), number("1M"), number("1Meg"), number("{gap}")
    (1000.0, 0.001, 1000000.0, None)
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    digits, suffix = match.groups()
    scale = next((factor for name, factor in _SCALES.items() if suffix.lower().startswith(name)), 1.0)
    return float(digits) * scale


_LARGEST = 64 << 20  # bytes; the full deck of 256 x 256 cells takes a fifth of it
_DEEPEST = 20  # subcircuits defined within each other; bounds the recursion

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([a-zA-Z]*)")
_SCALES = {  # longest names first
    "meg": 1e6,
    "mil": 25.4e-6,
    "t": 1e12,
    "g": 1e9,
    "k": 1e3,
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
    "f": 1e-15,
}
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e]")
_INLINE_COMMENT = re.compile(r";|\s\$\s|//")
_TOKEN = re.compile(r"(?:\{[^{}]*\}|'[^']*'|\([^()]*\)|[^\s{}'()])+")
_MODEL = re.compile(r"\.model\s+(\S+)\s+([a-z]\w*)\s*(?:\((.*)\)|([^(].*)?)", re.IGNORECASE | re.DOTALL)
_VOLTAGE = re.compile(r"\bv\s*\(([^()]*)\)", re.IGNORECASE)


@dataclass(frozen=True)
class _Head:
    name: str
    ports: tuple[str, ...]
    parameters: Parameters
    line: int


def _cards(
    text: str, comments: list[str], commands: list[Statement], findings: list[Finding]
) -> Iterator[Statement]:
    """Statements of the circuit; comments, commands and findings are put where they belong."""
    card: list[str] = []
    start, in_control, ended = 0, False, False
    for count, raw in enumerate(text.split("\n"), 1):  # the only line break that ngspice knows
        line = raw.strip(" \t\r")
        word = line.split(None, 1)[0].lower() if line else ""
        is_comment = count == 1 or word.startswith("*")
        if (is_comment and word.startswith(".")) or (not is_comment and _UNPRINTABLE.search(line)):
            findings.append(_syntax("ngspice may take this line for something else than it looks", count))
        if word.startswith(("*#", "*ng_script")):
            commands.append(Statement(line.removeprefix("*#").strip(), count))
        elif is_comment:
            comments.append(line.removeprefix("*").removeprefix(" "))
        elif word in (".control", ".endc"):
            in_control = word == ".control"
        elif in_control:
            if line:
                commands.append(Statement(line, count))
        elif line.startswith("+") and card:
            card.append(_without_comment(line[1:]))
        elif line := _without_comment(line):
            if card:
                yield Statement(" ".join(card), start)
            if ended:
                findings.append(_syntax("stands behind .end", count))
            ended = ended or word == ".end"
            card, start = ([] if ended else [line]), count
    if card:
        yield Statement(" ".join(card), start)
    if in_control:
        findings.append(_syntax(".control has no .endc", count))


def _syntax(message: str, line: int) -> Finding:
    return Finding(line, "error", "syntax", message)


def _without_comment(line: str) -> str:
    return _INLINE_COMMENT.split(line, maxsplit=1)[0].strip()


def _scope(cards: Iterator[Statement], findings: list[Finding], head: _Head, *, depth: int) -> Scope:
    """Everything up to the `.ends` that closes `head`."""
    elements: list[Element] = []
    models: list[Model] = []
    subcircuits: list[Scope] = []
    statements: list[Statement] = []
    closed = depth == 0
    for card in cards:
        word = card.text.split(None, 1)[0].lower()
        try:
            if word == ".subckt":
                if depth == _DEEPEST:
                    raise ValueError(f"subcircuits are defined more than {_DEEPEST} deep")
                subcircuits.append(_scope(cards, findings, _head(card), depth=depth + 1))
            elif word == ".ends":
                if depth == 0:
                    raise ValueError(".ends without .subckt")
                closed = True
                break
            elif word == ".model":
                models.append(_model(card))
            elif word.startswith("."):
                statements.append(card)
            else:
                elements.append(_element(card))
        except ValueError as error:
            findings.append(_syntax(str(error), card.line))
    if not closed:
        findings.append(_syntax(f".subckt {head.name} has no .ends", head.line))
    return Scope(
        name=head.name,
        ports=head.ports,
        parameters=head.parameters,
        elements=tuple(elements),
        models=tuple(models),
        subcircuits=tuple(subcircuits),
        statements=tuple(statements),
        line=head.line,
    )


def _head(card: Statement) -> _Head:
    words, parameters = _words(card.text)
    if len(words) < 2:
        raise ValueError(".subckt has no name")
    name, *ports = _lower(words[1:])
    return _Head(name, tuple(ports), parameters, card.line)


def _model(card: Statement) -> Model:
    match = _MODEL.fullmatch(card.text)
    if match is None:
        raise ValueError(".model needs a name, a type and balanced brackets")
    name, kind, inside, bare = match.groups()
    words, parameters = _words(inside or bare or "")
    if words:
        raise ValueError(f".model {name}: '{words[0]}' is not name=value")
    return Model(name.lower(), kind.lower(), parameters, card.line)


def _element(card: Statement) -> Element:
    kind = card.text[0].lower()
    if kind in "vibefgh":
        return _source(card)
    words, parameters = _words(card.text)
    name, *words = words or [""]
    value = model = ""
    if kind in "md" and words and words[-1].lower() == "off":
        words.pop()
        parameters["off"] = ""  # the one parameter without a value
    if kind in "mnx":  # n: an instance of a compiled Verilog-A model
        if len(words) < 2:
            raise ValueError(f"{name}: names no nodes or no {'subcircuit' if kind == 'x' else 'model'}")
        *nodes, model = words
    elif kind in "rcld":
        if len(words) < 2 or not (words[2:] or parameters):
            raise ValueError(f"{name}: needs two nodes and a {'model' if kind == 'd' else 'value'}")
        nodes, rest = words[:2], words[2:]
        if rest and number(rest[0]) is None and rest[0][0] not in "{'":
            model, *rest = rest
        value = " ".join(rest)
    else:
        raise ValueError(f"{name}: a device '{kind}' is not known to this reader")
    return Element(name.lower(), _lower(nodes), (), model.lower(), value, parameters, card.line)


def _source(card: Statement) -> Element:
    """A source: two nodes, then its own syntax, kept as text apart from the nodes that it reads."""
    name, *words = card.text.split(None, 3)
    if len(words) < 3:
        raise ValueError(f"{name}: needs two nodes and a value")
    first, second, value = words
    controls = [node for pair in _VOLTAGE.findall(value) for node in re.split(r"[,\s]+", pair.strip())]
    linear = value.split()
    if name[0] in "eEgG" and len(linear) == 3 and "=" not in value:
        controls += linear[:2]
    return Element(name.lower(), _lower([first, second]), _lower(controls), "", value, {}, card.line)


def _lower(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _words(text: str) -> tuple[list[str], Parameters]:
    """Words and name=value pairs, lower-case but for the values."""
    text = re.sub(r" ?= ?", "=", " ".join(text.split()))
    if _TOKEN.sub("", text).strip():
        raise ValueError("brackets or quotes are not balanced")
    words, parameters = [], {}
    for token in _TOKEN.findall(text):
        name, equals, value = token.partition("=")
        if not equals or token[0] in "{'(":
            words.append(token)
        elif not value or not name:
            raise ValueError(f"'{token}' is not name=value")
        elif name.lower() in parameters:
            raise ValueError(f"parameter '{name.lower()}' is given twice")
        else:
            parameters[name.lower()] = value
    if words and words[-1].lower() == "params:":
        words.pop()
    return words, parameters
