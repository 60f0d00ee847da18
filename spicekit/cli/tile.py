"""`spicekit tile`: one tile through one engine; `spicekit signoff`: the engines against a circuit simulator."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Data, Folder, Json, Store, next_step, print_json, print_tables, stages


def tile(
    spec: Annotated[Path, typer.Option(help="Tile spec, TOML; its cells may have [variation].")],
    weights: Annotated[Path, typer.Option(help="Stored bits, .npy (rows, columns) uint8.")],
    inputs: Annotated[Path, typer.Option(help="Activation bits, .npy (vectors, rows) uint8.")],
    out: Annotated[
        Path, typer.Option(dir_okay=False, help="Result, .npz: current (A), lsb (A), partial_sum.")
    ],
    engine: Annotated[str, typer.Option(help="spice, exact, fast or ideal")] = "exact",
    maps: Annotated[
        bool,
        typer.Option(
            help="Also voltages and currents of every cell for the first vector, and what takes the current away: for "
            "the report; word-line drive only, by the exact engine's equations."
        ),
    ] = True,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Column currents of one tile."""
    from spicekit.engines.tile import check_engine
    from spicekit.errors import BadInput
    from spicekit.evaluation.array import Tile
    from spicekit.evaluation.design import read_design
    from spicekit.files import read_array
    from spicekit.tables.store import find_table
    from spicekit.units import engineering

    name = check_engine(engine)
    point = read_design(spec)
    columns = point.tile.columns
    array = Tile(point, read_array(weights), table=find_table(point.tile, store=store))
    bits = read_array(inputs)
    if bits.ndim != 2:
        raise BadInput(f"inputs: expected bits shaped (vectors, {point.tile.rows}), got {bits.shape}.")
    with stages(engine) as report:
        report(f"{len(bits)} vectors")
        current = array.write(out, bits, engine=name, maps=maps, report=report).sum("read").values
    step = array.lsb
    if as_json:
        print_json({"out": str(out), "engine": engine, "vectors": len(bits), "columns": columns, "lsb": step})
        return
    print(
        f"{out}: {current.shape[0]} vectors x {current.shape[1]} columns, engine {engine}, "
        f"largest {engineering(float(current.max(initial=0.0)), 'A')}, LSB {engineering(step, 'A')}"
    )
    next_step(f"spicekit report {out} --out {out.with_suffix('.html')}")


def signoff(
    spec: Annotated[Path, typer.Option(help="Design, TOML: tile spec, [converter], [limits].")],
    network: Annotated[
        str | None, typer.Option(help="Also tiles and vectors of this network: a name or a checkpoint file.")
    ] = None,
    data: Data = "digits",
    folder: Folder = None,
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
    from spicekit.files import take_folder
    from spicekit.report.signoff import error_table

    design = read_design(spec)
    own = images = None
    if network is not None:
        from spicekit.networks.checkpoints import load_network
        from spicekit.networks.data import load_dataset

        own, images = load_network(network, data=data), load_dataset(data, "test", folder=folder)
    if out:
        take_folder(out)
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
