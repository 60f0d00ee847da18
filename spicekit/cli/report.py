"""`spicekit report`: a page of a result."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    result: Annotated[
        Path,
        typer.Argument(
            help="What another verb wrote: a study's folder or results.parquet; JSON of evaluate, signoff, demo or "
            "devices check; an I-V table; the currents of a tile."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", dir_okay=False, help="Page to write: a name that ends in .html.")
    ],
) -> None:
    """Show a result as one web page that needs nothing else; its figures as CSV and its pictures as PNG beside it."""
    from spicekit.errors import BadInput
    from spicekit.files import write_atomically
    from spicekit.provenance import provenance
    from spicekit.report.html import Picture, page
    from spicekit.report.results import read_report

    if out.suffix != ".html":
        raise BadInput(f"report: --out {out}: pages are HTML; pass a name that ends in .html.")
    if not out.parent.is_dir():
        raise BadInput(f"report: there is no folder {out.parent} for --out {out}; make it first.")
    read = read_report(result)
    by = provenance()
    made_by = f"Made of {read.source} by spicekit {by['spicekit']} at {by['created']}: {by['command']}"
    pictures = [part for part in read.parts if isinstance(part, Picture)]
    files: dict[Path, bytes | str] = {
        out: page(read.title, read.parts, made_by=made_by),
        out.with_suffix(".csv"): read.csv(),
        **{out.with_name(f"{out.stem}-{picture.name}.png"): picture.png for picture in pictures},
    }
    for path, content in files.items():
        write_atomically(path, content)
        print(path)
