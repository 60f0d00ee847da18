"""`spicekit init`: starter files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, next_step, print_paths

STARTERS = Path(__file__).with_name("starters")


class Starter(StrEnum):
    """What there is a starter for."""

    TILE = "tile"
    STUDY = "study"
    NETWORK = "network"
    CELL = "cell"


FILES = {
    Starter.TILE: "tile.toml",
    Starter.STUDY: "study.toml",
    Starter.NETWORK: "network.py",
    Starter.CELL: "cell",
}
NEXT = {
    Starter.TILE: "spicekit evaluate --network vgg-small --spec {path} --images 100 --out result.json",
    Starter.STUDY: "spicekit sweep {path} --out results",
    Starter.NETWORK: "python {path}",
    Starter.CELL: "spicekit calibrate --spec {path}/tile.toml",
}


def init(
    what: Annotated[Starter, typer.Argument(help="A design, a study, a network or a cell of your own.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write, for a cell the folder; default: its usual name."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write commented files to start from."""
    from spicekit.errors import BadInput
    from spicekit.files import write_atomically

    source, path = STARTERS / FILES[what], out or Path(FILES[what])
    if path.exists() and not (source.is_dir() and path.is_dir() and not any(path.iterdir())):
        raise BadInput(f"init {what}: {path} exists; pass another name with --out.")
    files = {path / one.name: one for one in sorted(source.iterdir())} if source.is_dir() else {path: source}
    if source.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    for written, starter in files.items():
        write_atomically(written, starter.read_bytes())
    print_paths(*files, as_json=as_json)
    next_step(NEXT[what].format(path=path))
