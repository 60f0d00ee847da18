"""Electrical rule check: what is wrong with a deck, found by reading it; nothing is run."""

from collections.abc import Collection
from pathlib import Path

from spicekit.decks.connectivity import connectivity
from spicekit.decks.hierarchy import places
from spicekit.decks.parse import Deck, Finding
from spicekit.decks.rules import LOCAL_RULES
from spicekit.decks.vetting import vet


def check(deck: Deck, *, compiled: Collection[Path] = ()) -> tuple[Finding, ...]:
    """All findings on a deck, by line; none for a good one. It may load the `compiled` models.

    Rules: syntax, command, duplicate-name, undefined-subcircuit, undefined-model, recursion, port-count,
    value, suffix, unknown-parameter, floating-node, single-connection, supply-short.
    """
    found = places(deck)
    global_nodes = frozenset(
        node.lower()
        for statement in deck.top.statements
        if statement.text.lower().startswith(".global")
        for node in statement.text.split()[1:]
    )
    findings = [*deck.findings, *vet(deck, compiled=compiled), *connectivity(found, global_nodes)]
    for rule in LOCAL_RULES:
        for place in found:
            findings += rule(place)
    return tuple(sorted(set(findings)))
