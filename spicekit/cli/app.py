"""`spicekit`: the command, and verbs to begin with: `doctor`, `init`, `demo`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from spicekit import __version__
from spicekit.cli.devices import devices
from spicekit.cli.display import (
    Json,
    console,
    next_step,
    print_evaluations,
    print_json,
    print_paths,
    set_quiet,
    stages,
    verbs,
)
from spicekit.cli.netlist import netlist
from spicekit.cli.network import network, train
from spicekit.cli.results import evaluate, report, signoff, sweep, tile
from spicekit.cli.tables import calibrate, tables
from spicekit.errors import BadInput, no_such

app = verbs("SPICE-backed co-simulation of compute-in-memory tiles for binary neural networks.")


def _version(asked: bool) -> None:
    if asked:
        print(f"spicekit {__version__}")
        raise typer.Exit


@app.callback(epilog="Every verb has its own --help. Results go to stdout, progress and advice to stderr.")
def _root(
    context: typer.Context,
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="No progress and no advice; may stand behind the verb.")
    ] = False,
    debug: Annotated[bool, Option("--debug", help="Show where an error arose; may stand behind the verb.")] = False,
) -> None:
    """SPICE-backed co-simulation of compute-in-memory tiles for binary neural networks."""
    set_quiet(quiet)
    context.call_on_close(lambda: set_quiet(False))


def doctor(
    as_json: Json = False,
    prepared: Annotated[
        bool,
        Option(
            "--prepare",
            help="Also compile what networks need, half a minute: the first evaluation then starts at once.",
        ),
    ] = False,
) -> None:
    """What is installed and works here; each problem with its cure."""
    from rich.markup import escape

    from spicekit.evaluation.doctor import examine, prepare

    screen, findings = console(), []
    for finding in examine():
        findings.append(finding)
        if as_json:
            continue
        colour, mark = ("green", "ok") if finding.cure is None else ("red" if finding.required else "yellow", "no")
        whole = not screen.is_terminal  # a line a finding, for those who search
        screen.print(f"[{colour}]{mark}[/]  {escape(finding.what)}", soft_wrap=whole)
        if finding.cure:
            screen.print(f"    -> {escape(finding.cure)}", soft_wrap=whole)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.cure for finding in findings if finding.required):
        raise typer.Exit(1)
    if prepared:
        prepare()
    next_step("spicekit demo")


STARTERS = Path(__file__).with_name("starters")
FILES = {"tile": "tile.toml", "study": "study.toml", "network": "network.py", "cell": "cell"}
"""By what there is a starter for."""
NEXT = {
    "tile": "spicekit evaluate --network vgg-small --spec {path} --images 100 --out result.json",
    "study": "spicekit sweep {path} --out results",
    "network": "python {path}",
    "cell": "spicekit calibrate --spec {path}/tile.toml",
}


def init(
    what: Annotated[str, Argument(help=f"{', '.join(FILES)}: a design, a study, a network or a cell.")],
    out: Annotated[
        Path | None,
        Option("--out", "-o", help="File to write, for a cell the folder; default: its usual name."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write commented files to start from."""
    from spicekit.files import write_atomically

    if what not in FILES:
        raise no_such("starter", what, FILES)
    source, path = STARTERS / FILES[what], out or Path(FILES[what])
    if path.exists() and not (source.is_dir() and path.is_dir() and not any(path.iterdir())):
        raise BadInput(f"init {what}: {path} exists; pass another name with --out.")
    files = {path / one.name: one for one in sorted(source.iterdir())} if source.is_dir() else {path: source}
    if source.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    for written, starter in files.items():
        write_atomically(written, starter.read_bytes())
    print_paths(*files, as_json=as_json)
    next_step(NEXT[what].format(path=path))


def demo(
    out: Annotated[
        Path, Option(file_okay=False, help="Folder for the tables, the results (JSON) and the page.")
    ] = Path("spicekit-demo"),
    as_json: Json = False,
) -> None:
    """Calibrate the 8T-SRAM cell in ngspice, then run both networks at two design points."""
    from spicekit.evaluation.evaluate import run_demo
    from spicekit.files import take_folder, write_atomically
    from spicekit.report.evaluation import demo_page
    from spicekit.report.page import html

    take_folder(out)
    with stages("demo", kept=f"{out / 'tables'} has the I-V table: repeat the command") as report:
        result = run_demo(out / "tables", report=report)
    result.save(out / "demo.json")
    write_atomically(out / "demo.html", html(demo_page(result), made_by=f"Made of {out / 'demo.json'}."))
    if as_json:
        print(result.to_json())
    else:
        print_evaluations(result.by_name())
        print(out / "demo.json", out / "demo.html", sep="\n")
    next_step(f"open {out / 'demo.html'} in a browser")


for verb in (doctor, init, calibrate, tile, signoff, train, evaluate, sweep, report, demo):
    app.command()(verb)
app.add_typer(devices, name="devices")
app.add_typer(netlist, name="netlist")
app.add_typer(network, name="network")
app.add_typer(tables, name="tables")
