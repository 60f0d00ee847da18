"""Rules beside what ngspice says itself: what it runs but hardly anybody means, and what it ignores in silence."""

import math
import re
from collections.abc import Iterator

from spicekit.decks.expansion import Circuit, Device, model_names
from spicekit.decks.source import Deck, Finding, Statement, assigned, bare_words, counted, finding, number

SANE_OXIDE = (1e-10, 1e-6)
"""Metres between which an oxide's thickness lies; likewise."""
SANE_SIZES = {"l": (1e-9, 1e-3), "w": (1e-9, 0.1)}
"""Metres between which a transistor's length and width lie; outside, a unit was forgotten. Assumed."""
HOTTEST = 250.0
"""Degrees Celsius, above which a temperature was meant in kelvin. Assumed: silicon carbide is simulated that hot."""


def title(deck: Deck) -> Iterator[Finding]:
    """A first line that looks like part of the circuit, or is all that there is."""
    at = Statement(deck.title, 1)
    if not (deck.statements or deck.commands or deck.findings):
        yield finding(at, "error", "title", "nothing follows line 1, the title (lines end in a line feed)")
        return
    word = deck.title.split(None, 1)[0].lower() if deck.title.strip() else ""
    if word.startswith(".") and word != ".title":
        yield finding(at, "error", "title", "line 1 is the title: ngspice ignores it")
    elif _ELEMENT.fullmatch(deck.title):
        yield finding(at, "warning", "title", "line 1 is the title: ngspice ignores it")


def suffixes(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """Numbers that SPICE takes for something else than people do: by their suffix, a comma, or a scale of degrees."""
    names = {s.text.lower().split()[1] for s in deck.statements if s.word == ".model" and " " in s.text}
    names |= {node.rpartition(".")[2] for node in circuit.uses if node[0].isdigit() or "." in node}
    for statement in deck.statements:
        text = statement.text
        if text.startswith(".") and statement.word not in (".model", ".param", ".tran", ".ac", ".dc", ".ic"):
            continue
        for digits, suffix in _SUFFIXED.findall(text.partition(" ")[2]):
            if (suspicion := _suspicion(suffix)) and f"{digits}{suffix}".lower() not in names:
                yield finding(statement, "warning", "suffix", f"{digits}{suffix} {suspicion}")
        for written in _INFIXED.findall(text.partition(" ")[2]):
            if written.lower() not in names:
                message = f"{written}: SPICE reads the digits up to the letter alone"
                yield finding(statement, "warning", "suffix", message)
        for written in filter(_COMMA.fullmatch, text.split()[3:] if text[0].lower() in "rclvi" else ()):
            yield finding(statement, "warning", "value", f"{written} is two numbers; write 1.5 for one and a half")
        if not text.isascii():
            letters = " ".join(sorted({letter for letter in text if not letter.isascii()}))
            message = f"{letters} is no ASCII letter; ngspice ignores it behind a number"
            yield finding(statement, "warning", "suffix", message)


def temperatures(deck: Deck) -> Iterator[Finding]:
    """Temperatures that nobody means in degrees Celsius."""
    for statement in deck.statements:
        text = statement.text.lower()
        given = text.split()[1:] if statement.word == ".temp" else _TEMPERATURE.findall(text)
        for celsius in filter(None, map(number, given)):
            if celsius > HOTTEST:
                message = f"{celsius:g} degrees Celsius: SPICE counts no kelvin"
                yield finding(statement, "warning", "value", message)


def references(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """Subcircuits that are not there, parameters that they do not have, definitions given twice.

    ngspice stops at the first of the former, ignores parameters that are not there and names behind `.ends`, and takes
    the last of values given twice, all in silence.
    """
    known = deck.outline.parameters
    missing: dict[str, list[Statement]] = {}
    inside: list[str] = []  # subcircuits and conditions, one in the other
    given: set[tuple[str, ...]] = set()
    for statement in deck.statements:
        if statement.word == ".if":
            inside.append("")
        elif statement.word in (".ends", ".eom", ".endif"):
            closed, named = inside[-1:], bare_words(statement.text)[0][:1]
            if closed and named and named != closed:
                yield finding(statement, "warning", "syntax", f"ends {closed[0]}; ngspice ignores the name")
            del inside[-1:]
        elif statement.word == ".param" and "" not in inside:
            for name in assigned(statement.text):
                if (*inside, name) in given:
                    message = f"parameter {name} is given twice; ngspice takes the last value everywhere"
                    yield finding(statement, "warning", "duplicate-name", message)
                given.add((*inside, name))
        if statement.word in (".subckt", ".macro"):
            name, *ports = bare_words(statement.text)[0] or [""]
            inside.append(name)
            for port in sorted({port for port in ports if ports.count(port) > 1}):
                yield finding(statement, "error", "duplicate-name", f"{name} has two ports {port}")
        if statement.text[0] in "xX":
            words, names = bare_words(statement.text)
            if words and words[-1] not in known:
                missing.setdefault(words[-1], []).append(statement)
            for name in sorted(names - known.get(words[-1], names) - {"m"}) if words else ():
                does = "ignores it" if known[words[-1]] else "refuses the deck"
                message = f"{words[-1]} has no parameter {name}; ngspice {does}"
                yield finding(statement, "error", "unknown-parameter", message)
    if any(found.rule == "undefined-subcircuit" for found in circuit.findings):
        for name, statements in missing.items():
            yield counted(statements, "undefined-subcircuit", f"there is no subcircuit {name}")


def analyses(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """Analyses that are not there, that nothing drives, or that `ngspice -b` does not run."""
    words = {s.word for s in deck.statements} | {f".{c.word}" for c in deck.commands}
    if not words & _ANALYSES:
        yield Finding("", 1, "warning", "analysis", "no analysis: ngspice reads this deck and runs nothing")
    silent = not deck.commands and not words & {".print", ".plot", ".four", ".meas", ".measure"}
    driven = any("ac" in device.words for device in circuit.devices if device.kind in "vi")
    for statement in deck.statements:
        word, kind = statement.word, "." + "".join(statement.text.lower().split(None, 2)[1:2])
        if word in (".ac", ".dc", ".noise", ".tran") and silent:
            message = "'ngspice -b' does not run this without .print, .plot, .four or .meas, or a file for -r"
            yield finding(statement, "warning", "analysis", message)
        if word == ".ac" and circuit.devices and not driven:
            yield finding(statement, "warning", "analysis", "no source has an ac value: all comes out as zero")
        if word in (".ac", ".dc") and (wrong := _empty_sweep(word, statement.text.lower().split()[1:])):
            yield finding(statement, "error", "analysis", wrong)
        step, stop = [*map(number, statement.text.split()[1:3]), None, None][:2]
        if word == ".tran" and step and stop and step > stop:
            yield finding(statement, "warning", "analysis", "its step is longer than all of it")
        if word in (".meas", ".measure") and kind in _MEASURABLE - words:
            yield finding(statement, "error", "analysis", f"there is no {kind} to measure")
        if word in (".print", ".plot") and kind not in words:
            wrong = f"there is no {kind}" if kind in _ANALYSES else "names no analysis, as .print tran does"
            yield finding(statement, "error", "analysis", f"{wrong}: ngspice prints nothing")
    for statement in (*deck.statements, *deck.commands):
        if statement.word.removeprefix(".") in ("meas", "measure"):
            function = statement.text.lower().replace("=", " ").split()[3:4]
            if function and function[0] not in _FUNCTIONS:
                message = f"ngspice has no measurement '{function[0]}'; it has {', '.join(sorted(_FUNCTIONS))}"
                yield finding(statement, "error", "undefined-function", message)


def _empty_sweep(word: str, words: list[str]) -> str:
    """What ngspice refuses of a sweep, steps through for ever or finds no point in; empty if nothing."""
    if word == ".ac":
        count, first, last = [*map(number, words[1:4]), None, None, None][:3]
        if first is not None and first <= 0:
            return "its first frequency is not positive"
        base = {"dec": 10, "oct": 2}.get(words[0]) if words else None
        if base and count and first and last and first < last and count * math.log(last / first, base) < 1:
            return "less than one step: the sweep never ends"
        return "its last frequency lies below its first: no point" if first and last and last < first else ""
    for sweep in (words[at : at + 4] for at in range(0, len(words), 4)):
        first, last, step = [*map(number, sweep[1:]), *[0.0] * 3][:3]
        if first != last and step == 0:
            return f"the step of {sweep[0]} is missing or zero: the sweep never ends"
        if first is not None and last is not None and step is not None and (last - first) * step < 0:
            return f"the step of {sweep[0]} leads away from its end: no point"
    return ""


def values(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """Values that are zero or negative, or a transistor's size in the wrong unit; each statement once."""
    options = " ".join(s.text.lower() for s in deck.statements if s.word == ".options")
    scale = number(match[1]) or 1.0 if (match := _SCALE.search(options)) else 1.0
    for model in circuit.models.values():
        for name, _, text in (word.partition("=") for word in model.words):
            if name in _OXIDES and (value := number(text)) and not SANE_OXIDE[0] <= value <= SANE_OXIDE[1]:
                message = f"{name} = {text} is in metres, and no oxide's thickness"
                yield finding(model.at, "warning", "value", message)
    seen: set[tuple[Statement, tuple[str, ...]]] = set()
    for device in circuit.devices:
        if (device.at, device.words) in seen:
            continue
        seen.add((device.at, device.words))
        if device.kind in "vi" and (pulse := _PULSE.search(" ".join(device.words))):
            *parts, period = [*map(number, _PARTED.split(pulse[1])[3:7]), *[None] * 4][:4]
            lasts = sum(filter(None, parts))
            if period and lasts > period * (1 + 1e-9):
                message = f"{device.name}: its period is {period:g} s, its edges and width {lasts:g} s: no full pulse"
                yield finding(device.at, "warning", "value", message)
        if device.kind not in _POSITIVE:
            continue
        names = [name for name, equals, _ in (word.partition("=") for word in device.words) if equals]
        if device.words and "=" not in device.words[0] and device.kind in _QUANTITIES:
            names.append(device.kind)
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield finding(device.at, "warning", "value", f"{device.name}: {name} is said twice")
        for name, text in _positive_values(device):
            value = number(text)
            if value is None:
                continue
            if value <= 0:
                cure = "; merge its nodes" if name == "resistance" and value == 0 else ""
                message = f"{device.name}: {name} = {text} is not positive{cure}"
                yield finding(device.at, "warning", "value", message)
                continue
            low, high = SANE_SIZES.get(name, (0, math.inf)) if device.kind in "mn" else (0, math.inf)
            if not low <= value * scale <= high:
                message = f"{device.name}: {name} = {text} is {value * scale:g} m, which no transistor has"
                yield finding(device.at, "warning", "value", message)


def absent(deck: Deck, circuit: Circuit) -> Iterator[Finding]:
    """What analyses, outputs and commands name that is not in the circuit: nodes, sources, devices, measurements."""
    commands = [c for c in deck.commands if c.word in _ASKING]
    asking = [*(s for s in deck.statements if s.word.startswith(".") and s.word[1:] in _ASKING), *commands]
    if not asking or not circuit.devices:
        return
    kinds = {device.name: device.kind for device in circuit.devices}
    models = model_names(circuit.models)
    probes = " ".join(s.text.lower() for s in deck.statements if s.word == ".probe")
    measured = {words[2] for s in asking if len(words := s.text.lower().split()) > 2}
    measured |= {name for s in deck.statements for name in _DEFINED.findall(s.text.lower())}
    for statement in asking:
        for what, name in _named(statement):
            if set(name) & set("$*?\"'{}#") or (what != "param" and name in ("0", "gnd", "all", "alli")):
                continue
            missing = ""
            if what == "node" and name not in circuit.uses:
                missing = f"there is no node {name}"
            elif what == "param" and name not in measured:
                missing = f"no measurement or parameter is called {name}"
            elif what == "source" and kinds.get(name, "") not in ("v", "i", "r") and name != "temp":
                missing = f"there is no source {name}"
            elif what == "device" and name not in kinds and name not in models:
                missing = f"there is no device or model {name}"
            elif what == "current" and name not in kinds:
                missing = f"there is no device {name}"
            elif what == "current" and kinds[name] in _BRANCHLESS and not ("alli" in probes or f"i({name}" in probes):
                missing = f"ngspice keeps no current of {name}; ask for it with .probe i({name})"
            if missing:
                yield finding(statement, "error", "undefined-" + ("parameter" if what == "param" else what), missing)


def _named(statement: Statement) -> Iterator[tuple[str, str]]:
    """What a statement or command names: node, current, device, source or param, and the name."""
    text = statement.text.lower()
    word, *words = _GROUPED.findall(text)
    word = word.removeprefix(".")
    for pair in _VOLTAGE.findall(text):
        yield from (("node", node) for node in re.split(r"[,\s]+", pair.strip()))
    yield from (("current", name) for pair in _CURRENT.findall(text) for name in pair if name)
    yield from (("device", name) for name in _PARAMETER.findall(text))
    if word == "dc":
        yield from (("source", name) for name in words[:5:4])
    elif word in ("tf", "noise"):
        yield from (("source", name) for name in words[1:2])
    elif statement.word in (".print", ".plot") and words and words[0] in ("ac", "dc", "op", "tran"):
        words = _SPACES.sub("", text).split()[2:]
        yield from (("node", name) for name in words if _NAME.fullmatch(name) and name not in ("frequency", "time"))
    elif word == "pz":
        yield from (("node", name) for name in words[:4])
    elif word == "alter" and words and not words[0].startswith("@"):
        yield "device", words[0].partition("=")[0]
    elif word == "altermod" and "@" not in text:
        names = text.partition("=")[0].split()[1:]
        yield from (("device", name) for name in names[: -1 if "=" in text else -2])
    elif word in ("meas", "measure") and (match := _EXPRESSION.search(text)):
        yield from (("param", name) for name in _OPERAND.findall(match[1]))


# A name with a digit, two nodes or more, and a number, or a word that only sources have.
_ELEMENT = re.compile(r"\s*[rclvidmxq]\w*\d\w*(\s+\w+){2,}\s+(\w+\s*=.*|dc\b.*|[\d.]+(e-?\d+)?[a-z]*)", re.IGNORECASE)
_ANALYSES = frozenset([".ac", ".dc", ".disto", ".noise", ".op", ".pss", ".pz", ".run", ".sens", ".sp", ".tf", ".tran"])
_FUNCTIONS = frozenset(
    ["avg", "delay", "find", "integ", "max", "max_at", "min", "min_at", "param", "pp", "rms", "trig", "when"]
)
"""What ngspice 39 computes; `deriv` and `err` it knows, and refuses."""
_MEASURABLE = frozenset({".ac", ".dc", ".noise", ".sp", ".tran"})
# What names parts of the circuit, with a dot or as a command.
# fmt: off
_ASKING = frozenset({
    "alter", "altermod", "dc", "four", "let", "meas", "measure", "noise", "plot", "print", "probe", "pz", "save",
    "sens", "tf", "wrdata", "write",
})
# fmt: on
_VOLTAGE = re.compile(r"\bv(?:db|[impr])?\s*\(([^()]*)\)")
_CURRENT = re.compile(r"(?<![\w.])i\s*\(\s*([^\s(),]+)(?=[^()]*\))|(?<![\w.:])([\w.]+)#branch")
_NAME = re.compile(r"[a-z_][\w.]*")
_SPACES = re.compile(r"\s+(?=[(),])|(?<=[(,])\s+")
_PARAMETER = re.compile(r"@([^\s\[\]=]+)\[")
_GROUPED = re.compile(r"[^\s()]+(?:\([^()]*\))?")
_EXPRESSION = re.compile(r"\bparam\s*=\s*(.*)")
_OPERAND = re.compile(r"(?<![\w.])[a-z_]\w*(?![\w(]|\s*\()")
_DEFINED = re.compile(r"(\w+)\s*=")
_BRANCHLESS = frozenset("rcidmqjzsgnwft")
"""Devices whose current ngspice computes, but keeps as no vector i(...)."""
_SCALE = re.compile(r"\bscale\s*=\s*(\S+)")
_OXIDES = frozenset({"eot", "tox", "toxe", "toxm", "toxp"})
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
_PULSE = re.compile(r"\bpulse[\s(]+([^()]*)")
_PARTED = re.compile(r"[\s,]+")
_TEMPERATURE = re.compile(r"\b(?:temp|tnom)\s*=\s*(\S+)")
_COMMA = re.compile(r"\d+,\d+[a-z]*", re.IGNORECASE)
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
    if device.kind in _QUANTITIES and "=" not in "".join(device.words[:1]):
        yield _QUANTITIES[device.kind], "".join(device.words[:1]) or "0"  # as ngspice takes none
    for word in device.words:
        name, equals, text = word.partition("=")
        if equals and name in _POSITIVE[device.kind]:
            yield name, text
