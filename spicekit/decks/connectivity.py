"""Rules that follow connections through subcircuits: floating nodes, lone nodes, shorted supplies.

Each definition is looked at once and leaves a summary of what it does between its ports, so the work grows
with the text of a deck and not with the circuit that it unfolds to.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError

from spicekit.decks.hierarchy import Place, inside_out
from spicekit.decks.parse import Element, Finding, number

SHORT = 1.0
"""Ohm below which a resistor between two ideally held nodes is a short: 0.7 A at 0.7 V. Assumed."""

Chain = tuple[str, ...]
"""Nodes that are joined."""


def connectivity(places: list[Place], global_nodes: frozenset[str]) -> Iterator[Finding]:
    """Findings on the connections of all scopes; `global_nodes` are those of `.global`."""
    try:
        order = inside_out(places)
    except CycleError as error:
        cycle: list[Place] = error.args[1]
        names = " > ".join(place.scope.name for place in cycle)
        message = f"subcircuits contain each other ({names}); connections were not checked"
        yield Finding(cycle[0].scope.line, "error", "recursion", message)
        return
    summaries: dict[Place, _Summary] = {}
    for place in order:
        outside = frozenset({_GROUND, *place.scope.ports}) | (
            global_nodes if place.scope.name else frozenset()
        )
        nets = _Nets(outside)
        for element in place.scope.elements:
            yield from nets.add(element, place.target(element), summaries)
        yield from nets.findings(place)
        summaries[place] = _Summary(nets.conducting.chains(outside), nets.ideal.chains(outside))


_GROUND = "0"
_SHOWN = 4  # nodes that a message names


@dataclass(frozen=True)
class _Summary:
    """Chains of ports, global nodes and ground that a subcircuit joins."""

    conducting: tuple[Chain, ...]
    """For direct current, through any device."""
    ideal: tuple[Chain, ...]
    """Through ideal sources alone: their voltages are tied to each other."""


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

    def join(self, chain: Chain) -> bool:
        """False if two neighbours in the chain were joined already."""
        was_new = True
        for a, b in itertools.pairwise(chain):
            a, b = self.find(a), self.find(b)
            was_new &= a != b
            self._parent[b] = a
        return was_new

    def chains(self, nodes: Iterable[str]) -> tuple[Chain, ...]:
        """The given nodes, grouped."""
        groups: dict[str, list[str]] = {}
        for node in nodes:
            groups.setdefault(self.find(node), []).append(node)
        return tuple(tuple(group) for group in groups.values())


class _Nets:
    """Nodes of one scope, as its elements are added."""

    def __init__(self, outside: frozenset[str]) -> None:
        self.conducting, self.ideal = _Groups(), _Groups()
        self._outside = outside
        self._uses: Counter[str] = Counter()
        self._first_line: dict[str, int] = {}
        self._small: list[tuple[Element, Chain]] = []

    def add(
        self, element: Element, target: Place | None, summaries: Mapping[Place, _Summary]
    ) -> Iterator[Finding]:
        nodes = tuple(_ground(node) for node in element.nodes)
        for node in (*nodes, *map(_ground, element.controls)):
            self._uses[node] += 1
            self._first_line.setdefault(node, element.line)
        conducting, ideal = _device_chains(element, nodes)
        if target is not None:
            inner = dict(zip(target.scope.ports, nodes, strict=False))
            summary = summaries[target]
            conducting, ideal = (
                [tuple(inner.get(node, node) for node in chain) for chain in chains]
                for chains in (summary.conducting, summary.ideal)
            )
        for chain in conducting:
            self.conducting.join(chain)
        for chain in ideal:
            if not self.ideal.join(chain):
                message = f"{element.name}: closes a loop of ideal sources through {' and '.join(chain)}"
                yield Finding(element.line, "error", "supply-short", message)
        if element.kind == "r" and 0 < (_ohm(element) or SHORT) < SHORT:
            self._small.append((element, nodes))

    def findings(self, place: Place) -> Iterator[Finding]:
        """What can be said once all elements are known."""
        for element, (a, b) in self._small:
            if self.ideal.find(a) == self.ideal.find(b):
                message = f"{element.name}: {_ohm(element):g} ohm between supplies {a} and {b}"
                yield Finding(element.line, "error", "supply-short", message)
        for port in place.scope.ports:
            if not self._uses[_ground(port)]:
                message = f"port {port} of {place.title} is connected to nothing inside"
                yield Finding(place.scope.line, "warning", "single-connection", message)
        for node, uses in self._uses.items():
            if uses == 1 and node not in self._outside:
                message = f"node {node} of {place.title} has one connection"
                yield Finding(self._first_line[node], "warning", "single-connection", message)
        anchored = {self.conducting.find(node) for node in self._outside}
        for nodes in self.conducting.chains(self._uses):
            if self.conducting.find(nodes[0]) not in anchored:
                names = ", ".join(nodes[:_SHOWN]) + (" ..." if len(nodes) > _SHOWN else "")
                message = (
                    f"{len(nodes)} nodes of {place.title} without direct-current path to ground: {names}"
                )
                yield Finding(self._first_line[nodes[0]], "error", "floating-node", message)


def _ground(node: str) -> str:
    return _GROUND if node == "gnd" else node


def _ohm(resistor: Element) -> float | None:
    return number(resistor.value or resistor.parameters.get("r", ""))


def _device_chains(element: Element, nodes: Chain) -> tuple[list[Chain], list[Chain]]:
    """What a device joins: for direct current, and through an ideal source."""
    kind, two = element.kind, nodes[:2]
    fixes_voltage = kind in "vleh" or (kind == "b" and element.value.lower().startswith("v"))
    # A behavioural current source that reads its own voltage is a resistor, whatever its law.
    is_resistive = kind == "b" and set(two) <= {_GROUND, *map(_ground, element.controls)}
    if kind in "mn":
        return [(nodes[0], *nodes[2:])], []
    if fixes_voltage:
        return [two], [two]
    return ([two] if kind in "rd" or is_resistive else []), []
