"""`spicekit devices`: transistor cards: check, fit, import, plot."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

import spicekit as sk
from spicekit.cli.display import (
    Json,
    check_png,
    each,
    next_step,
    print_json,
    print_paths,
    print_tables,
    stages,
    verbs,
)
from spicekit.errors import BadInput
from spicekit.units import engineering

devices = verbs("Transistor cards against their target sheets: check, fit, plot.")

Devices = Annotated[
    list[str] | None, Argument(help="Shipped devices, folders or card files; default: all shipped ones.")
]


@devices.command()
def check(names: Devices = None, as_json: Json = False) -> None:
    """Simulate every card against its published figures and its curves; exit status 1 if one is out of reach."""
    from spicekit.devices.cards import shipped_devices
    from spicekit.devices.check import check_cards
    from spicekit.report.checks import check_tables

    with stages() as report:
        record = check_cards(names or shipped_devices(), draw=as_json, report=report)
    if as_json:
        print_json(record.model_dump(mode="json"))
    else:
        print_tables(check_tables(record))
    next_step("spicekit devices check --json > devices.json, then spicekit report devices.json --out devices.html")
    raise typer.Exit(1 if record.out_of_reach else 0)


@devices.command()
def fit(names: Devices = None, as_json: Json = False) -> None:
    """Fit devices to their curves anew and write their cards and fit records beside them."""
    from spicekit.devices.cards import device_folder, shipped_devices
    from spicekit.devices.fit import fit_device, write_device

    found = {}
    with stages(kept="devices that were done have their new cards: pass the others") as report:
        for name in each(report, "fitting", names or shipped_devices()):
            found[name] = fit_device(name)
            write_device(found[name], device_folder(name))
    worst = {name: max(row.worst for rows in one.errors.values() for row in rows) for name, one in found.items()}
    for name in () if as_json else found:
        cards = len(found[name].cards)
        print(f"{name}: {cards} cards, worst error {worst[name]:.2%} of the largest current")
    if as_json:
        print_json({"worst_error": worst})


@devices.command("import")
def import_(
    file: Annotated[Path, Argument(help="Model file of a foundry or a predictive kit; it is read, never run.")],
    out: Annotated[Path, Option("--out", "-o", help="Folder to write the card and its sheet into.")],
    width: Annotated[float, Option(help="Effective width of one fin or transistor, m; it picks the bin.")],
    length: Annotated[float, Option(help="Gate length, m; likewise.")],
    model: Annotated[str | None, Option(help="Name of the model, without a bin's number.")] = None,
    polarity: Annotated[str | None, Option(help="Channel type: nmos or pmos.")] = None,
    section: Annotated[
        str | None, Option(help="Section of .lib; default: tt, ff and ss, where the file has them.")
    ] = None,
    osdi: Annotated[
        str | None, Option(help="For BSIM-CMG (level 72): the compiled model, native code that will run.")
    ] = None,
    module: Annotated[str, Option(help="Its Verilog-A module.")] = "bsimcmg_va",
    as_json: Json = False,
) -> None:
    """Take one card out of a model file: sections, bins, computed parameters, models in subcircuits."""
    from spicekit.config import parse
    from spicekit.devices.importing import Compiled, import_device
    from spicekit.devices.sheet import Geometry

    if polarity not in (None, "nmos", "pmos"):
        raise BadInput(f"--polarity {polarity}: pass nmos or pmos.")
    geometry = parse(Geometry, {"width": width, "length": length}, source="--width, --length")
    target, cards = import_device(
        file,
        out,
        geometry,
        name=model,
        polarity="nmos" if polarity == "nmos" else "pmos" if polarity else None,
        section=section,
        compiled=Compiled(osdi, module) if osdi else None,
    )
    if as_json:
        found = {
            name: {"model": c.model, "polarity": c.polarity, "left_out": list(c.dropped)} for name, c in cards.items()
        }
        print_json({"device": str(target), "cards": found})
        return
    for name, card in cards.items():
        print(f"{name}: {card.model} ({card.polarity})")
        if card.dropped:
            names = ", ".join(name + meant for name, meant in card.dropped.items())
            print(f"  left out, as BSIM4 in ngspice has no such parameters: {names}")
    print(f"{target}: name it in a spec, [device] {next(iter(cards.values())).polarity} = ...")


@devices.command()
def plot(
    name: Annotated[str, Argument(help="Shipped device, or a folder of cards.")],
    out: Annotated[Path, Option("--out", "-o", help="PNG to write.")],
    as_json: Json = False,
) -> None:
    """Draw currents over gate and drain voltage, temperature and corner."""
    from spicekit.devices.check import draw_families
    from spicekit.files import write_atomically
    from spicekit.report.charts import png_of
    from spicekit.report.checks import family_charts

    check_png(out)
    with stages() as report:
        report("curves in ngspice", 0, 2)
        charts = family_charts(draw_families([name]))
        report("picture", 1, 2)
        write_atomically(out, png_of(charts))
    print_paths(out, as_json=as_json)


@devices.command()
def spread(
    spec: Annotated[Path, Option(help="Tile spec, TOML: cell, devices, bias and corner.")],
    samples: Annotated[int, Option(min=2, help="Cells to simulate.")] = 500,
    seed: Annotated[int, Option(help="Of the random thresholds and gaps.")] = 0,
    as_json: Json = False,
) -> None:
    """Monte Carlo of a cell's read current: threshold mismatch, and spread of its ReRAM element."""
    import numpy as np

    from spicekit.report.page import text_table
    from spicekit.tables.spread import read_spread

    tile = sk.read_design(spec).tile
    with stages() as report:
        found = {
            weight: read_spread(tile, samples, weight=weight, rng=np.random.default_rng(seed))
            for weight in each(report, f"{samples} cells in ngspice, weight", (1, 0))
        }
    spreads = [
        {
            "weight": weight,
            "nominal": cells.nominal,
            "mean": float(cells.current.mean()),
            "sigma": cells.relative,
        }
        | dict(zip(("percentile_1", "percentile_99"), np.percentile(cells.current, (1, 99)).tolist(), strict=True))
        for weight, cells in found.items()
    ]
    if as_json:
        print_json({"cell": tile.cell, "samples": samples, "seed": seed, "spreads": spreads})
        return
    rows = [
        [f"{value:.1%}" if name == "sigma" else engineering(value, "A") for name, value in one.items()][1:]
        for one in spreads
    ]
    heads = ("weight", "nominal", "mean", "sigma", "1 %", "99 %")
    title = f"read current of {samples} cells, {tile.cell}, seed {seed}"
    print_tables([text_table(title, heads, [(str(w), *row) for w, row in zip(found, rows, strict=True)])])


@devices.command()
def ends(
    spec: Annotated[Path, Option(help="Tile spec, TOML; what it says of its ends does not count.")],
    fins: Annotated[list[int], Option(min=1, help="Widths to show; may be repeated.")] = [  # noqa: B006
        32,
        64,
        128,
        256,
    ],
    nmos: Annotated[str, Option(help="Card of the ends.")] = "nmos-lvt",
    pmos: Annotated[str, Option(help="Likewise.")] = "pmos-lvt",
    check: Annotated[bool, Option("--check", help="Also simulate tiles with transistors and with resistors.")] = False,
    out: Annotated[Path | None, Option("--out", "-o", help="File to keep the curves in, JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Resistance of drivers and sense ends by their width: a pass gate, and the input of a current mirror."""
    from spicekit.circuits.spec import rooted
    from spicekit.config import read_toml
    from spicekit.report.page import text_table
    from spicekit.tables.ends import Devices, end_error, end_figures, write_ends

    tables = rooted(read_toml(spec), spec.parent)
    known = {name: table for name, table in tables.items() if name in ("tile", "wires", "corner", "device", "cell")}
    tile, of = sk.TileSpec.from_tables(known, source=str(spec)), Devices(nmos=nmos, pmos=pmos)
    with stages() as report:
        report("ends in ngspice")
        curves = sk.ends(tile, of)
        compared = each(report, "tiles with ends in ngspice, fins", fins) if check else ()
        found = {n: end_error(curves, tile, of, driver_fins=n, sense_fins=n) for n in compared}
    if out:
        write_ends(out, curves)
    figures = [end_figures(curves, tile.rows_active, driver_fins=n, sense_fins=n) for n in fins]
    errors = [found.get(n) for n in fins]
    if as_json:
        rows = [
            {**asdict(one), "error": asdict(error) if error else None}
            for one, error in zip(figures, errors, strict=True)
        ]
        print_json({"conditions": curves.conditions, "cell": curves.cell, "ends": rows})
        return
    head = (
        "fins",
        "driver, ohm",
        "sense, ohm",
        "column current",
        *(("rms, LSB", "worst, LSB") if check else ()),
    )
    lines = tuple(
        (
            str(one.driver_fins),
            " / ".join(f"{ohm:.1f}" for ohm in one.driver),
            " / ".join(f"{ohm:.1f}" for ohm in one.sense),
            engineering(one.current, "A"),
            *((f"{error.rms:.2g}", f"{error.worst:.2g}") if error else ()),
        )
        for one, error in zip(figures, errors, strict=True)
    )
    title = f"ends of {nmos} and {pmos}: at no current / a quarter / all of {tile.rows_active} rows ON"
    print_tables([text_table(title, head, lines)])
    if out:
        print(f"{out}: name it in a spec, [ends] file = ..., driver_fins = ..., sense_fins = ...")
