"""`spicekit calibrate`: make I-V tables."""

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, jobs_done, next_step, print_json, stages


def calibrate(
    spec: Annotated[Path | None, typer.Option(help="Tile spec: only its table.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Grids of conditions, TOML; default: both cells.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of tables; default: the user's own.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; default: all cores.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one sweep may take.")] = 120.0,
    simulator: Annotated[str, typer.Option(help="ngspice, or the optional vacask.")] = "ngspice",
    force: Annotated[bool, typer.Option("--force", help="Also make tables that are up to date.")] = False,
    as_json: Json = False,
) -> None:
    """Sweep cells in ngspice (or VACASK) into I-V tables; what is up to date is kept, so repeat it to resume."""
    # This process multiplies no matrices, and numpy's threads begin by spinning.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from spicekit.decks.simulators import check_simulator
    from spicekit.errors import BadInput, SpiceFailed
    from spicekit.tables.calibrate import calibrate as run
    from spicekit.tables.characterise import Characterisation
    from spicekit.tables.plan import default_plan, read_plan
    from spicekit.tables.store import user_store

    if spec and plan:
        raise BadInput("spicekit calibrate: pass --spec or --plan, not both.")
    if spec:
        # Loads Numba, which costs a short calibration a tenth of its time.
        from spicekit.evaluation.design import read_design

        requests = [Characterisation(read_design(spec).tile)]
    elif plan:
        requests = read_plan(plan)
    else:
        requests = default_plan()
    folder = store or user_store()
    kept = f"{folder} has what was finished, repeat the command to go on"
    with stages(kept=kept) as report:
        show = partial(jobs_done, report, "I-V tables")
        summary = run(
            requests,
            folder,
            simulator=check_simulator(simulator),
            workers=jobs,
            timeout=timeout,
            force=force,
            report=show,
        )
    if as_json:
        print_json({"store": str(folder), **asdict(summary)})
    else:
        print(f"{folder}: {len(summary.made)} made, {len(summary.kept)} kept, {len(summary.failed)} failed")
        for kind, faults in (("failed", summary.failed), ("incomplete", summary.incomplete)):
            for name, fault in faults.items():
                print(f"  {kind}: {name}: {fault}")
    if summary.failed or summary.incomplete:
        raise SpiceFailed(
            f"{len(summary.failed)} tables failed, {len(summary.incomplete)} are incomplete; "
            f"repeat the command to try those that failed again."
        )
    next_step(f"spicekit tables list{f' --store {store}' if store else ''}")
