"""`spicekit tile`: one tile through one engine."""

from pathlib import Path
from typing import Annotated

import typer


def tile(
    spec: Annotated[Path, typer.Option(help=r"Tile spec, TOML; its cells may have \[variation].")],
    weights: Annotated[Path, typer.Option(help="Stored bits, .npy (rows, columns) uint8.")],
    inputs: Annotated[Path, typer.Option(help="Activation bits, .npy (vectors, rows) uint8.")],
    out: Annotated[
        Path, typer.Option(dir_okay=False, help="Result, .npz: current (A), lsb (A), partial_sum.")
    ],
    engine: Annotated[str, typer.Option(help="spice, exact, fast or ideal")] = "exact",
    store: Annotated[
        Path | None, typer.Option(help="Folder of I-V tables; default: yours, then shipped.")
    ] = None,
) -> None:
    """Column currents of one tile."""
    import json

    import numpy as np

    from spicekit.engines.cell_currents import lsb
    from spicekit.engines.tile import Tile, check_engine, column_currents, partial_sums
    from spicekit.errors import BadInput
    from spicekit.evaluate.design import read_design
    from spicekit.files import read_array, write_arrays
    from spicekit.provenance import provenance
    from spicekit.tables.store import find_table
    from spicekit.units import engineering

    name = check_engine(engine)
    point = read_design(spec)
    design = point.tile
    table = find_table(design, store=store)
    array = Tile(design, table, read_array(weights), point.variation)
    bits = read_array(inputs)
    if bits.ndim != 2:
        raise BadInput(f"inputs: expected bits shaped (vectors, {design.rows}), got {bits.shape}.")
    current = column_currents(array, bits, engine=name)
    step = lsb(design, table)
    origin = provenance(
        {
            "spec": design.model_dump(mode="json"),
            "variation": point.variation.model_dump(mode="json"),
            "engine": engine,
            "table": table.sha256,
            "table_origin": table.origin,
        }
    )
    write_arrays(
        out,
        current=current,
        lsb=np.array(step),
        partial_sum=partial_sums(array, current, bits),
        provenance=np.array(json.dumps(origin)),
    )
    largest = engineering(float(current.max(initial=0.0)), "A")
    print(
        f"{out}: {current.shape[0]} vectors x {current.shape[1]} columns, engine {engine}, largest {largest}, "
        f"LSB {engineering(step, 'A')}"
    )
