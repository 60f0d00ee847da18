"""`spicekit demo`: the main job on the embedded default."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, evaluations_table, next_step, stages


def demo(
    out: Annotated[
        Path,
        typer.Option(file_okay=False, help="Folder for the tables, the results (JSON) and the page."),
    ] = Path("spicekit-demo"),
    as_json: Json = False,
) -> None:
    """Calibrate the 8T-SRAM cell in ngspice, then run both networks at two design points."""
    from spicekit.evaluation.demo import run_demo
    from spicekit.files import write_atomically
    from spicekit.report.evaluation import demo_page
    from spicekit.report.page import html

    out.mkdir(parents=True, exist_ok=True)
    with stages("demo", kept=f"{out / 'tables'} has the I-V table: repeat the command") as report:
        result = run_demo(out / "tables", report=report)
    result.save(out / "demo.json")
    write_atomically(out / "demo.html", html(demo_page(result), made_by=f"Made of {out / 'demo.json'}."))
    if as_json:
        print(result.to_json())
    else:
        evaluations_table(result.by_name())
        print(out / "demo.json", out / "demo.html", sep="\n")
    next_step(f"open {out / 'demo.html'} in a browser")
