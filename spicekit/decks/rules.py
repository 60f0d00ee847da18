"""Rules beside what ngspice says itself: what it runs but hardly anybody means, and what it ignores in silence."""

import re
from collections.abc import Iterator

from spicekit.decks.expansion import Circuit, Device
from spicekit.decks.source import Deck, Finding, Statement, bare_words, counted, finding, number

SANE_LENGTH = (1e-9, 1e-3)
"""Metres between which a transistor's length and width lie; outside, a unit was forgotten. Assumed."""


def title(deck: Deck) -> Iterator[Finding]:
    """A first line that looks like part of the circuit."""
    at = Statement(deck.title, 1)
    word = deck.title.split(None, 1)[0].lower() if deck.title.strip() else ""
    if word.startswith(".") and word != ".title":
        yield finding(at, "error", "title", "line 1 is the title: ngspice ignores it")
    elif _ELEMENT.fullmatch(deck.title):
        yield finding(at, "warning", "title", "line 1 is the title: ngspice ignores it")


def suffixes(deck: Deck) -> Iterator[Finding]:
    """Numbers whose suffix SPICE takes for something else than people do, or ignores."""
    for statement in deck.statements:
        text = statement.text
        if text.startswith(".") and statement.word not in (".model", ".param", ".tran", ".ac", ".dc", ".ic"):
            continue
        for digits, suffix in _SUFFIXED.findall(text.partition(" ")[2]):
            if suspicion := _suspicion(suffix):
                yield finding(statement, "warning", "suffix", f"{digits}{suffix} {suspicion}")
        for written in _INFIXED.findall(text.partition(" ")[2]):
            message = f"{written}: SPICE reads the digits up to the letter alone"
            yield finding(statement, "warning", "suffix", message)
        if not text.isascii():
            letters = " ".join(sorted({letter for letter in text if not letter.isascii()}))
            message = f"{letters} is no ASCII letter; ngspice ignores it behind a number"
            yield finding(statement, "warning", "suffix", message)


def references(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """Subcircuits that are not there, parameters that they do not have, definitions given twice.

    ngspice stops at the first of the former, and ignores the others in silence.
    """
    known, twice = _subcircuits(deck)
    yield from twice
    missing: dict[str, list[Statement]] = {}
    for statement in deck.statements:
        if statement.text[0] in "xX":
            words, names = bare_words(statement.text)
            if words and words[-1] not in known:
                missing.setdefault(words[-1], []).append(statement)
            for name in sorted(names - known.get(words[-1], names) - {"m"}) if words else ():
                message = f"{words[-1]} has no parameter {name}; ngspice ignores it"
                yield finding(statement, "error", "unknown-parameter", message)
    if any(found.rule == "undefined-subcircuit" for found in circuit.findings):
        for name, statements in missing.items():
            yield counted(statements, "undefined-subcircuit", f"there is no subcircuit {name}")


def analyses(deck: Deck) -> Iterator[Finding]:
    """A deck that asks for nothing."""
    words = {statement.word for statement in deck.statements} | {command.word for command in deck.commands}
    if not words & _ANALYSES:
        yield Finding("", 1, "warning", "analysis", "no analysis: ngspice reads this deck and runs nothing")


def values(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """Values that are zero or negative, or a transistor's size in the wrong unit; each statement once."""
    options = " ".join(s.text.lower() for s in deck.statements if s.word in (".option", ".options"))
    scale = number(match[1]) or 1.0 if (match := _SCALE.search(options)) else 1.0
    seen: set[tuple[Statement, tuple[str, ...]]] = set()
    for device in circuit.devices:
        if device.kind not in _POSITIVE or (device.at, device.words) in seen:
            continue
        seen.add((device.at, device.words))
        for name, text in _positive_values(device):
            value = number(text)
            if value is None:
                continue
            if value <= 0:
                cure = "; merge its nodes" if device.kind == "r" and value == 0 else ""
                message = f"{device.name}: {name} = {text} is not positive{cure}"
                yield finding(device.at, "warning", "value", message)
            elif (
                device.kind in "mn" and name in "lw" and not SANE_LENGTH[0] <= value * scale <= SANE_LENGTH[1]
            ):
                message = f"{device.name}: {name} = {text} is {value * scale:g} m, which no transistor has"
                yield finding(device.at, "warning", "value", message)


def absent_nodes(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """Outputs and measurements of nodes that are not in the circuit."""
    asking = [
        *(s for s in deck.statements if s.word in _OUTPUTS),
        *(c for c in deck.commands if c.word in ("meas", "print", "wrdata", "plot", "save", "write")),
    ]
    if not asking or not circuit.devices:
        return
    for statement in asking:
        for pair in _VOLTAGE.findall(statement.text.lower()):
            for node in re.split(r"[,\s]+", pair.strip()):
                if node not in circuit.uses and node not in ("0", "gnd") and not set(node) & set("#$*@\"'"):
                    message = f"there is no node {node}"
                    yield finding(statement, "error", "undefined-node", message)


# A name with a digit, two nodes or more, and a number, or a word that only sources have.
_ELEMENT = re.compile(
    r"\s*[rclvidmxq]\w*\d\w*(\s+\w+){2,}\s+(\w+\s*=.*|dc\b.*|[\d.]+(e-?\d+)?[a-z]*)", re.IGNORECASE
)
_ANALYSES = frozenset(
    dot + word
    for dot in (".", "")
    for word in ("ac", "dc", "disto", "noise", "op", "pss", "pz", "run", "sens", "sp", "tf", "tran")
)
_OUTPUTS = frozenset({".meas", ".measure", ".plot", ".print", ".probe", ".save", ".four"})
_VOLTAGE = re.compile(r"\bv\s*\(([^()]*)\)")
_SCALE = re.compile(r"\bscale\s*=\s*(\S+)")
_POSITIVE = {
    "r": ("r", "resistance", "m"),
    "c": ("c", "cap", "capacitance", "m"),
    "l": ("inductance", "m"),
    "m": ("l", "w", "m", "nf"),
    "n": ("l", "w", "m", "nf", "nfin"),
    "d": ("area", "m"),
}
_QUANTITIES = {"r": "resistance", "c": "capacitance", "l": "inductance"}
_SUFFIXED = re.compile(r"(?<![\w.#])((?>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))([a-zA-Z]+)(?![\w.:#])")
_INFIXED = re.compile(r"(?<![\w.#])\d+[kKmMuUnNpPfF]\d+(?![\w.:#])")
_UNITS = frozenset({"ohm", "ohms", "v", "h", "s", "hz", "c"})
_SCALES = frozenset("tgkmunpf")


def _suspicion(suffix: str) -> str:
    """What is wrong with a suffix; empty if nothing."""
    lowered = suffix.lower()
    if suffix[0] == "M" and not lowered.startswith(("meg", "mil")):
        return "is milli to SPICE, not mega"
    if suffix == "F":
        return "is femto to SPICE, not farad"
    if lowered == "a":
        return "is no atto to ngspice 39, which ignores the letter; later ones take it for 1e-18"
    if lowered[0] not in _SCALES and lowered not in _UNITS:
        return "has a suffix that SPICE ignores"
    return ""


def _positive_values(device: Device) -> Iterator[tuple[str, str]]:
    if device.kind in _QUANTITIES and device.words and "=" not in device.words[0]:
        yield _QUANTITIES[device.kind], device.words[0]
    for word in device.words:
        name, equals, text = word.partition("=")
        if equals and name in _POSITIVE[device.kind]:
            yield name, text


def _subcircuits(deck: Deck) -> tuple[dict[str, set[str]], list[Finding]]:
    """Parameters of subcircuits by name; ports that one has twice."""
    known: dict[str, set[str]] = {}
    twice: list[Finding] = []
    open_: list[str] = []
    for statement in deck.statements:
        word = statement.word
        if word in (".subckt", ".macro"):
            (name, *ports), names = (
                bare_words(statement.text) if len(statement.text.split()) > 1 else ([""], set())
            )
            open_.append(name)
            known.setdefault(name, set()).update(names)
            twice += [
                finding(statement, "error", "duplicate-name", f"{name} has two ports {port}")
                for port in sorted({port for port in ports if ports.count(port) > 1})
            ]
        elif word in (".ends", ".eom") and open_:
            open_.pop()
        elif word == ".param" and open_:
            known[open_[-1]] |= bare_words(statement.text)[1]
    return known, twice
