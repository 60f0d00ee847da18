"""`spicekit tile`: one tile through one engine."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, next_step, print_json, stages


def tile(
    spec: Annotated[Path, typer.Option(help="Tile spec, TOML; its cells may have [variation].")],
    weights: Annotated[Path, typer.Option(help="Stored bits, .npy (rows, columns) uint8.")],
    inputs: Annotated[Path, typer.Option(help="Activation bits, .npy (vectors, rows) uint8.")],
    out: Annotated[
        Path, typer.Option(dir_okay=False, help="Result, .npz: current (A), lsb (A), partial_sum.")
    ],
    engine: Annotated[str, typer.Option(help="spice, exact, fast or ideal")] = "exact",
    maps: Annotated[
        bool,
        typer.Option(
            help="Also voltages and currents of every cell for the first vector, and what takes the current away: for "
            "the report; word-line drive only, by the exact engine's equations."
        ),
    ] = True,
    store: Annotated[
        Path | None, typer.Option(help="Folder of I-V tables; default: yours, then shipped.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Column currents of one tile."""
    from spicekit.engines.tile import check_engine
    from spicekit.errors import BadInput
    from spicekit.evaluation.array import Tile
    from spicekit.evaluation.design import read_design
    from spicekit.files import read_array
    from spicekit.tables.store import find_table
    from spicekit.units import engineering

    name = check_engine(engine)
    point = read_design(spec)
    columns = point.tile.columns
    array = Tile(point, read_array(weights), table=find_table(point.tile, store=store))
    bits = read_array(inputs)
    if bits.ndim != 2:
        raise BadInput(f"inputs: expected bits shaped (vectors, {point.tile.rows}), got {bits.shape}.")
    with stages(engine) as report:
        report(f"{len(bits)} vectors")
        current = array.write(out, bits, engine=name, maps=maps).sum("read").values
    step = array.lsb
    if as_json:
        print_json({"out": str(out), "engine": engine, "vectors": len(bits), "columns": columns, "lsb": step})
        return
    print(
        f"{out}: {current.shape[0]} vectors x {current.shape[1]} columns, engine {engine}, "
        f"largest {engineering(float(current.max(initial=0.0)), 'A')}, LSB {engineering(step, 'A')}"
    )
    next_step(f"spicekit report {out} --out {out.with_suffix('.html')}")
