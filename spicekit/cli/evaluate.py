"""`spicekit evaluate`: a network on a design; `spicekit sweep`: a study of many designs."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spicekit.cli.display import (
    Data,
    Folder,
    Json,
    Store,
    jobs_done,
    next_step,
    print_evaluations,
    print_json,
    print_tables,
    stages,
)

if TYPE_CHECKING:
    from spicekit.evaluation.records import Evaluation


def evaluate(
    network: Annotated[
        str, typer.Option(help="vgg-small, resnet18, a checkpoint (.safetensors) or an ONNX file.")
    ],
    spec: Annotated[
        Path,
        typer.Option(
            help="Design, TOML: wires; if need be tile, ends, discharge, corner, device, converter, variation, read, "
            "mapping, ablation, limits, costs. docs/design.md has every field."
        ),
    ],
    data: Data = "digits",
    folder: Folder = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch CIFAR-10 into the folder first.")
    ] = False,
    images: Annotated[
        int | None, typer.Option(min=1, help="First images of the test split; default: all.")
    ] = None,
    mitigation: Annotated[
        list[str] | None,
        typer.Option(
            help="none, static, dynamic, both; order, faults, joint+dynamic and more (docs/mitigations.md); may be "
            "repeated. Default: none and both."
        ),
    ] = None,
    settle: Annotated[
        bool,
        typer.Option(
            "--settle", help="Take the read time from a SPICE transient of the tile's worst column."
        ),
    ] = False,
    energy: Annotated[
        bool,
        typer.Option(
            "--energy",
            help="Also energy, time and area of the whole circuit, converters and BinSparX's own parts included; "
            "a read lasts as long as a SPICE transient and the converter take.",
        ),
    ] = False,
    fidelity: Annotated[
        int,
        typer.Option(min=0, help="Also run so many images through the exact engine: seconds for each."),
    ] = 0,
    spice: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also draw so many column reads of this evaluation, half as many near a threshold, and run them in "
            "ngspice: how many codes differ.",
        ),
    ] = 0,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Result, JSON.")] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Accuracy, partial sums, NF and read energy of a network on tiles, with and without BinSparX."""
    import shlex

    from spicekit.compiled import keep_memory
    from spicekit.errors import BadInput
    from spicekit.evaluation.convert import calibration_images, check_mitigations
    from spicekit.evaluation.design import read_design
    from spicekit.evaluation.evaluate import evaluate as evaluate_network
    from spicekit.evaluation.fidelity import check_comparable
    from spicekit.networks.checkpoints import load_network
    from spicekit.networks.data import fetch_dataset, load_dataset

    if settle and energy:
        raise BadInput("evaluate: --settle and --energy both set the read time; pass one of them.")
    if out is not None and not out.parent.is_dir():
        raise BadInput(f"evaluate: there is no folder {out.parent} for --out {out}; make it first.")
    mitigations = check_mitigations(mitigation or ["none", "both"])
    design = read_design(spec)
    if fidelity:
        check_comparable(design)
    keep_memory()
    trained = load_network(network, data=data)
    if download:
        fetch_dataset(data, folder)
    dataset = load_dataset(data, "test", folder=folder)
    if images is not None:
        dataset = dataset.first(images)
    train_set = load_dataset(data, "train", folder=folder)
    with stages(network) as report:
        result = evaluate_network(
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


def _show(result: "Evaluation", *, network: str, name: str) -> None:
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
    study: Annotated[Path, typer.Argument(help="Study, TOML: [base], [[grid]], [[point]].")],
    out: Annotated[Path, typer.Option(help="Folder of the results; repeat the command to resume.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Local worker processes; default: all cores.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler that runs: tls://host:8786.")] = None,
    tls: Annotated[
        Path | None, typer.Option(help="Folder of its ca.pem, cert.pem and key.pem: see docs/studies.md.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let the scheduler be one that does not encrypt.")
    ] = False,
    cluster: Annotated[
        Path | None, typer.Option(help="Batch system, TOML: kind, workers, [options].")
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Evaluate networks over a grid or list of designs, on this machine or a Dask cluster."""
    from spicekit.errors import BadInput, SpicekitError
    from spicekit.report.study_findings import best, describe
    from spicekit.study.cluster import Cluster, Scheduler, read_cluster
    from spicekit.study.plan import read_study
    from spicekit.study.results import RESULTS_FILE
    from spicekit.study.sweep import sweep as run

    if sum(given is not None for given in (workers, scheduler, cluster)) > 1:
        raise BadInput("spicekit sweep: pass one of --workers, --scheduler and --cluster.")
    if scheduler is None and (tls or insecure):
        raise BadInput("spicekit sweep: --tls and --insecure are for a --scheduler.")
    where = read_cluster(cluster) if cluster else Cluster(workers=workers)
    points = read_study(study)
    with stages(kept=f"{out} has what was finished, repeat the command to go on") as report:
        summary = run(
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
            print(f"best: {describe(top, rows)}")
    if summary.failed:
        reasons = sorted({row["fault"] for row in rows if row["fault"]})
        raise SpicekitError(f"{summary.failed} jobs failed: {'; '.join(reasons)}")
    next_step(f"spicekit report {out} --out {out / 'study.html'}")
