"""`spicekit sweep`: a study of a design space."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def sweep(
    study: Annotated[Path, typer.Argument(help=r"Study, TOML: \[base], \[\[grid]], \[\[point]].")],
    out: Annotated[Path, typer.Option(help="Folder of the results; repeat the command to resume.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Local worker processes; default: all cores.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler that runs: tcp://host:8786.")] = None,
    cluster: Annotated[
        Path | None, typer.Option(help=r"Batch system, TOML: kind, workers, \[options].")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder of I-V tables; default: yours, then shipped.")
    ] = None,
) -> None:
    """Evaluate networks over a grid or list of designs, on this machine or a Dask cluster."""
    from spicekit.cli.display import jobs_bars
    from spicekit.errors import BadInput, SpicekitError
    from spicekit.report.study import pareto_picture, sensitivity_picture
    from spicekit.study.cluster import Cluster, read_cluster
    from spicekit.study.plan import read_study
    from spicekit.study.results import RESULTS_FILE
    from spicekit.study.sweep import sweep as run

    if sum(given is not None for given in (workers, scheduler, cluster)) > 1:
        raise BadInput("spicekit sweep: pass one of --workers, --scheduler and --cluster.")
    where = read_cluster(cluster) if cluster else Cluster(workers=workers)
    points = read_study(study)
    with jobs_bars() as bar:
        try:
            summary = run(
                points,
                out,
                cluster=where,
                scheduler=scheduler,
                store=store,
                report_tables=bar("I-V tables"),
                report=bar(f"{len(points.points)} points: jobs"),
            )
        except KeyboardInterrupt:
            print(
                f"spicekit: stopped; {out} has what was finished, repeat the command to go on",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
    print(f"{out / RESULTS_FILE}: {len(summary.rows)} points; jobs: {summary.made} made, {summary.kept} kept")
    for picture, name in ((pareto_picture, "pareto.png"), (sensitivity_picture, "sensitivity.png")):
        if picture(summary.rows, out / name):
            print(out / name)
    if summary.failed:
        reasons = sorted({row["fault"] for row in summary.rows if row["fault"]})
        raise SpicekitError(f"{summary.failed} jobs failed: {'; '.join(reasons)}")
