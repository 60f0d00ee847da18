"""`spicekit signoff`: the engines against ngspice."""

from pathlib import Path
from typing import Annotated

import typer


def signoff(
    spec: Annotated[Path, typer.Option(help=r"Design, TOML: tile spec, \[converter], \[limits].")],
    network: Annotated[
        str | None, typer.Option(help="Also tiles and vectors of this network: a name or a checkpoint file.")
    ] = None,
    data: Annotated[
        str, typer.Option(help="Images for the network: digits (embedded) or cifar10")
    ] = "digits",
    folder: Annotated[Path | None, typer.Option(help="Where CIFAR-10 lies, in any of its layouts.")] = None,
    vectors: Annotated[
        int, typer.Option(min=1, help="Activation vectors for each random or network tile.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the bits drawn.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="ngspice processes; default: all cores.")] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that ngspice may take for one tile.")
    ] = 600.0,
    store: Annotated[
        Path | None, typer.Option(help="Folder of I-V tables and evidence; default: yours, then shipped.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a copy of the result.")] = None,
) -> None:
    """Run ngspice on whole tiles, hold the engines to the design's limits, keep the evidence; exit status 0 or 1."""
    import json

    import numpy as np

    from spicekit.cli.display import print_sheets, stages
    from spicekit.evaluate.design import read_design
    from spicekit.evaluate.signoff import evidence_path, sign_off
    from spicekit.evaluate.vectors import HARVEST_IMAGES, cases_for
    from spicekit.files import write_atomically
    from spicekit.networks.checkpoints import load_network
    from spicekit.networks.data import load_dataset
    from spicekit.provenance import provenance
    from spicekit.report.sheets import sign_off_sheet
    from spicekit.spice.simulator import ngspice
    from spicekit.tables.store import find_table, user_store

    design = read_design(spec)
    table = find_table(design.tile, store=store)
    harvest = None
    if network is not None:
        images = load_dataset(data, "test", folder=folder).first(HARVEST_IMAGES)
        harvest = load_network(network, data=data), images
    with stages("sign-off") as report:
        cases = cases_for(design.tile, vectors, rng=np.random.default_rng(seed), harvest=harvest)
        result = sign_off(design, table, cases, workers=jobs, timeout=timeout, report=report)
    print_sheets([sign_off_sheet(result.deviations)])
    origin = provenance(
        {
            "seed": seed,
            "network": network,
            "data": harvest and harvest[1].source,
            "ngspice": ngspice().version,
            "ngspice_state": ngspice().state,
            "table_origin": table.origin,
        }
    )
    content = json.dumps({**result.record(), "provenance": origin}, indent=1)
    evidence = evidence_path(store or user_store(), design.tile)
    for path in (evidence, *([out / "signoff.json"] if out else [])):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        print(path)
    for fault in result.faults:
        print(f"  {fault}")
    print("signed off" if result.passed else "NOT signed off")
    raise typer.Exit(0 if result.passed else 1)
