"""Electrical rule check: what is wrong with a deck. ngspice says it as it loads it; rules add what it says not."""

import itertools
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from spicekit.decks import rules
from spicekit.decks.expansion import Circuit, Device, expand, has_operating_point
from spicekit.decks.source import Deck, Finding, Severity, Statement, finding, number
from spicekit.decks.vetting import vet


def check(deck: Deck, *, compiled: Collection[Path] = ()) -> tuple[Finding, ...]:
    """All findings on a deck, by line; none for a good one. It may load the `compiled` models.

    What ngspice refuses or ignores is an error; what it runs, a warning at most; what `run_deck` would not run,
    refused. A deck with lines that cannot be read, or files that may not, is not given to ngspice.

    Raises
    ------
    MissingTool, SpiceFailed
        If ngspice is not there, or takes too long.
    """
    findings = [*deck.findings, *rules.title(deck)]
    readable = all(found.severity == "warning" for found in findings)
    findings += vet(deck, compiled=compiled)
    if not readable:
        return tuple(sorted(set(findings)))
    circuit = expand(deck, compiled=compiled)
    ours = [*rules.references(deck, circuit)]
    findings += [
        *ours,
        *rules.suffixes(deck, circuit),
        *rules.temperatures(deck),
        *rules.analyses(deck, circuit),
    ]
    findings += [found for found in circuit.findings if not _follows(found, ours, circuit.findings)]
    if circuit.devices:  # without, what is joined to what is not known
        findings += [*rules.values(deck, circuit), *rules.absent(deck, circuit), *lone_nodes(circuit)]
        suspects = [*floating_nodes(circuit, "warning"), *shorted_supplies(circuit, "warning")]
        sound = not any(found.severity == "error" for found in circuit.findings)
        if suspects and sound and not circuit.ports and not has_operating_point(deck, compiled=compiled):
            suspects = [*floating_nodes(circuit, "error"), *shorted_supplies(circuit, "error")]
        findings += suspects
    return tuple(sorted(set(findings)))


def _follows(found: Finding, ours: Collection[Finding], all_found: Collection[Finding]) -> bool:
    """Whether ngspice says it because of what is named already: it stops at the first subcircuit that is missing."""
    if found.rule == "undefined-subcircuit":
        return any(other.rule == found.rule for other in ours)
    named = ("undefined-", "unknown-parameter")
    missing = [other for other in (*ours, *all_found) if other.rule.startswith(named)]
    return found.rule == "ngspice" and any(
        (other.file, other.line) == (found.file, found.line)
        or (other.rule == "undefined-model" and "valid modelname" in found.message)
        for other in missing
    )


# Rules that follow connections through the flat circuit: floating nodes, lone nodes, shorted supplies.

SHORT = 1.0
"""Ohm below which a resistor between two ideally held nodes is a short: 0.7 A at 0.7 V. Assumed."""


def lone_nodes(circuit: Circuit) -> Iterator[Finding]:
    """Nodes with one connection, those of many instances of one subcircuit as one."""
    spared = _GROUNDS | circuit.ports
    lone = {node for node, count in circuit.uses.items() if count == 1 and node not in spared}
    if not lone:
        return
    groups: dict[tuple[Statement, str], list[str]] = {}
    for device in circuit.devices:
        if not device.at.line:  # ngspice's own, for an output of the deck
            lone.difference_update(device.nodes)
    for device in circuit.devices:
        for node in lone.intersection((*device.nodes, *device.controls)):
            groups.setdefault((device.at, node.rsplit(".", 1)[-1]), []).append(node)
    for (at, _), nodes in groups.items():
        yield finding(at, "warning", "single-connection", f"{_names(nodes)} has one connection")


def floating_nodes(circuit: Circuit, severity: Severity) -> Iterator[Finding]:
    """Nodes without a path to ground for direct current."""
    groups = _Groups()
    for device in circuit.devices:
        for chain in _conducting(device):
            groups.join(chain)
    for node in _GROUNDS | circuit.ports:
        groups.join((node, _GROUND))
    anchored = groups.find(_GROUND)
    islands: dict[str, list[str]] = {}
    for node in circuit.uses:
        if (root := groups.find(node)) != anchored:
            islands.setdefault(root, []).append(node)
    if not islands:
        return
    first: dict[str, Statement] = {}
    for device in circuit.devices:
        for node in (*device.nodes, *device.controls):
            first.setdefault(node, device.at)
    alike: dict[tuple[Statement, str], list[str]] = {}
    for nodes in islands.values():
        alike.setdefault((first[nodes[0]], nodes[0].rsplit(".", 1)[-1]), []).extend(nodes)
    for (at, _), nodes in alike.items():
        message = f"{_names(nodes)} has no direct-current path to ground"
        yield finding(at, severity, "floating-node", message)


def shorted_supplies(circuit: Circuit, severity: Severity) -> Iterator[Finding]:
    """Loops of ideal sources, and resistors of next to nothing between nodes that sources hold."""
    groups = _Groups()
    for device in circuit.devices:
        if _holds_voltage(device) and not groups.join(device.nodes[:2]):
            message = f"{device.name} closes a loop of ideal sources through {' and '.join(device.nodes[:2])}"
            yield finding(device.at, severity, "supply-short", message)
    held = {node for device in circuit.devices if _holds_voltage(device) for node in device.nodes[:2]}
    for device in circuit.devices:
        if device.kind == "r" and held.issuperset(device.nodes[:2]):
            ohm = number(device.words[0].removeprefix("r=")) if device.words else None
            a, b = device.nodes[:2]
            if ohm is not None and 0 < ohm < SHORT and groups.find(a) == groups.find(b) and a != b:
                message = f"{device.name} is {ohm:g} ohm between supplies {a} and {b}"
                yield finding(device.at, severity, "supply-short", message)


_GROUND = "0"
_GROUNDS = frozenset({"0", "gnd"})
_SHOWN = 4  # nodes that a message names


def _names(nodes: list[str]) -> str:
    more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    return f"{'node' if len(nodes) == 1 else 'each of the nodes'} {', '.join(nodes[:_SHOWN])}{more}"


class _Groups:
    """Nodes that are joined, directly or in steps (union-find with path halving)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, node: str) -> str:
        parent = self._parent
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = parent[node]
        return node

    def join(self, chain: Iterable[str]) -> bool:
        """False if two neighbours in the chain were joined already."""
        was_new = True
        for a, b in itertools.pairwise(chain):
            a, b = self.find(a), self.find(b)
            was_new &= a != b
            self._parent[b] = a
        return was_new


def _holds_voltage(device: Device) -> bool:
    if device.kind == "b":  # one that reads a current may be a resistor
        law = " ".join(device.words)
        return law.startswith("v=") and "i(" not in law
    return device.kind in "vleh"


def _conducting(device: Device) -> tuple[tuple[str, ...], ...]:
    """What a device joins for direct current."""
    kind, nodes = device.kind, device.nodes
    if kind in "mn":
        return ((nodes[0], *nodes[2:4]),)
    if kind in "cifgk":
        return ()
    if kind == "b" and not device.words[0].startswith("v="):
        # A behavioural current source that reads its own voltage is a resistor, whatever its law.
        return (nodes,) if set(nodes) <= {_GROUND, *device.controls} else ()
    if kind in "rdvlehbsw":
        return (nodes[:2],)
    if kind in "jqz":
        return (nodes,)
    return ((_GROUND, *nodes),)  # what is not known is taken to conduct
