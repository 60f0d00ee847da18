"""`spicekit devices`: transistor cards against their sheets: check, fit, plot."""

from pathlib import Path
from typing import Annotated

import typer

from spicekit.cli.display import Json, print_json

devices = typer.Typer(
    help="Transistor cards against their target sheets: check, fit, plot.", no_args_is_help=True
)

Devices = Annotated[
    list[str] | None,
    typer.Argument(help="Shipped devices, folders or card files; default: all shipped ones."),
]


@devices.command()
def check(
    names: Devices = None,
    as_json: Json = False,
) -> None:
    """Simulate every card; exit status 1 if a figure is out of reach of its target."""
    from dataclasses import asdict

    from spicekit.devices.cards import shipped_devices
    from spicekit.devices.check import check_devices
    from spicekit.report.device import print_check

    rows = check_devices(names or shipped_devices())
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_check(rows)
    raise typer.Exit(0 if all(row.within for row in rows) else 1)


@devices.command()
def fit(names: Devices = None, as_json: Json = False) -> None:
    """Fit devices to their sheets anew and write their cards and fit records beside them."""
    from spicekit.devices.cards import device_folder, shipped_devices
    from spicekit.devices.fit import fit_device
    from spicekit.devices.record import write_device

    found = {}
    for name in names or shipped_devices():
        rows = write_device(fit_device(name), device_folder(name))
        missed = [row.figure for row in rows if not row.within]
        found[name] = missed
        if not as_json:
            print(f"{name}: {'out of reach: ' + ', '.join(missed) if missed else 'all figures within reach'}")
    if as_json:
        print_json({"out_of_reach": found})


@devices.command()
def plot(
    name: Annotated[str, typer.Argument(help="Shipped device, or a folder of cards.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG to write.")],
) -> None:
    """Draw currents over gate and drain voltage, temperature and corner."""
    from spicekit.files import write_atomically
    from spicekit.report.device import draw_device

    write_atomically(out, draw_device(name))
    print(out)


@devices.command()
def spread(
    spec: Annotated[Path, typer.Option(help="Tile spec, TOML: cell, devices, bias and corner.")],
    samples: Annotated[int, typer.Option(min=2, help="Cells to simulate.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the random thresholds and gaps.")] = 0,
    as_json: Json = False,
) -> None:
    """Monte Carlo of a cell's read current: threshold mismatch, and spread of its ReRAM element."""
    import numpy as np

    from spicekit.evaluate.design import read_design
    from spicekit.tables.spread import read_spread
    from spicekit.units import engineering

    tile = read_design(spec).tile
    spreads = []
    for weight in (1, 0):
        cells = read_spread(tile, samples, weight=weight, rng=np.random.default_rng(seed))
        low, high = np.percentile(cells.current, (1, 99)).tolist()
        spreads.append(
            {
                "weight": weight,
                "nominal": cells.nominal,
                "mean": float(cells.current.mean()),
                "sigma": cells.relative,
                "percentile_1": low,
                "percentile_99": high,
            }
        )
        if not as_json:
            print(
                f"{tile.cell}, weight {weight}: nominal {engineering(cells.nominal, 'A')}, "
                f"mean {engineering(float(cells.current.mean()), 'A')}, sigma {cells.relative:.1%}, "
                f"1 % to 99 %: {engineering(low, 'A')} to {engineering(high, 'A')} ({samples} cells, seed {seed})"
            )
    if as_json:
        print_json({"cell": tile.cell, "samples": samples, "seed": seed, "spreads": spreads})
