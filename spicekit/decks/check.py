"""Electrical rule check: what is wrong with a deck. ngspice says it as it loads it; rules add what it says not."""

from collections.abc import Collection
from pathlib import Path

from spicekit.decks import rules
from spicekit.decks.connectivity import floating_nodes, lone_nodes, shorted_supplies
from spicekit.decks.expansion import expand, has_operating_point
from spicekit.decks.source import Deck, Finding
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
