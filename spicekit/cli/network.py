"""`spicekit network`: look into a network before it is evaluated."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, next_step, print_json, print_sheets, verbs

network = verbs("What of a network goes on tiles.")


@network.callback()
def _verbs() -> None:
    """What of a network goes on tiles."""


@network.command("inspect")
def inspect(
    file: Annotated[
        str, typer.Argument(help="An ONNX file, a checkpoint, or a network that ships: vgg-small.")
    ],
    spec: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Design, TOML; default: tiles of 64 x 64."),
    ] = None,
    data: Annotated[str, typer.Option(help="Of a network that ships: what it was trained on.")] = "digits",
    as_json: Json = False,
) -> None:
    """Print a network's layers: which go on tiles, how many tiles, cells and reads; what stays digital, and why."""
    from spicekit.circuits.spec import TileSpec, Wires
    from spicekit.evaluation.design import read_design
    from spicekit.mapping.layers import footprint
    from spicekit.networks.reader import read_and_survey
    from spicekit.report.sheets import Sheet

    tile = read_design(spec).tile if spec is not None else TileSpec(wires=Wires(r_bl=0, r_sl=0))
    survey = read_and_survey(file, data=data)[1]
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for found in survey.found:
        name, layer = found.name or "(the network)", found.layer
        if layer is None:
            rows.append((name, found.shape, "", "", "", "", found.digital))
            records.append({"layer": name, "shape": found.shape, "digital": found.digital})
            continue
        size = footprint(layer.geometry, layer.out_channels, found.sides, tile, zero_padded=layer.zero_padded)
        counts = {key: layer.bits * found.groups * value for key, value in asdict(size).items()}
        rows.append(
            (name, found.shape, *(f"{counts[key]:,}" for key in ("tiles", "cells", "reads", "additions")), "")
        )
        records.append({"layer": name, "shape": found.shape, **counts})
    if as_json:
        print_json(records)
        return
    head = ("layer", "operator", "tiles", "cells", "reads an image", "border sums", "stays digital")
    title = f"{file} on tiles of {tile.rows} x {tile.columns}, {tile.rows_active} rows a read"
    print_sheets([Sheet(title, head, tuple(rows))])
    next_step(f"spicekit evaluate --network {file} --spec tile.toml")
