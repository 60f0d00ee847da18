"""`spicekit tile`: one tile through one engine."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, next_step, print_json, stages


def tile(
    spec: Annotated[Path, typer.Option(help=r"Tile spec, TOML; its cells may have \[variation].")],
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
    import numpy as np

    from spicekit.engines.exact.ladder import Ladder
    from spicekit.engines.exact.maps import losses
    from spicekit.engines.exact.maps import maps as node_maps
    from spicekit.engines.tile import check_engine
    from spicekit.errors import BadInput
    from spicekit.evaluation.array import Tile
    from spicekit.evaluation.design import read_design
    from spicekit.files import read_array, write_arrays
    from spicekit.tables.store import find_table
    from spicekit.units import engineering

    name = check_engine(engine)
    point = read_design(spec)
    design = point.tile
    array = Tile(point, read_array(weights), table=find_table(design, store=store))
    read = read_array(inputs)
    if read.ndim != 2:
        raise BadInput(f"inputs: expected bits shaped (vectors, {design.rows}), got {read.shape}.")
    bits = array.vectors(read)
    with stages(engine) as report:
        report(f"{len(bits)} vectors")
        reads = array.currents(bits, engine=name)
    current, step, cells = reads.values.sum(axis=1), array.lsb, array.cells
    inside: dict[str, np.ndarray] = {"ideal_sum": bits.astype(np.int64) @ cells.held}
    if maps and len(bits) and design.drive == "wordline" and not design.discharge:
        ladder = Ladder(design, cells.table, cells.held, cells.factor)
        found = node_maps(ladder, bits[0])
        lost = losses(ladder, bits[0])
        inside |= {
            "v_bl": found.v_bl,
            "v_sl": found.v_sl,
            "cell_current": found.current,
            "cell_ideal": found.ideal,
        }
        inside |= {"lost": np.array(list(lost.values())), "lost_to": np.array(list(lost))}
    write_arrays(
        out,
        current=current,
        read_current=reads.values,
        lsb=np.array(step),
        partial_sum=array.in_cells(current, bits),
        **inside,
        provenance=np.array(reads.attrs["provenance"]),
    )
    largest = engineering(float(current.max(initial=0.0)), "A")
    if as_json:
        print_json(
            {"out": str(out), "engine": engine, "vectors": len(bits), "columns": design.columns, "lsb": step}
        )
        return
    print(
        f"{out}: {current.shape[0]} vectors x {current.shape[1]} columns, engine {engine}, largest {largest}, "
        f"LSB {engineering(step, 'A')}"
    )
    next_step(f"spicekit report {out} --out {out.with_suffix('.html')}")
