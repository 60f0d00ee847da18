"""`spicekit init`: starter files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import next_step

STARTERS = Path(__file__).with_name("starters")


class Starter(StrEnum):
    """What there is a starter for."""

    TILE = "tile"
    STUDY = "study"
    NETWORK = "network"


FILES = {Starter.TILE: "tile.toml", Starter.STUDY: "study.toml", Starter.NETWORK: "network.py"}
NEXT = {
    Starter.TILE: "spicekit evaluate --network vgg-small --spec {path} --images 100 --out result.json",
    Starter.STUDY: "spicekit sweep {path} --out results",
    Starter.NETWORK: "python {path}",
}


def init(
    what: Annotated[Starter, typer.Argument(help="A design, a study, or a network of your own.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="File to write; default: its usual name."),
    ] = None,
) -> None:
    """Write a commented file to start from."""
    from spicekit.errors import BadInput
    from spicekit.files import write_atomically

    path = out or Path(FILES[what])
    if path.exists():
        raise BadInput(f"init {what}: {path} exists; pass another name with --out.")
    write_atomically(path, (STARTERS / FILES[what]).read_bytes())
    print(path)
    next_step(NEXT[what].format(path=path))
