"""The experiments of BinSparX (arXiv 2412.03553) on this project's circuits: studies, tables and pictures.

    python scripts/reproduce_paper.py --folder CIFAR10 --out runs/paper                      # 1,000 test images
    python scripts/reproduce_paper.py --folder CIFAR10 --out runs/paper-full --images 10000

The studies lie in scripts/studies. Repeat the command to resume; report.md holds the tables.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import jobs_bars
from spicekit.files import write_atomically
from spicekit.networks.checkpoints import load_network
from spicekit.networks.layers import binary_layers
from spicekit.provenance import JsonDict
from spicekit.report.study import pareto_picture, sensitivity_picture
from spicekit.report.study_table import costs_table, layers_table, results_table
from spicekit.study.cluster import Cluster
from spicekit.study.costs import estimates
from spicekit.study.plan import Point, Study, read_study
from spicekit.study.sweep import sweep

STUDIES = Path(__file__).parent / "studies"
QUICK_LAYER_IMAGES = 200  # a layer alone among ideal ones: a ResNet-18 has sixteen


def main(
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    folder: Annotated[Path | None, typer.Option(help="Where CIFAR-10 lies.")] = None,
    data: Annotated[str, typer.Option(help="cifar10, or digits for a trial.")] = "cifar10",
    network: Annotated[list[str] | None, typer.Option(help="Default: vgg-small and resnet18.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Test images.")] = 1000,
    study: Annotated[list[str] | None, typer.Option(help="Only studies whose names begin so.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Default: all cores.")] = None,
) -> None:
    """Run the studies and write their tables."""
    networks = network or ["vgg-small", "resnet18"]
    report = [f"# BinSparX on {data}: {images} test images\n"]
    for path in sorted(STUDIES.glob("*.toml")):
        if study and not path.stem.startswith(tuple(study)):
            continue
        points = [
            changed
            for name in networks
            for point in read_study(path).points
            for changed in _points(point, name, data, folder, images)
        ]
        began = time.monotonic()
        with jobs_bars() as bar:
            summary = sweep(
                Study(points=tuple(points)),
                out / path.stem,
                cluster=Cluster(workers=workers),
                report=bar(path.stem),
                report_tables=bar("I-V tables"),
            )
        took = time.monotonic() - began
        pareto_picture(summary.rows, out / path.stem / "pareto.png")
        sensitivity_picture(summary.rows, out / path.stem / "sensitivity.png")
        report.append(
            f"## {path.stem}\n\n{len(points)} points, {summary.made} jobs in {took / 60:.1f} min, "
            f"{summary.kept} kept from before, {summary.failed} failed.\n"
        )
        report.append(results_table(summary.rows))
        done = [(point, row) for point, row in zip(points, summary.rows, strict=True) if not row["fault"]]
        for name in networks:
            own = [row for _, row in done if row["run.network"] == name]
            if Counter(row["run.mitigation"] for row in own)["static"]:
                report.append(f"Change of the ON cells of a read, {name}:\n\n{layers_table(own)}")
                whole = estimates([point for point, _ in done if point.run.network == name], own)
                report.append(
                    f"Energy, time and area of the whole circuit, {name}:\n\n{costs_table(own, whole)}"
                )
        write_atomically(out / "report.md", "\n".join(report))
    print(out / "report.md")


def _points(point: Point, network: str, data: str, folder: Path | None, images: int) -> list[Point]:
    """A study's point for one network; for each of its layers where the study asks for that."""
    run: JsonDict = {"network": network, "data": data, "folder": str(folder) if folder else None}
    changed = point.replace(run={**point.run.model_dump(), **run, "images": images})
    if point.design.ablation.layer is None:
        return [changed]
    few = changed.run.replace(images=min(images, QUICK_LAYER_IMAGES))
    return [
        Point(design=changed.design.replace(ablation={"layer": layer}), run=few)
        for layer in binary_layers(load_network(network, data=data))
    ]


if __name__ == "__main__":
    typer.run(main)
