"""`spicekit sweep`: a study of a design space."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, jobs_done, next_step, print_json, stages


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
    store: Annotated[
        Path | None, typer.Option(help="Folder of I-V tables; default: yours, then shipped.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate networks over a grid or list of designs, on this machine or a Dask cluster."""
    from spicekit.errors import BadInput, SpicekitError
    from spicekit.report.study_table import best, describe
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
