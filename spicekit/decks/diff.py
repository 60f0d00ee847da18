"""Compares two decks by structure: order, comments, case, line breaks and spelling of numbers do not matter."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spicekit.decks.parse import Deck, Element, Parameters, Scope, number
from spicekit.errors import BadInput


@dataclass(frozen=True, order=True)
class Difference:
    """Something that two decks do not share."""

    where: str
    """Subcircuits that lead to it, then its name."""
    first: str
    """What it is in the first deck; empty if it is not there."""
    second: str


def diff(first: Deck, second: Deck) -> tuple[Difference, ...]:
    """Differences in elements, models, subcircuits and dot lines; none if both describe one circuit.

    What a `.control` section runs is no part of the circuit.

    >>> from spicekit.decks.parse import parse_deck
    >>> a, b = parse_deck("a\\nR1 in 0 1k\\nR2 in 0 5"), parse_deck("b\\nr2 IN 0 5\\nr1 in 0 1100")
    >>> diff(a, b)
    (Difference(where='r1', first='in 0 1000.0', second='in 0 1100.0'),)

    Raises
    ------
    BadInput
        If a deck has lines that cannot be read.
    """
    for ordinal, deck in (("first", first), ("second", second)):
        if deck.findings:
            line, message = deck.findings[0].line, deck.findings[0].message
            raise BadInput(f"diff: line {line} of the {ordinal} deck cannot be read ({message}).")
    a, b = dict(_facts(first.top, "")), dict(_facts(second.top, ""))
    names = sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
    return tuple(Difference(name, a.get(name, ""), b.get(name, "")) for name in names)


def _facts(scope: Scope, path: str) -> Iterator[tuple[str, str]]:
    """Everything in a scope: where it is, and what it is in one spelling."""
    if scope.name:
        yield f"{path}(ports)", " ".join([*scope.ports, *_pairs(scope.parameters)])
    for element in scope.elements:
        yield path + element.name, _element(element)
    for model in scope.models:
        yield f"{path}{model.name}", " ".join([model.type, *_pairs(model.parameters)])
    statements: dict[str, list[str]] = {}
    for statement in scope.statements:
        word, *words = statement.text.lower().replace("=", " = ").split()
        statements.setdefault(word, []).append(_plain(words))
    for word, texts in statements.items():
        yield path + word, "; ".join(sorted(texts))
    for child in scope.subcircuits:
        yield from _facts(child, f"{path}{child.name}/")


def _element(element: Element) -> str:
    value = _plain(element.value.lower().split())
    return " ".join(filter(None, [*element.nodes, element.model, value, *_pairs(element.parameters)]))


def _pairs(parameters: Parameters) -> list[str]:
    return sorted(f"{name}={_plain([value.lower()])}" for name, value in parameters.items())


def _plain(words: Iterable[str]) -> str:
    """Words with numbers in one spelling."""
    values = ((word, number(word)) for word in words)
    return " ".join(word if value is None else repr(value) for word, value in values)
