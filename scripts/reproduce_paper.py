"""The experiments of BinSparX (arXiv 2412.03553) on this project's circuits: studies, tables and pictures.

    python scripts/reproduce_paper.py --folder CIFAR10 --out runs/paper                      # 1,000 test images
    python scripts/reproduce_paper.py --folder CIFAR10 --out runs/paper-quick --quick        # 192 to 500
    python scripts/reproduce_paper.py --folder CIFAR10 --out runs/paper-full --images 10000

The studies lie in scripts/studies; a point that several share runs once. A study that names its networks, its data
or a lower number of images keeps them. Repeat the command to resume; report.md holds the tables.
"""

import dataclasses
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import typer
from paper_tables import costs_table, layers_table, markdown, results_table

from spicekit import load_network, sweep
from spicekit.cli.display import jobs_done, stages
from spicekit.evaluation.costs import Figures, LayerEvents, estimate, together
from spicekit.evaluation.network_costs import measure_read
from spicekit.evaluation.reads import LayerInputs, count_events, lay_out, probed
from spicekit.files import write_atomically
from spicekit.mapping.binsparx import MITIGATIONS
from spicekit.networks.layers import binary_layers
from spicekit.provenance import JsonDict, content_hash
from spicekit.report.study import nf_chart, pareto_chart, sensitivity_chart
from spicekit.report.study_findings import accuracy_table, main_effects
from spicekit.results import accuracy_interval
from spicekit.spice.simulator import available_cores
from spicekit.study.cluster import Cluster
from spicekit.study.plan import Point, Study, chosen_images, read_study

STUDIES = Path(__file__).parent / "studies"
IMAGES, QUICK_IMAGES = 1000, 500
IMAGES_PER_JOB = 500  # what a job prepares is then a few percent of it
QUICK_IMAGES_PER_JOB = 192  # as many as a point needs at about 10 or 90 %
Done = list[tuple[Point, JsonDict]]
"""Points that did not fail, with their results."""
_images = cache(chosen_images)


def main(
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    folder: Annotated[Path | None, typer.Option(help="Where CIFAR-10 lies.")] = None,
    data: Annotated[str, typer.Option(help="cifar10, or digits for a trial.")] = "cifar10",
    network: Annotated[list[str] | None, typer.Option(help="Default: vgg-small and resnet18.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Test images. Default: 1,000; quick: 500.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="No more than leave all accuracies as open.")] = False,
    study: Annotated[list[str] | None, typer.Option(help="Only studies whose names begin so.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Default: all cores.")] = None,
) -> None:
    """Run the studies and write their tables."""
    networks = network or ["vgg-small", "resnet18"]
    images = images or (QUICK_IMAGES if quick else IMAGES)
    run: JsonDict = {"data": data, "folder": str(folder) if folder else None}
    studies = {
        path.stem: [
            changed for point in read_study(path).points for changed in _points(point, networks, run=run, images=images)
        ]
        for path in sorted(STUDIES.glob("*.toml"))
        if not study or path.stem.startswith(tuple(study))
    }
    shared = tuple(dict.fromkeys(point for points in studies.values() for point in points))
    half, most = ((high - low) / 2 for low, high in (accuracy_interval(share, images) for share in (0.5, 0.9)))
    began = time.monotonic()
    with stages() as show:
        summary = sweep(
            Study(
                points=shared,
                images_per_job=QUICK_IMAGES_PER_JOB if quick else IMAGES_PER_JOB,
                accuracy_within=half if quick else None,
            ),
            out,
            cluster=Cluster(workers=workers),
            report=partial(jobs_done, show, "studies"),
            report_tables=partial(jobs_done, show, "I-V tables"),
        )
    took = time.monotonic() - began
    seen = sum(row["images"] or 0 for row in summary.points)
    open_by = (
        f"A point had images until its accuracy was open by {100 * half:.1f} points either way, or all that it asks for"
        if quick
        else f"So many images leave an accuracy open by {100 * half:.1f} points either way near 50 %, "
        f"by {100 * most:.1f} near 10 and 90 %"
    )
    report = [
        f"# BinSparX on {data}: up to {images} test images\n\n{len(shared)} points, {seen:,} images, "
        f"{summary.made} jobs in {took / 60:.1f} min, {summary.kept} kept from before, {summary.failed} failed. "
        f"{open_by} (95 % intervals).\n"
    ]
    results = dict(zip(shared, summary.points, strict=True))
    for name, points in studies.items():
        report += _section(out / name, points, [results[point] for point in points])
    write_atomically(out / "report.md", "\n".join(report))
    print(out / "report.md")


def _section(folder: Path, points: Sequence[Point], rows: Sequence[JsonDict]) -> list[str]:
    """A study's part of the report, and its pictures."""
    folder.mkdir(exist_ok=True)
    done = [(point, row) for point, row in zip(points, rows, strict=True) if not row["fault"]]
    good = [row for _, row in done]
    charts = [pareto_chart(good), nf_chart(good)] if good else []
    charts += [sensitivity_chart(good)] if main_effects(good) else []
    for chart in charts:
        write_atomically(folder / f"{chart.name}.png", chart.png())
    return [
        f"## {folder.name}\n\n{len(points)} points.\n",
        *_tables(rows, done),
    ]


def _points(point: Point, networks: Sequence[str], *, run: JsonDict, images: int) -> list[Point]:
    """A study's point for each network; for each of its layers where the study asks for that."""
    given = point.run.model_fields_set
    own = point.run.replace(**({} if "data" in given else run), images=min(images, point.run.images or images))
    points = []
    for network in [own.network] if "network" in given else networks:
        changed = point.replace(run=own.replace(network=network))
        if (ablation := point.design.ablation).layer is None:
            points.append(changed)
            continue
        for layer in binary_layers(load_network(network, data=own.data)):
            design = point.design.replace(ablation=ablation.replace(layer=layer))
            points.append(changed.replace(design=design))
    return points


def _tables(rows: Sequence[JsonDict], done: Done) -> list[str]:
    """All results, then what of them is better seen side by side."""
    tables = [results_table(rows)]
    for network in dict.fromkeys(row["run.network"] for _, row in done):
        points, own = zip(*((point, row) for point, row in done if row["run.network"] == network), strict=True)
        seeds, layers, flips = (
            {row[name] for row in own} for name in ("variation.seed", "ablation.layer", "run.mitigation")
        )
        if len(layers) > 1:
            tables.append(f"Accuracy in % with one layer on real tiles, {network}:\n")
            tables.append(markdown(accuracy_table(own, across="ablation.layer")))
        elif len(flips) > 1:
            pooled = "variation.seed" if len(seeds) > 1 else None
            tables += [f"Accuracy in %, {network}:\n", markdown(accuracy_table(own, pooled=pooled))]
        if "static" in flips:
            tables += [f"Change of the ON cells of a read, {network}:\n", layers_table(own)]
        if len(flips) > 1 and len(seeds) == len(layers) == 1:
            tables.append(f"Energy, time and area of the whole circuit, {network}:\n")
            tables.append(costs_table(own, estimates(points, own)))
    return tables


def estimates(points: Sequence[Point], rows: Sequence[JsonDict]) -> list[Figures]:
    """Energy, time and area for one image of each point, reckoned after the study from what its reads carried.

    So a study is held against other constants without running again. A read lasts as long as `spicekit evaluate
    --energy` says, whatever the point's `read.time`.

    Parameters
    ----------
    points : sequence of Point
        That did not fail.
    rows : sequence of mapping
        Their results, from `sweep`.

    Raises
    ------
    SpiceFailed
        If ngspice fails on the transient of a tile.
    """
    tiles = dict.fromkeys(point.design.tile for point in points)
    with ThreadPoolExecutor(available_cores()) as pool:
        circuits = dict(zip(tiles, pool.map(measure_read, tiles), strict=True))
    counted: dict[str, dict[str, LayerEvents]] = {}
    inputs: dict[tuple[str, str], LayerInputs] = {}
    found = []
    for point, row in zip(points, rows, strict=True):
        key = _what_is_counted(point)
        if key not in counted:
            counted[key] = _events(point, inputs)
        circuit, layers = circuits[point.design.tile], json.loads(row["layers"])
        found.append(
            together(
                [
                    estimate(dataclasses.replace(events, current=layers[name]["current"]), circuit, point.design)
                    for name, events in counted[key].items()
                ]
            )
        )
    return found


def _what_is_counted(point: Point) -> str:
    """Same for points whose events are the same: not what only the currents depend on."""
    tile, mapping = point.design.tile, point.design.mapping
    done = MITIGATIONS[point.run.mitigation]
    by_position = mapping.flip_rule == "position" or done.order
    return content_hash(
        {
            "run": point.run.model_dump(mode="json"),
            "images": point.design.read.probe_images,
            "size": [tile.rows, tile.columns, tile.rows_active],
            "mapping": mapping.model_dump(mode="json"),
            "tile": tile.model_dump(mode="json") if by_position else None,
            "die": point.design.variation.model_dump(mode="json") if done.faults else None,
        }
    )


def _events(point: Point, inputs: dict[tuple[str, str], LayerInputs]) -> dict[str, LayerEvents]:
    """Of the images that the point's reads were counted on, of which `inputs` are kept; currents are not known here."""
    run = point.run
    network = load_network(run.network, data=run.data)
    images = probed(_images(run.data, run.folder, run.images, run.seed), point.design)
    key = run.network, images.sha256
    if key not in inputs:
        inputs[key] = LayerInputs.of(network, images)
    layers = lay_out(network, point.design, mitigation=run.mitigation)
    return count_events(network, images, layers, currents=dict.fromkeys(layers, 0.0), inputs=inputs[key])


if __name__ == "__main__":
    typer.run(main)
