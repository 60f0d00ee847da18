"""`spicekit`: the verbs."""

from typing import Annotated

import typer

from spicekit import __version__
from spicekit.cli.decks import netlist
from spicekit.cli.devices import devices
from spicekit.cli.display import set_quiet, verbs
from spicekit.cli.evaluate import evaluate, sweep
from spicekit.cli.network import network, train
from spicekit.cli.report import report
from spicekit.cli.start import demo, doctor, init
from spicekit.cli.tables import calibrate, tables
from spicekit.cli.tile import signoff, tile

app = verbs("SPICE-backed co-simulation of compute-in-memory tiles for binary neural networks.")


def _version(asked: bool) -> None:
    if asked:
        print(f"spicekit {__version__}")
        raise typer.Exit


@app.callback(epilog="Every verb has its own --help. Results go to stdout, progress and advice to stderr.")
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no advice; may stand behind the verb.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error arose; may stand behind the verb.")
    ] = False,
) -> None:
    """SPICE-backed co-simulation of compute-in-memory tiles for binary neural networks."""
    set_quiet(quiet)
    context.call_on_close(lambda: set_quiet(False))


for verb in (doctor, init, calibrate, tile, signoff, train, evaluate, sweep, report, demo):
    app.command()(verb)
app.add_typer(devices, name="devices")
app.add_typer(netlist, name="netlist")
app.add_typer(network, name="network")
app.add_typer(tables, name="tables")
