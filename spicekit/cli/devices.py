"""`spicekit devices`: transistor cards against their sheets: check, fit, plot."""

from pathlib import Path
from typing import Annotated

import typer

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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Simulate every card; exit status 1 if a figure is out of reach of its target."""
    import json
    from dataclasses import asdict

    from spicekit.devices.cards import shipped_devices
    from spicekit.devices.check import check_devices
    from spicekit.report.device import print_check

    rows = check_devices(names or shipped_devices())
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print_check(rows)
    raise typer.Exit(0 if all(row.within for row in rows) else 1)


@devices.command()
def fit(names: Devices = None) -> None:
    """Fit devices to their sheets anew and write their cards and fit records beside them."""
    from spicekit.devices.cards import device_folder, shipped_devices
    from spicekit.devices.fit import fit_device
    from spicekit.devices.record import write_device

    for name in names or shipped_devices():
        rows = write_device(fit_device(name), device_folder(name))
        missed = [row.figure for row in rows if not row.within]
        print(f"{name}: {'out of reach: ' + ', '.join(missed) if missed else 'all figures within reach'}")


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
) -> None:
    """Monte Carlo of a cell's read current: threshold mismatch, and spread of its ReRAM element."""
    import numpy as np

    from spicekit.evaluate.design import read_design
    from spicekit.tables.spread import read_spread
    from spicekit.units import engineering

    tile = read_design(spec).tile
    for weight in (1, 0):
        cells = read_spread(tile, samples, weight=weight, rng=np.random.default_rng(seed))
        low, high = (engineering(float(end), "A") for end in np.percentile(cells.current, (1, 99)))
        print(
            f"{tile.cell}, weight {weight}: nominal {engineering(cells.nominal, 'A')}, "
            f"mean {engineering(float(cells.current.mean()), 'A')}, sigma {cells.relative:.1%}, "
            f"1 % to 99 %: {low} to {high} ({samples} cells, seed {seed})"
        )
