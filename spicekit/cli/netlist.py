"""`spicekit netlist`: decks are rendered, checked, run, compared, held against what they should be, summed up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from typer import Argument, Option

import spicekit as sk
from spicekit.cli.display import (
    Json,
    Weights,
    check_png,
    each,
    next_step,
    print_json,
    print_paths,
    print_tables,
    stage,
    stages,
    verbs,
)
from spicekit.errors import BadInput, no_such

if TYPE_CHECKING:
    from spicekit.circuits.render import Bits
    from spicekit.decks.compare import Difference
    from spicekit.decks.source import Deck

netlist = verbs("Decks of cells and tiles: render, check, run, compare, sum up.")

Spec = Annotated[Path, Option(help="Tile spec, TOML.")]
Out = Annotated[Path | None, Option("--out", "-o", dir_okay=False, help="Deck to write.")]
Read = Annotated[int | None, Option(min=0, help="Which read, of a vector with ones in several.")]
Inputs = Annotated[Path, Option(help="Activation bits, .npy (rows,) or (vectors, rows) uint8.")]
Vector = Annotated[int, Option(min=0, help="Which vector of the inputs.")]
Detail = Annotated[str, Option(help="read-port, or full: with the 6T core of every cell.")]
DeckFile = Annotated[Path, Argument(help="SPICE deck.")]
Compiled = Annotated[
    list[Path] | None,
    Option(
        "--osdi",
        exists=True,
        dir_okay=False,
        resolve_path=True,
        help="Compiled model (native code!) it may load; repeatable.",
    ),
]
Libraries = Annotated[
    list[Path] | None,
    Option("--library", exists=True, file_okay=False, help="Folder to include files from; repeatable."),
]


@netlist.command()
def cell(
    spec: Spec,
    out: Out = None,
    weight: Annotated[int, Option(min=0, max=1, help="Stored bit.")] = 1,
    activation: Annotated[int, Option(min=0, max=1, help="Applied bit.")] = 1,
    report: Annotated[
        Path | None, Option(file_okay=False, help="Folder for plots: characterise the cell as well.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Render one cell between two sources; with --report, measure it as a designer would."""
    from spicekit.circuits.render import cell_deck, with_read
    from spicekit.files import take_folder, write_atomically

    if out is None and report is None:
        raise BadInput("netlist cell: pass --out for a deck, --report for figures and plots, or both.")
    tile_spec = sk.read_design(spec).tile
    if report is not None:
        take_folder(report, option="--report")
    if out is not None:
        write_atomically(out, with_read(cell_deck(tile_spec, weight=weight, activation=activation)))
    if report is None:
        print_paths(*([out] if out else []), as_json=as_json)
        next_step(f"spicekit netlist run {out}")
    else:
        from spicekit.report.circuits import cell_tables, draw_cell
        from spicekit.tables.cell_figures import characterise_cell

        with stages() as told:
            told("cell in ngspice", 0, 2)
            figures = characterise_cell(tile_spec)
            told("pictures", 1, 2)
            pictures = draw_cell(figures, report)
        print_tables(cell_tables(figures), [*([out] if out else []), *pictures], as_json=as_json)


@netlist.command()
def tile(
    spec: Spec,
    weights: Weights,
    inputs: Inputs,
    out: Annotated[Path, Option("--out", "-o", dir_okay=False, help="Deck to write.")],
    vector: Vector = 0,
    read: Read = None,
    detail: Detail = "read-port",
    expect: Annotated[
        str | None, Option(help="Engine whose currents the deck checks itself against: exact, fast.")
    ] = None,
    tolerance: Annotated[
        float | None, Option(min=0, help="A, for --expect; default: 1e-4 of the largest current.")
    ] = None,
    transient: Annotated[
        float | None,
        Option(min=1e-12, max=1e-3, help="s: a transient of this length, not an operating point."),
    ] = None,
    save: Annotated[list[str] | None, Option(help="Node to leave the voltage of; repeatable.")] = None,
    measure: Annotated[
        list[str] | None, Option(help="With --transient: 't1 when v(b_0_0)=0.2 rise=1'; repeatable.")
    ] = None,
    dialect: Annotated[str, Option(help="ngspice, xyce, spectre or vacask.")] = "ngspice",
    as_json: Json = False,
) -> None:
    """Render a tile for `ngspice -b`, where it leaves its column currents in currents.txt, or another simulator."""
    from spicekit.circuits.render import Outputs, Transient, check_detail, tile_deck
    from spicekit.decks.dialects import check_dialect, translate
    from spicekit.engines.tile import expected_currents
    from spicekit.files import write_atomically

    if tolerance is not None and expect is None:
        raise BadInput(f"netlist tile: --tolerance {tolerance:g} needs --expect, the engine to agree with.")
    language = check_dialect(dialect)
    tile_spec, stored, bits = _one_read(spec, weights, inputs, vector, read)
    expected = None
    if expect is not None:
        with stage(f"currents by the {expect} engine"):
            expected = expected_currents(tile_spec, stored, bits, engine=expect, tolerance=tolerance)
    deck = tile_deck(
        tile_spec,
        stored,
        bits,
        detail=check_detail(detail),
        expected=expected,
        transient=Transient(stop=transient, row_cells=tile_spec.columns) if transient else None,
        outputs=Outputs(tuple(save or ()), tuple(measure or ())) if save or measure else None,
    )
    write_atomically(out, translate(deck, language))
    print_paths(out, as_json=as_json)
    next_step(f"{ {'ngspice': 'spicekit netlist run', 'xyce': 'Xyce'}.get(language, language) } {out}")


def _one_read(
    spec: Path, weights: Path, inputs: Path, vector: int, read: int | None
) -> "tuple[sk.TileSpec, Bits, Bits]":
    """Tile spec, stored bits and the bits of one read, of their files."""
    from spicekit.circuits.wiring import one_read
    from spicekit.files import read_array

    tile_spec = sk.read_design(spec).tile
    return tile_spec, read_array(weights), one_read(tile_spec, read_array(inputs), vector=vector, read=read)


@netlist.command()
def settle(
    spec: Spec,
    picture: Annotated[Path | None, Option(dir_okay=False, help="PNG of the column currents over time.")] = None,
    as_json: Json = False,
) -> None:
    """How long a read of a tile takes, and what it draws: transients of the worst and a typical column."""
    from spicekit.report.circuits import draw_settling, settling_table
    from spicekit.tables.settling import Pattern, settling

    tile_spec = sk.read_design(spec).tile
    if picture is not None:
        check_png(picture)
    with stages() as told:
        patterns = each(told, "transient of a column", get_args(Pattern))
        reads = {pattern: settling(tile_spec, pattern) for pattern in patterns}
    if picture is not None:
        draw_settling(reads, picture)
    print_tables([settling_table(tile_spec, reads)], [picture] if picture else [], as_json=as_json)


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
    wrong = counts["error"] or counts["refused"]
    if not wrong:
        next_step(f"spicekit netlist run {deck}")
    raise typer.Exit(1 if wrong else 0)


@netlist.command()
def run(
    deck: DeckFile,
    out: Annotated[
        Path | None, Option("--out", "-o", file_okay=False, help="Folder for the files that it writes.")
    ] = None,
    timeout: Annotated[float, Option(min=1, help="Seconds that it may take.")] = 600.0,
    vectors: Annotated[
        str | None,
        Option(help="Instead of its own: walking (each row, all but one, all, none), or a .npy file."),
    ] = None,
    weights: Annotated[
        Path | None, Option(help="With --vectors: stored bits, .npy; hold currents against the exact engine.")
    ] = None,
    verbose: Annotated[bool, Option("--verbose", help="Print all that ngspice says.")] = False,
    osdi: Compiled = None,
    library: Libraries = None,
    as_json: Json = False,
) -> None:
    """Run a deck of a circuit and harmless commands; exit status 1 if it, a measurement or ngspice says it failed."""
    from spicekit.decks.run import judge, run_deck
    from spicekit.files import take_folder, write_atomically

    source = _read(deck, library)
    if weights is not None and vectors is None:
        raise BadInput("netlist run: --weights goes with --vectors; 'netlist verify' holds a whole deck against bits.")
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
    if vectors != "walking" and not Path(vectors).exists():
        raise no_such("vectors", vectors, ["walking"], also="a .npy file that there is")
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
    expect: Annotated[str, Option(help="Engine whose currents the deck is to expect: exact, fast.")] = "exact",
    tolerance: Annotated[
        float | None, Option(min=0, help="A, largest that the deck may allow; default: 1e-4 of the largest.")
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

    tile_spec, stored, bits = _one_read(spec, weights, inputs, vector, read)
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
