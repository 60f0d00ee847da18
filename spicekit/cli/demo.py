"""`spicekit demo`: the main job on the embedded default."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import next_step


def demo(
    out: Annotated[
        Path,
        typer.Option(file_okay=False, help="Folder for the tables, the results (JSON) and the page."),
    ] = Path("spicekit-demo"),
) -> None:
    """Calibrate the 8T-SRAM cell in ngspice, then run both networks at two design points."""
    import json

    from spicekit.cli.display import evaluations_table, stages
    from spicekit.evaluate.demo import run_demo
    from spicekit.files import write_atomically
    from spicekit.provenance import provenance
    from spicekit.report.page import html
    from spicekit.report.results import read_page

    out.mkdir(parents=True, exist_ok=True)
    with stages("demo") as report:
        results = run_demo(out / "tables", report=report)
    evaluations_table(results)
    records = [
        {"network": network, "point": point, **evaluation.record()}
        for (network, point), evaluation in results.items()
    ]
    write_atomically(
        out / "demo.json", json.dumps({"evaluations": records, "provenance": provenance()}, indent=1)
    )
    page, source = read_page(out / "demo.json")
    write_atomically(out / "demo.html", html(page, made_by=f"Made of {source}."))
    print(f"{out / 'demo.json'}\n{out / 'demo.html'}")
    next_step(f"open {out / 'demo.html'} in a browser")
