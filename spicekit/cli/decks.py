"""`spicekit netlist`: decks are checked, run, compared, held against what they should be, summed up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spicekit.cli.display import Json, Weights, next_step, print_json, print_tables, stage
from spicekit.cli.netlist import Inputs, Read, Spec, Vector, netlist, one_read
from spicekit.errors import BadInput

if TYPE_CHECKING:
    from spicekit.decks.compare import Difference
    from spicekit.decks.source import Deck

__all__ = ["netlist"]

DeckFile = Annotated[Path, typer.Argument(help="SPICE deck.")]
Compiled = Annotated[
    list[Path] | None,
    typer.Option("--osdi", resolve_path=True, help="Compiled model (native code!) it may load; repeatable."),
]
Libraries = Annotated[
    list[Path] | None,
    typer.Option("--library", exists=True, file_okay=False, help="Folder to include files from; repeatable."),
]


def _read(deck: Path, libraries: list[Path] | None = None) -> "Deck":
    from spicekit.decks.source import read_deck

    return read_deck(deck, libraries=libraries or [])


@netlist.command()
def check(deck: DeckFile, osdi: Compiled = None, library: Libraries = None, as_json: Json = False) -> None:
    """Rule check by ngspice's own reading, without running it; exit status 1 for an error or a refused line."""
    from spicekit.decks.check import check as find

    with stage(f"{deck} in ngspice"):
        findings = find(_read(deck, library), compiled=osdi or [])
    counts = Counter(found.severity for found in findings)
    if as_json:
        print_json({"findings": [asdict(found) for found in findings]})
    else:
        for found in findings:
            print(f"{found.file or deck}:{found.line}: {found.severity}: {found.message} [{found.rule}]")
        refused = f", {counts['refused']} lines that 'netlist run' refuses" if counts["refused"] else ""
        print(f"{deck}: {counts['error']} errors, {counts['warning']} warnings{refused}")
    if not counts["error"] and not counts["refused"]:
        next_step(f"spicekit netlist run {deck}")
    raise typer.Exit(1 if counts["error"] or counts["refused"] else 0)


@netlist.command()
def run(
    deck: DeckFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", file_okay=False, help="Folder for the files that it writes."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that it may take.")] = 600.0,
    vectors: Annotated[
        str | None,
        typer.Option(help="Instead of its own: walking (each row, all but one, all, none), or a .npy file."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="With --vectors: stored bits, .npy; hold currents against the exact engine."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print all that ngspice says.")] = False,
    osdi: Compiled = None,
    library: Libraries = None,
    as_json: Json = False,
) -> None:
    """Run a deck of a circuit and harmless commands; exit status 1 if it, a measurement or ngspice says it failed."""
    from spicekit.decks.run import judge, run_deck
    from spicekit.files import take_folder, write_atomically

    source = _read(deck, library)
    if weights is not None and vectors is None:
        raise BadInput(
            "netlist run: --weights goes with --vectors; 'netlist verify' holds a whole deck against bits."
        )
    if out is not None:
        take_folder(out)
    if vectors is not None:
        _run_vectors(source, vectors, weights, out, timeout, osdi or [], as_json)
        return
    with stage(f"{deck} in ngspice, at most {timeout:g} s"):
        result = run_deck(source, timeout=timeout, compiled=osdi or [])
    outcome = judge(source, result)
    for line in () if as_json else [result.output.strip()] if verbose else outcome.printed:
        print(line)
    for name, text in result.files.items():
        if out is not None:
            write_atomically(out / name, text)
        if not as_json and (out is not None or verbose):
            print(out / name if out is not None else f"---- {name}\n{text.rstrip()}")
    if as_json:
        print_json({"status": result.status, "files": list(result.files), **asdict(outcome)})
    else:
        print(*outcome.lines, sep="\n")
    raise typer.Exit(1 if outcome.failed else 0)


def _run_vectors(
    deck: "Deck",
    vectors: str,
    weights: Path | None,
    out: Path | None,
    timeout: float,
    compiled: list[Path],
    as_json: bool,
) -> None:
    import numpy as np

    from spicekit.circuits.spec import read_header
    from spicekit.decks.run import run_vectors, walking
    from spicekit.engines.tile import compare_reads
    from spicekit.files import read_array, write_array

    spec = read_header(deck.comments).spec
    applied = walking(spec.rows) if vectors == "walking" else np.atleast_2d(read_array(Path(vectors)))
    with stage(f"{len(applied)} vectors in ngspice, at most {timeout:g} s"):
        current = run_vectors(deck, applied, timeout=timeout, compiled=compiled)
    if out is not None:
        for name, array in (("vectors.npy", applied), ("currents.npy", current)):
            write_array(out / name, array)
    found = compare_reads(spec, read_array(weights), applied, current) if weights is not None else None
    if as_json:
        print_json({"current": current.tolist(), **(asdict(found) if found else {})})
    else:
        print(f"{len(current)} vectors, {spec.columns} columns: {current.min():.6g} to {current.max():.6g} A")
    if found and not as_json:
        print(
            f"worst: vector {found.vector}, column {found.column}, off by {found.error:.3g} A, of {found.limit:.3g} A "
            f"allowed\n{'FAIL' if found.off else 'PASS'}: {found.off} of {current.size} currents are off"
        )
    raise typer.Exit(1 if found and found.off else 0)


@netlist.command()
def diff(first: DeckFile, second: DeckFile, as_json: Json = False) -> None:
    """Compare two decks by structure, not text; exit status 1 if their circuits differ."""
    from spicekit.decks.compare import diff as compare

    print_differences(compare(_read(first), _read(second)), first="absent", second="absent", as_json=as_json)


@netlist.command()
def verify(
    deck: DeckFile,
    spec: Spec,
    weights: Weights,
    inputs: Inputs,
    vector: Vector = 0,
    read: Read = None,
    expect: Annotated[
        str, typer.Option(help="Engine whose currents the deck is to expect: exact, fast.")
    ] = "exact",
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="A, largest that the deck may allow; default: 1e-4 of the largest."),
    ] = None,
    osdi: Compiled = None,
    as_json: Json = False,
) -> None:
    """Hold a tile's deck against its spec and bits: every device, wire, command, hash; exit status 1 if one differs."""
    from spicekit.circuits.spec import read_header
    from spicekit.decks.compare import verify as compare
    from spicekit.decks.compare import verify_translated
    from spicekit.decks.dialects import dialect_of
    from spicekit.decks.source import read_text
    from spicekit.engines.tile import expected_currents

    tile_spec, stored, bits = one_read(spec, weights, inputs, vector, read)
    text = read_text(deck)
    dialect, comments = dialect_of(text)
    expected = None
    with stage(f"{deck}, against one rendered anew"):
        if "expected" in read_header(comments).facts:
            expected = expected_currents(tile_spec, stored, bits, engine=expect, tolerance=tolerance)
        if dialect == "ngspice":
            source = _read(deck)
            differences = compare(source, tile_spec, stored, bits, expected=expected, compiled=osdi or [])
        else:
            differences = verify_translated(text, tile_spec, stored, bits, expected=expected)
    if not differences and not as_json:
        print(f"{deck}: is the {tile_spec.rows} x {tile_spec.columns} tile that the spec and the bits mean")
    print_differences(differences, first="not in the deck", second="not meant", as_json=as_json)


def print_differences(differences: Sequence["Difference"], *, first: str, second: str, as_json: bool) -> None:
    """The first differences, a line each, and how many there are; ends with exit status 1 if there are any."""
    if as_json:
        print_json({"differences": [asdict(found) for found in differences]})
    else:
        for found in differences[:40]:
            print(f"{found.where}: {found.first or first}  ->  {found.second or second}")
        more = f"... and {len(differences) - 40} more\n" if len(differences) > 40 else ""
        print(f"{more}{len(differences)} differences")
    raise typer.Exit(1 if differences else 0)


@netlist.command()
def show(deck: DeckFile, as_json: Json = False) -> None:
    """Sum a deck up: devices, wires, bias, expected currents."""
    from pydantic import TypeAdapter

    from spicekit.decks.expansion import Summary, summarise
    from spicekit.report.circuits import deck_tables

    summary = summarise(_read(deck))
    if as_json:
        print_json(TypeAdapter(Summary).dump_python(summary, mode="json"))
    else:
        print_tables(deck_tables(summary))
    next_step(f"spicekit netlist check {deck}")
