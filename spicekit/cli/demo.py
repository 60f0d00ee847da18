"""`spicekit demo`: the main job on the embedded default."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[
        Path,
        typer.Option(file_okay=False, help="Folder for the tables, the results (JSON) and the picture."),
    ] = Path("spicekit-demo"),
) -> None:
    """Calibrate the 8T-SRAM cell in ngspice, then run both networks at two design points."""
    import json

    from spicekit.cli.display import evaluations_table, stages
    from spicekit.evaluate.demo import run_demo
    from spicekit.files import write_atomically
    from spicekit.provenance import provenance
    from spicekit.report.pictures import accuracy_picture

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
    accuracy_picture(results, out / "demo.png")
    print(f"{out / 'demo.json'}\n{out / 'demo.png'}")
