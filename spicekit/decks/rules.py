"""Rules that look at one scope of a deck: names, references, values, parameters."""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files

from spicekit.decks.hierarchy import Place
from spicekit.decks.parse import Element, Finding, Model, number

SANE_LENGTH = (1e-9, 1e-3)
"""Metres between which a transistor's length and width lie; outside, a unit was forgotten. Assumed."""


def duplicate_names(place: Place) -> Iterator[Finding]:
    """Elements, models, subcircuits or ports of one scope that share a name."""
    scope = place.scope
    for noun, items in (
        ("element", scope.elements),
        ("model", scope.models),
        ("subcircuit", scope.subcircuits),
    ):
        first: dict[str, int] = {}
        for item in items:
            if first.setdefault(item.name, item.line) != item.line:
                message = f"{noun} {item.name} of {place.title} is defined on line {first[item.name]} already"
                yield Finding(item.line, "error", "duplicate-name", message)
    for port, times in Counter(scope.ports).items():
        if times > 1:
            message = f"{place.title} has {times} ports {port}"
            yield Finding(scope.line, "error", "duplicate-name", message)


def references(place: Place) -> Iterator[Finding]:
    """Models and subcircuits that are not defined; instances with too few or too many nodes."""
    for element in place.scope.elements:
        if element.kind == "x":
            yield from _subcircuit_reference(element, place.target(element))
        elif element.model and element.model not in place.models:
            message = f"{element.name}: no model {element.model} in this deck"
            yield Finding(element.line, "error", "undefined-model", message)
        if element.kind == "m" and len(element.nodes) != 4:  # of a compiled model, only itself knows
            message = f"{element.name}: has {len(element.nodes)} nodes, not drain, gate, source and bulk"
            yield Finding(element.line, "error", "port-count", message)


def values(place: Place) -> Iterator[Finding]:
    """Values that are zero or negative, or a transistor's size in the wrong unit."""
    for element in place.scope.elements:
        for name, text in _positive_values(element):
            value = number(text)
            if value is None:
                continue
            if value <= 0:
                cure = "; merge its nodes" if element.kind == "r" and value == 0 else ""
                message = f"{element.name}: {name} = {text} must be positive{cure}"
                yield Finding(element.line, "error", "value", message)
            elif element.kind in "mn" and name in "lw" and not SANE_LENGTH[0] <= value <= SANE_LENGTH[1]:
                message = f"{element.name}: {name} = {text} is {value:g} m, which no transistor has"
                yield Finding(element.line, "warning", "value", message)


def suffixes(place: Place) -> Iterator[Finding]:
    """Numbers whose suffix SPICE takes for something else than people do, or ignores."""
    items: tuple[Element | Model, ...] = (*place.scope.elements, *place.scope.models)
    for item in items:
        texts = [item.value] if isinstance(item, Element) else []
        for text in (*texts, *item.parameters.values()):
            for digits, suffix in _SUFFIXED.findall(text):
                if suspicion := _suspicion(suffix):
                    message = f"{item.name}: {digits}{suffix} {suspicion}; write a plain number"
                    yield Finding(item.line, "warning", "suffix", message)


def unknown_parameters(place: Place) -> Iterator[Finding]:
    """Parameters that the model's level, the device or the subcircuit does not have."""
    for model in place.scope.models:
        device = _device_of(model)
        if device is None:
            level = model.parameters.get("level", "not given")
            message = f"{model.name}: parameters of {model.type}, level {level}, are not known to this check"
            yield Finding(model.line, "warning", "unknown-parameter", message)
        else:
            known = known_parameters(device, "model") | {"level"}
            yield from _unknown(model.name, model.line, model.parameters.keys() - known, device)
    for element in place.scope.elements:
        target = place.target(element)
        model_used = place.models.get(element.model)
        device = _device_of(model_used) if model_used else _LETTERS.get(element.kind)
        if target is not None:
            names = element.parameters.keys() - target.scope.parameters.keys()
            yield from _unknown(element.name, element.line, names, element.model)
        elif device is not None:
            names = element.parameters.keys() - known_parameters(device, "instance")
            yield from _unknown(element.name, element.line, names, f"an instance of {device}")


@functools.cache
def known_parameters(device: str, part: str) -> frozenset[str]:
    """Names that can be set on a device's "model" or "instance", as ngspice itself lists them."""
    record = json.loads(files("spicekit.decks").joinpath("parameters.json").read_text())
    return frozenset(record[device][part])


LOCAL_RULES = (duplicate_names, references, values, suffixes, unknown_parameters)


_POSITIVE = {
    "r": ("r", "resistance", "m"),
    "c": ("c", "cap", "capacitance", "m"),
    "l": ("inductance", "m"),
    "m": ("l", "w", "m", "nf"),
    "n": ("l", "w", "m", "nf", "nfin"),
    "d": ("area", "m"),
}
_QUANTITIES = {"r": "resistance", "c": "capacitance", "l": "inductance"}
_LETTERS = {"r": "resistor", "c": "capacitor", "l": "inductor"}
_TYPES = {"r": "resistor", "res": "resistor", "c": "capacitor", "l": "inductor", "d": "diode"}
_BSIM4_LEVELS = ("14", "54")

_SUFFIXED = re.compile(r"(?<![\w.])((?>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))([a-zA-Z]+)\b")
_UNITS = frozenset({"ohm", "ohms", "v", "a", "h", "s", "hz", "c"})
_SCALES = frozenset("tgkmunpf")


def _subcircuit_reference(element: Element, target: Place | None) -> Iterator[Finding]:
    if target is None:
        message = f"{element.name}: no subcircuit {element.model} in this deck"
        yield Finding(element.line, "error", "undefined-subcircuit", message)
    elif len(element.nodes) != len(target.scope.ports):
        ports = len(target.scope.ports)
        message = f"{element.name}: {len(element.nodes)} nodes for {element.model}, which has {ports} ports"
        yield Finding(element.line, "error", "port-count", message)


def _positive_values(element: Element) -> Iterator[tuple[str, str]]:
    if element.kind in _QUANTITIES and element.value:
        yield _QUANTITIES[element.kind], element.value.split()[0]
    for name in _POSITIVE.get(element.kind, ()):
        if name in element.parameters:
            yield name, element.parameters[name]


def _suspicion(suffix: str) -> str:
    """What is wrong with a suffix; empty if nothing."""
    lowered = suffix.lower()
    if suffix[0] == "M" and not lowered.startswith(("meg", "mil")):
        return "is milli to SPICE, not mega"
    if suffix == "F":
        return "is femto to SPICE, not farad"
    if lowered[0] not in _SCALES and lowered not in _UNITS:
        return "has a suffix that SPICE ignores"
    return ""


def _device_of(model: Model) -> str | None:
    if model.type in ("nmos", "pmos"):
        return "bsim4" if model.parameters.get("level") in _BSIM4_LEVELS else None
    return _TYPES.get(model.type)


def _unknown(name: str, line: int, parameters: set[str], owner: str) -> Iterator[Finding]:
    for parameter in sorted(parameters):
        message = f"{name}: {owner} has no parameter {parameter}"
        yield Finding(line, "error", "unknown-parameter", message)
