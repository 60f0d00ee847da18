"""`spicekit signoff`: the engines against a circuit simulator."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, next_step, print_sheets, stages


def signoff(
    spec: Annotated[Path, typer.Option(help="Design, TOML: tile spec, [converter], [limits].")],
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
    simulator: Annotated[
        list[str],
        typer.Option(help="ngspice or vacask; given twice, the second is compared with the first."),
    ] = ["ngspice"],  # noqa: B006
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that a simulator may take for one tile.")
    ] = 600.0,
    store: Annotated[
        Path | None, typer.Option(help="Folder of I-V tables and evidence; default: yours, then shipped.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a copy of the result.")] = None,
    as_json: Json = False,
) -> None:
    """Run ngspice (or VACASK) on whole tiles, hold the engines to the design's limits, keep evidence; exit 0 or 1."""
    from spicekit.decks.simulators import check_simulator
    from spicekit.evaluation.design import read_design
    from spicekit.evaluation.evidence import keep_evidence
    from spicekit.evaluation.signoff import sign_off
    from spicekit.report.sheets import sign_off_sheet

    design = read_design(spec)
    own = images = None
    if network is not None:
        from spicekit.networks.data import load_dataset
        from spicekit.networks.reader import load_network

        own, images = load_network(network, data=data), load_dataset(data, "test", folder=folder)
    stopped = "nothing was kept, for a sign-off is whole or not there: repeat the command"
    with stages("sign-off", kept=stopped) as report:
        result = sign_off(
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
    evidence = keep_evidence(result, store=store)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        result.save(out / "signoff.json")
    if as_json:
        print(result.to_json())
    else:
        print_sheets([sign_off_sheet(result.errors)])
        print(evidence, *([out / "signoff.json"] if out else []), sep="\n")
        for fault in result.faults:
            print(f"  {fault}")
        print("signed off" if result.passed else "NOT signed off")
    next_step(f"spicekit report {out or evidence} --out signoff.html")
    raise typer.Exit(0 if result.passed else 1)
