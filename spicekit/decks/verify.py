"""Whether a tile deck is the circuit that a spec and bits mean: layout against schematic, in spirit.

A deck that passes its own check proves little: its tolerance, its commands and its header are text that anybody can
edit, and much of a circuit shows in no current. So the deck is held, device by device and command by command, against
one that is rendered anew, and its header against what it speaks of.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from spicekit.circuits.render import Bits, Expected, Outputs, Transient, check_detail, claimed, tile_deck
from spicekit.circuits.spec import Header, TileSpec, header_lines, read_header
from spicekit.decks.dialects import compare_statements, dialect_of, translate
from spicekit.decks.diff import Difference, compare, compare_commands, facts
from spicekit.decks.expansion import expand
from spicekit.decks.source import Deck, parse_deck
from spicekit.decks.vetting import vet
from spicekit.errors import BadInput


def verify(
    deck: Deck,
    spec: TileSpec,
    weights: Bits,
    inputs: Bits,
    *,
    expected: Expected | None = None,
    compiled: Collection[Path] = (),
) -> tuple[Difference, ...]:
    """Differences of a tile deck (first) from what a spec and bits mean (second); none for a good deck.

    Detail and length of a transient are taken from the deck's header, everything else from the arguments.

    Parameters
    ----------
    deck : Deck
    spec : TileSpec
    weights : (r, c) uint8 array
    inputs : (r,) uint8 array
        Of the one read that the deck stands for.
    expected : Expected, optional
        What its currents are to be, A, and the largest tolerance to accept. Needed if the deck checks itself.
    compiled : collection of Path
        Models in compiled Verilog-A that it may load.

    Raises
    ------
    BadInput
        If the deck has no header of a tile, or checks itself and `expected` was not given.
    MissingTool, SpiceFailed
        If ngspice is not there, or takes too long.
    """
    if unlike := _size_difference(read_header(deck.comments), spec):
        return unlike
    text, found = _meant(read_header(deck.comments), spec, weights, inputs, expected)
    meant = parse_deck(text)
    found += _header_differences(read_header(deck.comments), read_header(meant.comments))
    if deck.findings or deck.text() != meant.text():
        found += _circuit_differences(deck, meant, compiled)
    return tuple(found)


def verify_translated(
    text: str, spec: TileSpec, weights: Bits, inputs: Bits, *, expected: Expected | None = None
) -> tuple[Difference, ...]:
    """As `verify`, of a deck in another dialect, statement by statement: ngspice does not read it."""
    dialect, comments = dialect_of(text)
    if unlike := _size_difference(read_header(comments), spec):
        return unlike
    ours, found = _meant(read_header(comments), spec, weights, inputs, expected)
    meant = translate(ours, dialect)
    found += _header_differences(read_header(comments), read_header(dialect_of(meant)[1]))
    return (*found, *compare_statements(text, meant, dialect))


def _size_difference(header: Header, spec: TileSpec) -> tuple[Difference, ...]:
    """Another number of rows, columns or expected currents than meant: nothing else can be compared."""
    sizes = [f"{tile.rows} x {tile.columns} cells" for tile in (header.spec, spec)]
    if sizes[0] != sizes[1]:
        return (Difference("size", sizes[0], sizes[1]),)
    own = claimed(header)
    if own and own.current.shape != (spec.columns,):
        return (Difference("expected currents", str(own.current.size), str(spec.columns)),)
    return ()


def _meant(
    header: Header, spec: TileSpec, weights: Bits, inputs: Bits, expected: Expected | None
) -> tuple[str, list[Difference]]:
    """The deck that the arguments mean, of the header's kind, and what is wrong with the currents it expects."""
    if header.facts.get("kind") != "tile":
        raise BadInput(
            f"verify: the deck's header calls it a {header.facts.get('kind')!r}; pass a deck of a tile."
        )
    own = claimed(header)
    if own and expected is None:
        raise BadInput("verify: the deck checks its own currents; pass what they are to be, as `expected`.")
    text = tile_deck(
        spec,
        weights,
        inputs,
        detail=check_detail(str(header.facts.get("detail"))),
        expected=own,
        transient=_made(Transient, header, "transient"),
        outputs=_made(Outputs, header, "outputs"),
        origin=_made(dict[str, str | int], header, "origin"),
    )
    return text, [*_claim_differences(own, expected)] if own and expected else []


T = TypeVar("T")


def _made(kind: type[T], header: Header, name: str) -> T | None:
    """What a table of the header describes."""
    table = header.facts.get(name)
    try:
        return TypeAdapter(kind).validate_python(table) if table else None
    except ValidationError as error:
        raise BadInput(f"verify: the header's {name} cannot be read ({error.errors()[0]['msg']}).") from error


def _header_differences(header: Header, meant: Header) -> Iterator[Difference]:
    """What the header says against what it speaks of: spec, bits, cards, templates."""
    a, b = (_flat("header", tomllib.loads("\n".join(header_lines(h.facts, h.spec)))) for h in (header, meant))
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            yield Difference(name, str(a.get(name, "")), str(b.get(name, "")))


def _flat(path: str, table: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= _flat(f"{path} {name}", value) if isinstance(value, Mapping) else {f"{path} {name}": value}
    return found


def _claim_differences(own: Expected, expected: Expected) -> Iterator[Difference]:
    """Currents and tolerance that the deck holds itself to."""
    if not 0 <= own.tolerance <= expected.tolerance * (1 + 1e-9):
        yield Difference("expected tolerance", f"{own.tolerance:g} A", f"at most {expected.tolerance:g} A")
    # A hundredth of the tolerance: an engine solves to far less, on any machine.
    off = ~(np.abs(own.current - expected.current) <= 0.01 * expected.tolerance)
    for column in np.flatnonzero(off):
        first, second = (f"{which.current[column]:.9g} A" for which in (own, expected))
        yield Difference(f"expected current of column {column}", first, second)


def _circuit_differences(deck: Deck, meant: Deck, compiled: Collection[Path]) -> Iterator[Difference]:
    """Devices, models, dot lines and commands; other files, and what ngspice refuses or ignores, first."""
    for name in sorted({statement.file for statement in deck.statements} - {""}):
        yield Difference(f"file {name}", "included: it may change behind the deck", "")
    circuit = expand(deck, compiled=compiled)
    for found in (*deck.findings, *vet(deck, compiled=compiled), *circuit.findings):
        if found.severity != "warning":
            yield Difference(f"line {found.line}", found.message, "")
    yield from compare(facts(deck, circuit), facts(meant, expand(meant, compiled=compiled)))
    yield from compare_commands(deck.commands, meant.commands)
