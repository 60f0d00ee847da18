"""Verbs that make results, and the one that shows them: `tile`, `signoff`, `evaluate`, `sweep`, `report`."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

import spicekit as sk
from spicekit.cli.display import (
    Data,
    Folder,
    Json,
    Store,
    Weights,
    each,
    fitted,
    jobs_done,
    next_step,
    print_evaluations,
    print_json,
    print_paths,
    print_tables,
    require_folder,
    stages,
)
from spicekit.errors import BadInput, SpicekitError
from spicekit.units import engineering


def tile(
    spec: Annotated[Path, Option(help="Tile spec, TOML; its cells may have [variation].")],
    weights: Weights,
    inputs: Annotated[Path, Option(help="Activation bits, .npy (vectors, rows) uint8.")],
    out: Annotated[Path, Option(dir_okay=False, help="Result, .npz: current (A), lsb (A), partial_sum.")],
    engine: Annotated[str, Option(help="spice, exact, fast or ideal")] = "exact",
    maps: Annotated[
        bool,
        Option(
            help="Also voltages and currents of every cell for the first vector, and what takes the current away: for "
            "the report; word-line drive only, by the exact engine's equations."
        ),
    ] = True,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Column currents of one tile."""
    from spicekit.engines.tile import check_engine
    from spicekit.files import read_array
    from spicekit.tables.store import find_table

    name = check_engine(engine)
    point = sk.read_design(spec)
    array = sk.Tile(point, read_array(weights), table=find_table(point.tile, store=store))
    bits = read_array(inputs)
    if bits.ndim != 2:
        raise BadInput(f"inputs: expected bits shaped (vectors, {point.tile.rows}), got {bits.shape}.")
    with stages(engine) as report:
        report(f"{len(bits)} vectors")
        current = array.write(out, bits, engine=name, maps=maps, report=report).sum("read").values
    vectors, columns = current.shape
    if as_json:
        facts = {"engine": engine, "vectors": vectors, "columns": columns, "lsb": array.lsb}
        print_json({"out": str(out), **facts})
        return
    print(
        f"{out}: {vectors} vectors x {columns} columns, engine {engine}, "
        f"largest {engineering(float(current.max(initial=0.0)), 'A')}, LSB {engineering(array.lsb, 'A')}"
    )
    next_step(f"spicekit report {out} --out {out.with_suffix('.html')}")


def signoff(
    spec: Annotated[Path, Option(help="Design, TOML: tile spec, [converter], [limits].")],
    network: Annotated[
        str | None, Option(help="Also tiles and vectors of this network: a name or a checkpoint file.")
    ] = None,
    data: Data = "digits",
    folder: Folder = None,
    vectors: Annotated[int, Option(min=1, help="Activation vectors for each random or network tile.")] = 8,
    seed: Annotated[int, Option(min=0, help="Of the bits drawn.")] = 0,
    simulator: Annotated[
        list[str], Option(help="ngspice or vacask; given twice, the second is compared with the first.")
    ] = ["ngspice"],  # noqa: B006
    jobs: Annotated[int | None, Option(min=1, help="Processes; default: all cores.")] = None,
    timeout: Annotated[float, Option(min=1, help="Seconds that a simulator may take for one tile.")] = 600.0,
    store: Annotated[
        Path | None, Option(help="Folder of I-V tables and evidence; default: yours, then shipped.")
    ] = None,
    out: Annotated[Path | None, Option(help="Folder for a copy of the result.")] = None,
    as_json: Json = False,
) -> None:
    """Run ngspice (or VACASK) on whole tiles, hold the engines to the design's limits, keep evidence; exit 0 or 1."""
    from spicekit.decks.simulators import check_simulator
    from spicekit.files import take_folder
    from spicekit.report.checks import error_table

    design = sk.read_design(spec)
    own = images = None
    if network is not None:
        own = sk.load_network(network, data=data)
        images = sk.load_dataset(data, "test", folder=folder)
    if out:
        take_folder(out)
    stopped = "nothing was kept, for a sign-off is whole or not there: repeat the command"
    with stages("sign-off", kept=stopped) as report:
        result = sk.sign_off(
            design,
            network=own,
            images=images,
            vectors=vectors,
            seed=seed,
            simulators=[check_simulator(name) for name in simulator],
            store=store,
            workers=jobs,
            timeout=timeout,
            report=report,
        ).noting(network=network)
    evidence = sk.keep_evidence(result, store=store)
    if out:
        result.save(out / "signoff.json")
    if as_json:
        print(result.to_json())
    else:
        print_tables([error_table(result)])
        print(evidence, *([out / "signoff.json"] if out else []), sep="\n")
        for fault in result.faults:
            print(f"  {fault}")
        print("signed off" if result.passed else "NOT signed off")
    next_step(f"spicekit report {out or evidence} --out signoff.html")
    raise typer.Exit(0 if result.passed else 1)


def evaluate(
    network: Annotated[str, Option(help="vgg-small, resnet18, a checkpoint (.safetensors) or an ONNX file.")],
    spec: Annotated[
        Path,
        Option(
            help="Design, TOML: wires; if need be tile, ends, discharge, corner, device, converter, variation, read, "
            "mapping, ablation, limits, costs. docs/design.md has every field."
        ),
    ],
    data: Data = "digits",
    folder: Folder = None,
    download: Annotated[bool, Option("--download", help="Fetch CIFAR-10 into the folder first.")] = False,
    images: Annotated[int | None, Option(min=1, help="First images of the test split; default: all.")] = None,
    mitigation: Annotated[
        list[str] | None,
        Option(
            help="none, static, dynamic, both; order, faults, joint+dynamic and more (docs/mitigations.md); may be "
            "repeated. Default: none and both."
        ),
    ] = None,
    settle: Annotated[
        bool, Option("--settle", help="Take the read time from a SPICE transient of the tile's worst column.")
    ] = False,
    energy: Annotated[
        bool,
        Option(
            "--energy",
            help="Also energy, time and area of the whole circuit, converters and BinSparX's own parts included; "
            "a read lasts as long as a SPICE transient and the converter take.",
        ),
    ] = False,
    fidelity: Annotated[
        int, Option(min=0, help="Also run so many images through the exact engine: seconds for each.")
    ] = 0,
    spice: Annotated[
        int,
        Option(
            min=0,
            help="Also draw so many column reads of this evaluation, half as many near a threshold, and run them in "
            "ngspice: how many codes differ.",
        ),
    ] = 0,
    out: Annotated[Path | None, Option(dir_okay=False, help="Result, JSON.")] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Accuracy, partial sums, NF and read energy of a network on tiles, with and without BinSparX."""
    from spicekit.compiled import keep_memory
    from spicekit.evaluation.convert import calibration_images
    from spicekit.evaluation.evidence import check_comparable
    from spicekit.mapping.binsparx import check_mitigations
    from spicekit.networks.data import fetch_dataset

    if settle and energy:
        raise BadInput("evaluate: --settle and --energy both set the read time; pass one of them.")
    if out is not None:
        require_folder(out, "evaluate")
    mitigations = check_mitigations(mitigation or ["none", "both"])
    design = sk.read_design(spec)
    if fidelity:
        check_comparable(design)
    keep_memory()
    trained = sk.load_network(network, data=data)
    if download:
        fetch_dataset(data, folder)
    dataset = sk.load_dataset(data, "test", folder=folder)
    if images is not None:
        dataset = dataset.first(images)
    train_set = sk.load_dataset(data, "train", folder=folder)
    with stages(network) as report:
        result = sk.evaluate(
            trained,
            dataset,
            design,
            calibration=train_set.first(min(calibration_images(design), len(train_set))),
            mitigations=mitigations,
            energy=energy,
            settle=settle,
            fidelity=fidelity,
            spice=spice,
            store=store,
            report=report,
        ).noting(network=network)
    if as_json:
        print(result.to_json())
    else:
        _show(result, network=network, name=spec.stem)
    if out is not None:
        result.save(out)
        if not as_json:
            print(out)
        next_step(f"spicekit report {out} --out {out.with_suffix('.html')}")
    options = {"spec": spec, "network": network, "data": data, "folder": folder, "store": store}
    given = [word for name, value in options.items() if value for word in (f"--{name}", str(value))]
    if not (result.signed_off and result.signed_off_with_network):
        next_step(shlex.join(["spicekit", "signoff", *given]))


def _show(result: "sk.Evaluation", *, network: str, name: str) -> None:
    """Print what was found."""
    from spicekit.report.costs import cost_tables

    print_evaluations({(network, name): result})
    if result.costs is not None:
        print_tables(cost_tables(result.costs))
    for kind, both in result.fidelity.items():
        print(
            f"exact against fast, BinSparX {kind}, {both.images} images: "
            f"{both.codes_differ:,} of {both.codes:,} codes differ ({both.codes_differ / both.codes:.3%}), "
            f"{both.predictions_differ} predictions; correlation of logits {both.correlation:.6f}"
        )
    for kind, drawn in result.spice.items():
        failed = f"; ngspice failed on {len(drawn.failures)}" if drawn.failures else ""
        print(
            f"ngspice against this evaluation, BinSparX {kind}: {drawn.codes_differ} of {drawn.reads} codes differ "
            f"(95 %: {drawn.rate_low:.2%} to {drawn.rate_high:.2%}); of {drawn.near} reads within "
            f"{drawn.near_within:.2g} LSB of a threshold {drawn.near_codes_differ}; "
            f"where a code differs, ngspice's current is within {drawn.differ_within:.2g} LSB of one{failed}"
        )
    if not result.signed_off:
        print(f"outside what was signed off: {result.sign_off_fault}")
    elif result.signed_off_with_network:
        print("inside what was signed off")
    else:
        print("inside what was signed off, though without vectors of a network")


def sweep(
    study: Annotated[Path, Argument(help="Study, TOML: [base], [[grid]], [[point]].")],
    out: Annotated[Path, Option(help="Folder of the results; repeat the command to resume.")],
    workers: Annotated[int | None, Option(min=1, help="Local worker processes; default: all cores.")] = None,
    scheduler: Annotated[str | None, Option(help="Dask scheduler that runs: tls://host:8786.")] = None,
    tls: Annotated[Path | None, Option(help="Folder of its ca.pem, cert.pem and key.pem: see docs/studies.md.")] = None,
    insecure: Annotated[bool, Option("--insecure", help="Let the scheduler be one that does not encrypt.")] = False,
    cluster: Annotated[Path | None, Option(help="Batch system, TOML: kind, workers, [options].")] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Evaluate networks over a grid or list of designs, on this machine or a Dask cluster."""
    from spicekit.report.study_findings import best, describe
    from spicekit.study.cluster import Cluster, Scheduler, read_cluster
    from spicekit.study.plan import read_study
    from spicekit.study.results import RESULTS_FILE

    if sum(given is not None for given in (workers, scheduler, cluster)) > 1:
        raise BadInput("spicekit sweep: pass one of --workers, --scheduler and --cluster.")
    if scheduler is None and (tls or insecure):
        raise BadInput("spicekit sweep: --tls and --insecure are for a --scheduler.")
    where = read_cluster(cluster) if cluster else Cluster(workers=workers)
    points = read_study(study)
    with stages(kept=f"{out} has what was finished, repeat the command to go on") as report:
        summary = sk.sweep(
            points,
            out,
            cluster=where,
            scheduler=Scheduler(scheduler, tls=tls, insecure=insecure) if scheduler else None,
            store=store,
            report_tables=partial(jobs_done, report, "I-V tables"),
            report=partial(jobs_done, report, f"jobs of {len(points.points)} points"),
        )
    rows = summary.rows()
    if as_json:
        print_json(rows)
    else:
        print(f"{out / RESULTS_FILE}: {len(rows)} points; jobs: {summary.made} made, {summary.kept} kept")
        if top := best(rows):
            print(fitted(f"best: {describe(top, rows)}", to=sys.stdout))
    if summary.failed:
        reasons = sorted({row["fault"] for row in rows if row["fault"]})
        raise SpicekitError(f"{summary.failed} jobs failed: {'; '.join(reasons)}")
    next_step(f"spicekit report {out} --out {out / 'study.html'}")


def report(
    results: Annotated[
        list[Path],
        Argument(
            help="What another verb wrote: a study's folder or results.parquet; JSON of evaluate, signoff, demo or "
            "devices check; an I-V table; the currents of a tile. Several evaluations, or several tables, are "
            "set side by side."
        ),
    ],
    out: Annotated[Path, Option("--out", "-o", dir_okay=False, help="Page to write: a name that ends in .html.")],
    png: Annotated[bool, Option("--png", help="Also each chart as a PNG beside the page.")] = False,
    as_json: Json = False,
) -> None:
    """Show a result, or compare several, as one web page that needs nothing else; its figures as CSV beside it."""
    from spicekit.files import write_atomically
    from spicekit.provenance import provenance
    from spicekit.report.page import csv_text, html
    from spicekit.report.results import compare, read_page

    if out.suffix != ".html":
        raise BadInput(f"report: --out {out}: pages are HTML; pass a name that ends in .html.")
    require_folder(out, "report")
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
