"""`spicekit calibrate` makes I-V tables; `spicekit tables` lists, checks, compares and draws them."""

import json
import math
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

import spicekit as sk
from spicekit.cli.display import (
    Json,
    check_png,
    each,
    jobs_done,
    next_step,
    print_json,
    print_paths,
    print_tables,
    stages,
    verbs,
)
from spicekit.errors import BadInput, BadTable, SpiceFailed
from spicekit.units import engineering

if TYPE_CHECKING:
    from spicekit.tables.inventory import Entry


def calibrate(
    spec: Annotated[Path | None, Option(help="Tile spec: only its table.")] = None,
    plan: Annotated[Path | None, Option(help="Grids of conditions, TOML; default: both cells.")] = None,
    store: Annotated[Path | None, Option(help="Folder of tables; default: the user's own.")] = None,
    jobs: Annotated[int | None, Option(min=1, help="Worker processes; default: all cores.")] = None,
    timeout: Annotated[float, Option(min=1, help="Seconds that one sweep may take.")] = 120.0,
    simulator: Annotated[str, Option(help="ngspice, or the optional vacask.")] = "ngspice",
    force: Annotated[bool, Option("--force", help="Also make tables that are up to date.")] = False,
    as_json: Json = False,
) -> None:
    """Sweep cells in ngspice (or VACASK) into I-V tables; what is up to date is kept, so repeat it to resume."""
    # This process multiplies no matrices, and numpy's threads begin by spinning.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from spicekit.decks.simulators import check_simulator
    from spicekit.tables.characterise import Characterisation, default_plan, read_plan
    from spicekit.tables.store import user_store

    if spec and plan:
        raise BadInput("spicekit calibrate: pass --spec or --plan, not both.")
    if spec:
        requests = [Characterisation(sk.read_design(spec).tile)]
    elif plan:
        requests = read_plan(plan)
    else:
        requests = default_plan()
    folder = store or user_store()
    with stages(kept=f"{folder} has what was finished, repeat the command to go on") as report:
        summary = sk.calibrate(
            requests,
            folder,
            simulator=check_simulator(simulator),
            workers=jobs,
            timeout=timeout,
            force=force,
            report=partial(jobs_done, report, "I-V tables"),
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


tables = verbs("List, show, verify, compare, import and plot I-V tables.")

Store = Annotated[
    Path | None,
    Option(exists=True, file_okay=False, help="Folder of tables; default: the user's and those that ship."),
]
Name = Annotated[str, Argument(help="Name, beginning of a name, or path of a table.")]


@tables.command("list")
def list_tables(store: Store = None, as_json: Json = False) -> None:
    """What is calibrated, for which conditions, and whether it can be used."""
    from spicekit.report.page import text_table
    from spicekit.tables.inventory import inventory

    found = {folder: inventory(folder) for folder in _folders(store)}
    if as_json:
        print_json([_entry(entry) for entries in found.values() for entry in entries])
        return
    head = ("table", "devices", "ON current", "state")
    for folder, entries in found.items():
        rows = tuple(
            (
                entry.path.stem,
                entry.devices,
                engineering(entry.on_current, "A"),
                "unusable" if entry.fault else "ok",
            )
            for entry in entries
        )
        print_tables([text_table(str(folder), head, rows)])
    next_step("spicekit tables show NAME")


def _folders(store: Path | None) -> list[Path]:
    from spicekit.tables.inventory import stores

    return [store] if store else stores()


def _entry(entry: "Entry") -> dict[str, Any]:
    current = entry.on_current if math.isfinite(entry.on_current) else None
    return {"path": str(entry.path), "devices": entry.devices, "on_current": current, "fault": entry.fault}


@tables.command()
def show(
    name: Name,
    store: Store = None,
    deck: Annotated[int | None, Option(min=0, max=1, help="Print the deck of this stored bit.")] = None,
    as_json: Json = False,
) -> None:
    """What made a table, and what is in it."""
    from spicekit.tables.inventory import locate
    from spicekit.tables.store import read_sweep

    path = locate(name, _folders(store))
    sweep = read_sweep(path)
    if deck is not None:
        print(sweep.decks[deck])
        return
    if as_json:
        print_json({"path": str(path), "shape": sweep.current.shape, "origin": sweep.origin})
        return
    shape = " x ".join(map(str, sweep.current.shape))
    print(f"{path}\n{shape} currents, 0 to {sweep.voltage[-1]:g} V, {sweep.converged.sum()} points converged")
    print(json.dumps(sweep.origin, indent=2))
    next_step(f"spicekit report {path} --out table.html")


@tables.command()
def verify(store: Store = None, as_json: Json = False) -> None:
    """Check every table: checksum, axes, convergence, today's cards, manifest; a few points in ngspice."""
    from spicekit.tables.inventory import inventory, manifest_faults, simulated_faults

    found, counts = {}, {}
    with stages() as report:
        for folder in each(report, "points in ngspice", _folders(store)):
            entries = inventory(folder)
            counts[folder] = len(entries)
            found[folder] = [entry.fault for entry in entries if entry.fault] + manifest_faults(folder)
            found[folder] += simulated_faults(entries)
    faults = [fault for own in found.values() for fault in own]
    if as_json:
        print_json({"faults": faults})
    else:
        for folder, own in found.items():
            print(f"{folder}: {counts[folder]} tables, {len(own)} faults")
        print(*(f"  {fault}" for fault in faults), sep="\n", end="\n" * bool(faults))
    if faults:
        raise BadTable(f"{len(faults)} faults; each is listed above with the command that repairs it.")


@tables.command()
def compare(first: Name, second: Name, store: Store = None, as_json: Json = False) -> None:
    """Two tables state by state: of one cell from two simulators, cards or corners."""
    from spicekit.report.page import text_table
    from spicekit.tables.characterise import made_by
    from spicekit.tables.inventory import locate, table_differences
    from spicekit.tables.store import read_sweep

    paths = [locate(name, _folders(store)) for name in (first, second)]
    found = table_differences(*paths)
    if as_json:
        print_json({"tables": [str(path) for path in paths], "states": [asdict(one) for one in found]})
        return
    for path in paths:
        print(f"{path}: {made_by(read_sweep(path).origin)}")
    rows = tuple(
        (
            f"w = {one.w}, a = {one.a}",
            engineering(one.first, "A"),
            engineering(one.second, "A"),
            f"{one.second / one.first - 1:+.3%}" if one.first else "-",
            f"{one.rms:.2g}",
            f"{one.worst:.2g}",
        )
        for one in found
    )
    head = ("state", "first", "second", "second / first - 1", "rms", "worst")
    title = "currents at half the highest voltage; differences over all voltages, of the first's largest current"
    print_tables([text_table(title, head, rows)])


@tables.command("import")
def import_(
    file: Annotated[Path, Argument(help="NumPy archive: voltage (k,), V, and current (2, 2, k, k), A.")],
    spec: Annotated[Path, Option(help="Tile spec: cell, devices, word line and corner that it is of.")],
    source: Annotated[str, Option(help="Where it comes from; stands in every result.")],
    store: Annotated[Path | None, Option(help="Folder; default: the user's.")] = None,
    as_json: Json = False,
) -> None:
    """Take in a table of measured silicon or of another simulator; it is marked as such wherever it is used."""
    from spicekit.tables.inventory import import_table
    from spicekit.tables.store import user_store

    path = import_table(file, sk.read_design(spec).tile, store or user_store(), source=source)
    print_paths(path, as_json=as_json)


@tables.command()
def plot(
    name: Name,
    out: Annotated[Path, Option("--out", "-o", help="PNG.")] = Path("table.png"),
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Draw a table."""
    from spicekit.files import write_atomically
    from spicekit.report.cell import iv_charts
    from spicekit.report.charts import png_of
    from spicekit.tables.inventory import locate
    from spicekit.tables.store import read_sweep

    check_png(out)
    write_atomically(out, png_of(iv_charts(read_sweep(locate(name, _folders(store))))))
    print_paths(out, as_json=as_json)
