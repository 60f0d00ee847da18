"""`spicekit netlist`: decks of cells and tiles are rendered; `decks` has the verbs that look at decks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

import spicekit as sk
from spicekit.cli.display import (
    Data,
    Folder,
    Json,
    Weights,
    check_png,
    each,
    next_step,
    print_paths,
    print_tables,
    stages,
    verbs,
)
from spicekit.errors import BadInput

if TYPE_CHECKING:
    from spicekit.circuits.render import Bits

netlist = verbs("Decks of cells and tiles: render, check, run, compare, sum up.")

Spec = Annotated[Path, typer.Option(help="Tile spec, TOML.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", dir_okay=False, help="Deck to write.")]
Read = Annotated[int | None, typer.Option(min=0, help="Which read, of a vector with ones in several.")]
Inputs = Annotated[Path, typer.Option(help="Activation bits, .npy (rows,) or (vectors, rows) uint8.")]
Vector = Annotated[int, typer.Option(min=0, help="Which vector of the inputs.")]
Detail = Annotated[str, typer.Option(help="read-port, or full: with the 6T core of every cell.")]


@netlist.command()
def cell(
    spec: Spec,
    out: Out = None,
    weight: Annotated[int, typer.Option(min=0, max=1, help="Stored bit.")] = 1,
    activation: Annotated[int, typer.Option(min=0, max=1, help="Applied bit.")] = 1,
    report: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for plots: characterise the cell as well.")
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
def export(
    network: Annotated[str, typer.Option(help="vgg-small, resnet18, or a checkpoint file.")],
    spec: Spec,
    layer: Annotated[str, typer.Option(help="Binary layer, for instance conv3.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", file_okay=False, help="Folder for .npy files and a deck a read."),
    ],
    data: Data = "digits",
    folder: Folder = None,
    image: Annotated[int, typer.Option(min=0, help="Of the test split.")] = 0,
    tile: Annotated[int, typer.Option(min=0, help="Along the layer's inputs.")] = 0,
    block: Annotated[int, typer.Option(min=0, help="Of columns, along its outputs.")] = 0,
    row: Annotated[int, typer.Option(min=0, help="Of the output pixel.")] = 0,
    column: Annotated[int, typer.Option(min=0, help="Of the output pixel.")] = 0,
    mitigation: Annotated[str, typer.Option(help="As of evaluate: none, both, order ...")] = "none",
    detail: Detail = "read-port",
    as_json: Json = False,
) -> None:
    """Decks of one tile of a network, with what one image applies to it at one output pixel."""
    from spicekit.circuits.render import check_detail, tile_deck
    from spicekit.engines.tile import expected_currents
    from spicekit.evaluation.vectors import network_case
    from spicekit.files import take_folder, write_array, write_atomically
    from spicekit.mapping.binsparx import MITIGATIONS, check_mitigations

    design = sk.read_design(spec).tile
    (kind,), drawn = check_mitigations([mitigation]), check_detail(detail)
    take_folder(out)
    case = network_case(
        sk.load_network(network, data=data),
        sk.load_dataset(data, "test", folder=folder).only(image),
        design,
        binsparx=MITIGATIONS[kind],
        layer=layer,
        tile=tile,
        block=block,
        position=(row, column),
    )
    write_array(out / "weights.npy", case.weights)
    write_array(out / "inputs.npy", case.bits)
    decks = [out / f"read-{read}.cir" for read in range(len(case.bits))]
    origin: dict[str, str | int] = {"network": network, "layer": layer, "data": data, "image": image}
    origin |= {"pixel_row": row, "pixel_column": column, "input_tile": tile, "output_block": block}
    for read, (path, bits) in enumerate(zip(decks, case.bits, strict=True)):
        expected = expected_currents(design, case.weights, bits)
        own = {**origin, "read": read, "mitigation": mitigation}
        deck = tile_deck(design, case.weights, bits, detail=drawn, expected=expected, origin=own)
        write_atomically(path, deck)
    print_paths(out / "weights.npy", out / "inputs.npy", *decks, as_json=as_json)
    next_step(f"spicekit netlist run {decks[0]}")


@netlist.command()
def tile(
    spec: Spec,
    weights: Weights,
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="Deck to write.")],
    vector: Vector = 0,
    read: Read = None,
    detail: Detail = "read-port",
    expect: Annotated[
        str | None, typer.Option(help="Engine whose currents the deck checks itself against: exact, fast.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="A, for --expect; default: 1e-4 of the largest current.")
    ] = None,
    transient: Annotated[
        float | None,
        typer.Option(min=1e-12, max=1e-3, help="s: a transient of this length, not an operating point."),
    ] = None,
    save: Annotated[list[str] | None, typer.Option(help="Node to leave the voltage of; repeatable.")] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="With --transient: 't1 when v(b_0_0)=0.2 rise=1'; repeatable.")
    ] = None,
    dialect: Annotated[str, typer.Option(help="ngspice, xyce, spectre or vacask.")] = "ngspice",
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
    tile_spec, stored, bits = one_read(spec, weights, inputs, vector, read)
    expected = None
    if expect is not None:
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


def one_read(
    spec: Path, weights: Path, inputs: Path, vector: int, read: int | None
) -> "tuple[sk.TileSpec, Bits, Bits]":
    """Tile spec, stored bits and the bits of one read, of their files."""
    from spicekit.circuits.wiring import one_read as choose
    from spicekit.files import read_array

    tile_spec = sk.read_design(spec).tile
    return tile_spec, read_array(weights), choose(tile_spec, read_array(inputs), vector=vector, read=read)


@netlist.command()
def settle(
    spec: Spec,
    picture: Annotated[
        Path | None, typer.Option(dir_okay=False, help="PNG of the column currents over time.")
    ] = None,
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
