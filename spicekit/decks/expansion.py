"""What ngspice makes of a deck: its own expansion into flat devices with evaluated values, and its complaints.

ngspice resolves parameters, conditions, subcircuits and models as it will when it runs the deck, and sets the circuit
up, as before any analysis; no second grammar of ours has to agree with it. Commands are left out, so nothing is run.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from sys import intern
from typing import NamedTuple

from spicekit.circuits.spec import Header, read_header
from spicekit.decks.complaints import Lines, complaints, missing_models
from spicekit.decks.source import Deck, Finding, Statement, deck_text, finding, number
from spicekit.decks.vetting import vet
from spicekit.errors import BadInput
from spicekit.spice.batch import run_batch


class Device(NamedTuple):
    """A device of the flat circuit."""

    name: str
    """Lower case; one of instance `x1` is called `r.x1.r1`."""
    nodes: tuple[str, ...]
    controls: tuple[str, ...]
    """Nodes whose voltages it reads without drawing current."""
    words: tuple[str, ...]
    """Model, value and parameters."""
    at: Statement

    @property
    def kind(self) -> str:
        """Letter of the device."""
        return self.name[0]


@dataclass(frozen=True)
class Model:
    """A `.model` card with evaluated parameters."""

    type: str
    words: tuple[str, ...]
    at: Statement


@dataclass(frozen=True)
class Circuit:
    """A flat circuit. If `findings` hold an error, it may be less than the deck means, or nothing."""

    devices: tuple[Device, ...]
    models: Mapping[str, Model]
    findings: tuple[Finding, ...]
    """What ngspice says about it."""
    ports: frozenset[str] = frozenset()
    """Nodes that something outside drives: of a library, which holds subcircuits alone."""

    @cached_property
    def uses(self) -> Counter[str]:
        """How many connections a node has, those of voltages that are read included."""
        uses: Counter[str] = Counter()
        for device in self.devices:
            uses.update(device.nodes)
            if device.controls:
                uses.update(device.controls)
        return uses


def expand(deck: Deck, *, compiled: Collection[Path] = ()) -> Circuit:
    """The flat circuit that ngspice makes of a deck, without running it.

    Of a library, which holds subcircuits alone, each that no other uses is expanded once, its ports as nodes.
    Statements that are not known to be harmless are left out; `check` reports them.

    Raises
    ------
    MissingTool, SpiceFailed
        If ngspice is not there, or does not come to an end.
    """
    shape = deck.outline
    library = {} if shape.elements else {n: p for n, p in shape.subcircuits.items() if n not in shape.nested}
    users = [Statement(" ".join([f"x{name}", *ports, name]), 0) for name, ports in library.items()]
    statements, loads = _given(deck, users, compiled)
    lossy = any(s.word[0] in "opty" for s in statements)  # which crash it then
    apart = len(statements) > _LARGE and not lossy
    timeout = _longest(statements)
    commands = [*loads, f"listing expand > {_LISTING}", *([] if apart else [_SET_UP]), "quit 0"]
    run = run_batch(deck_text(statements, commands), timeout=timeout, compiled=compiled)
    listing = run.files.get(_LISTING, "")
    lines = Lines(statements)
    devices, models, findings = _listed(listing, lines)
    findings += complaints(run.output, lines)
    status, output = run.status, run.output
    if apart and not status:
        some = one_of_each(statements)
        run = run_batch(deck_text(some, [*loads, _SET_UP, "quit 0"]), timeout=timeout, compiled=compiled)
        findings += complaints(run.output, Lines(some))
        status, output = run.status, run.output
    if status:
        findings += missing_models(output, lines)
    unique = tuple(sorted(set(findings)))
    taken = not status and listing and _NOWHERE in output and (devices or not shape.elements)
    if not taken and not any(f.severity == "error" for f in unique):
        said = " ".join(output.split())[-300:] or "nothing"
        message = f"ngspice does not take this deck (exit status {status}); it said: {said}"
        unique += (Finding("", 1, "error", "ngspice", message),)
    ports = frozenset(port for ports in library.values() for port in ports)
    return Circuit(tuple(devices), models, unique, ports)


def expanded(deck: Deck, *, compiled: Collection[Path] = (), called: str = "the deck") -> Circuit:
    """The flat circuit of a deck that ngspice takes as it stands.

    Raises
    ------
    BadInput
        If a line cannot be read, or ngspice refuses or ignores something; `called` says which deck it is.
    """
    circuit = expand(deck, compiled=compiled)
    errors = [f for f in (*deck.findings, *circuit.findings) if f.severity != "warning"]
    if errors:
        first = errors[0]
        raise BadInput(f"{called}: {len(errors)} errors, the first on line {first.line}: {first.message}")
    return circuit


def has_operating_point(deck: Deck, *, compiled: Collection[Path] = ()) -> bool:
    """Whether ngspice finds an operating point of a deck, or one for each of its transients is not asked for."""
    asked = [s for s in deck.statements if s.word in (".op", ".dc", ".ac", ".tran", ".tf")]
    if asked and all(s.word == ".tran" and s.text.lower().split()[-1] == "uic" for s in asked):
        return True
    statements, loads = _given(deck, (), compiled)
    text = deck_text(statements, [*loads, "op", "if $sim_status <> 0", "quit 1", "end", "quit 0"])
    return run_batch(text, timeout=_longest(statements), compiled=compiled).status == 0


def one_of_each(statements: list[Statement]) -> list[Statement]:
    """What ngspice tells apart as it sets devices up: of instances, resistors and capacitors of the top level that are
    alike but for the names of their nodes one each, all else of the circuit, no analysis and no output.

    >>> cells = [Statement(text, 1) for text in ("X1 a b c", "X2 b d c", "X3 a a c", "R1 a 0 1", ".op")]
    >>> [statement.text for statement in one_of_each(cells)]
    ['X1 a b c', 'X3 a a c', 'R1 a 0 1']
    """
    words = {statement.word for statement in statements}
    if words & {".global", ".if"}:  # they give names and places a meaning
        return statements
    named = {x for s in statements if s.word[0] in "bfhkw" for x in _INSTANCE.findall(s.text.lower())}
    kept: list[Statement] = []
    seen: set[tuple[str | int, ...]] = set()
    depth = 0
    for statement in statements:
        word = statement.word
        depth += (word in (".subckt", ".macro")) - (word in (".ends", ".eom"))
        if word[0] == ".":
            if word in _DESCRIBING:
                kept.append(statement)
            continue
        if not depth and word[0] in "rcx" and word not in named:
            _, *rest = _SPACED.sub("=", statement.text.lower()).split()
            first = next((n for n, part in enumerate(rest) if "=" in part or part == "params:"), len(rest))
            count = first - 1 if word[0] == "x" else 2
            nodes, rest = rest[:count], rest[count:]
            alike = (word[0], *(n if n in ("0", "gnd") else nodes.index(n) for n in nodes), *rest)
            if alike in seen:
                continue
            seen.add(alike)
        kept.append(statement)
    return kept


_LISTING = "listing.txt"
_NOWHERE = "v.nowhere"
_SET_UP = f"dc {_NOWHERE} 0 1 1"
"""ngspice sets the devices up before it looks for the source: then it finds what they refer to, and what cannot be."""

_LARGE = 10_000
"""Statements above which devices that are alike are set up once, in a run of its own: on a full 128 x 128 tile that
takes a quarter of ngspice's processor time away, 3.9 to 2.9 s, and a twentieth of its memory."""
_DESCRIBING = frozenset(
    [".csparam", ".ends", ".eom", ".func", ".macro", ".model", ".options", ".param", ".subckt", ".temp"]
)
_INSTANCE = re.compile(r"\bx\w+")
_CUT = 4096  # characters of a card, about, behind which a listing stops
_CONNECTION = re.compile(r"(?<![%\w])[^\s%~()\[\],]+")
_SPACED = re.compile(r"\s*=\s*")
_VOLTAGE = re.compile(r"\bv\s*\(([^()]*)\)")
# Least number of nodes of a device, by letter; of E, G, S the last two are read alone. More stand up to the model.
_NODES = {letter: count for count, letters in ((2, "bcdfhilnrvw"), (3, "jmquz"), (4, "egopsty")) for letter in letters}


def _given(deck: Deck, users: Sequence[Statement], compiled: Collection[Path]) -> tuple[list[Statement], list[str]]:
    """What ngspice may be given: the harmless statements and ours, and commands that load compiled models."""
    objections = {(found.file, found.line) for found in vet(deck, compiled=compiled)}
    statements = [s for s in deck.statements if (s.file, s.line) not in objections]
    loads = [c.text for c in deck.commands if c.word == "pre_osdi" and (c.file, c.line) not in objections]
    return [*statements, *users], loads


def _longest(statements: Sequence[Statement]) -> float:
    """Seconds that reading them may take: an idle machine reads some 30,000 in one; some decks never end."""
    return 120 + len(statements) / 100


def _listed(text: str, lines: Lines) -> tuple[list[Device], dict[str, Model], list[Finding]]:
    """Devices and models of a listing, and what ngspice attached to its cards."""
    devices: list[tuple[int, str]] = []
    models: dict[str, Model] = {}
    findings: list[Finding] = []
    at = Statement("", 1)
    for line in text.split("\n")[2:]:
        place, colon, body = line.partition(" : ")
        if not colon or not place.strip().isdigit():
            if line.strip():
                findings.append(finding(at, "error", "ngspice", line.strip()))
            continue
        count, body = int(place), body.strip()
        if len(line) > _CUT:  # what ngspice cuts off is compared as written
            written = lines.at(count - 1, body).text
            body = f"{body.rpartition(' ')[0]} written={''.join(written.lower().split())}"
        if body.startswith(".model"):
            _, name, rest = (*body.split(None, 2), "")[:3]
            kind, *words = _SPACED.sub("=", rest.replace("(", " ").replace(")", " ")).split() or [""]
            at, card = lines.at(count - 1, ".model"), f".model {name.rpartition(':')[2]}"
            if not " ".join(at.text.lower().split()).startswith(f"{card} "):
                at = lines.named(card) or at
            first = models.setdefault(name, Model(kind, tuple(words), at))
            if (first.type, first.words) != (kind, tuple(words)):
                message = f"model {name} is defined before, and otherwise; ngspice takes the first"
                findings.append(finding(at, "error", "duplicate-name", message))
        elif body.startswith("."):
            at = lines.at(count - 1, body)
        elif count > 1:
            devices.append((count - 1, body))
    names = model_names(models)
    flat: list[Device] = []
    for count, body in devices:
        device = _device(lines, count, body, names)
        if len(device.nodes) < min(2, _NODES.get(device.kind, 0)):
            message = f"{device.name} has too few nodes, which ngspice takes all the same"
            findings.append(finding(device.at, "warning", "port-count", message))
        else:
            flat.append(device)
    return flat, models, findings


def _device(lines: Lines, count: int, body: str, models: Collection[str]) -> Device:
    if " =" in body or "= " in body:
        body = _SPACED.sub("=", body)
    name, *words = map(intern, body.split())
    kind = name[0]
    nodes = least = _NODES.get(kind, 0)
    controls = 0
    if kind in "qmdnp":  # optional nodes stand before the model
        nodes = next((place for place in range(least, len(words)) if words[place] in models), least)
    elif kind in "egs":
        nodes, controls = 2, 2
        words = [*_CONNECTION.findall(" ".join(words[:4])), *words[4:]]  # `(a 0)` and `a 0` are the same
    elif kind == "a":  # connections in brackets, with their types
        words = [*_CONNECTION.findall(" ".join(words[:-1])), *words[-1:]]
        nodes = len(words) - 1
    reads = words[nodes : nodes + controls]
    if kind == "b":
        reads += [node.strip() for pair in _VOLTAGE.findall(body) for node in pair.split(",")]
    return Device(name, tuple(words[:nodes]), tuple(reads), tuple(words[nodes + controls :]), lines.at(count, name))


def model_names(models: Iterable[str]) -> frozenset[str]:
    """Names that a device may call its model by: bins of a card have numbers, `nch.1`."""
    return frozenset(models) | {name.rpartition(".")[0] for name in models if name.endswith((".0", ".1"))}


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
