"""`spicekit report`: a page of a result."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, each, next_step, print_paths, stages


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="What another verb wrote: a study's folder or results.parquet; JSON of evaluate, signoff, demo or "
            "devices check; an I-V table; the currents of a tile. Several evaluations, or several tables, are "
            "set side by side."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", dir_okay=False, help="Page to write: a name that ends in .html.")
    ],
    png: Annotated[bool, typer.Option("--png", help="Also each chart as a PNG beside the page.")] = False,
    as_json: Json = False,
) -> None:
    """Show a result, or compare several, as one web page that needs nothing else; its figures as CSV beside it."""
    from spicekit.errors import BadInput
    from spicekit.files import write_atomically
    from spicekit.provenance import provenance
    from spicekit.report.page import csv_text, html
    from spicekit.report.results import compare, read_page

    if out.suffix != ".html":
        raise BadInput(f"report: --out {out}: pages are HTML; pass a name that ends in .html.")
    if not out.parent.is_dir():
        raise BadInput(f"report: there is no folder {out.parent} for --out {out}; make it first.")
    page, source = read_page(results[0]) if len(results) == 1 else compare(results)
    by = provenance()
    made_by = f"Made of {source} by spicekit {by['spicekit']} at {by['created']}: {by['command']}"
    files: dict[Path, bytes | str] = {
        out: html(page, made_by=made_by),
        out.with_suffix(".csv"): csv_text(page.rows),
    }
    charts = {out.with_name(f"{out.stem}-{chart.name}.png"): chart for chart in page.charts if png}
    with stages() as told:
        files |= {path: charts[path].png() for path in each(told, "pictures", charts)}
    for path, content in files.items():
        write_atomically(path, content)
    print_paths(*files, as_json=as_json)
    next_step(f"open {out} in a browser")
