"""The scopes of a deck, each with the definitions that its instances can see."""

from collections import ChainMap
from dataclasses import dataclass
from graphlib import TopologicalSorter

from spicekit.decks.parse import Deck, Element, Model, Scope


@dataclass(frozen=True, eq=False)
class Place:
    """A scope and what can be referred to in it: its own definitions before the outer ones."""

    scope: Scope
    subcircuits: ChainMap[str, "Place"]
    models: ChainMap[str, Model]

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"subcircuit {self.scope.name}" if self.scope.name else "the top level"

    def target(self, element: Element) -> "Place | None":
        """What a subcircuit instance refers to; None if that is undefined or `element` is a device."""
        return self.subcircuits.get(element.model) if element.kind == "x" else None


def places(deck: Deck) -> list[Place]:
    """All scopes of a deck, inner ones first."""
    found: list[Place] = []
    _visit(deck.top, ChainMap(), ChainMap(), found)
    return found


def inside_out(found: list[Place]) -> list[Place]:
    """Scopes in such an order that each comes after those that it contains instances of.

    Raises
    ------
    graphlib.CycleError
        If subcircuits contain each other.
    """
    sorter: TopologicalSorter[Place] = TopologicalSorter()
    for place in found:
        targets = (place.target(element) for element in place.scope.elements)
        sorter.add(place, *(target for target in targets if target is not None))
    return list(sorter.static_order())


def _visit(
    scope: Scope, subcircuits: ChainMap[str, Place], models: ChainMap[str, Model], found: list[Place]
) -> Place:
    inner = subcircuits.new_child()
    visible = models.new_child({model.name: model for model in scope.models})
    for child in scope.subcircuits:
        inner[child.name] = _visit(child, inner, visible, found)
    found.append(Place(scope, inner, visible))
    return found[-1]
