"""`spicekit`: the verbs."""

import typer

from spicekit.cli.calibrate import calibrate
from spicekit.cli.demo import demo
from spicekit.cli.devices import devices
from spicekit.cli.doctor import doctor
from spicekit.cli.evaluate import evaluate
from spicekit.cli.netlist import netlist
from spicekit.cli.report import report
from spicekit.cli.signoff import signoff
from spicekit.cli.sweep import sweep
from spicekit.cli.tables import tables
from spicekit.cli.tile import tile
from spicekit.cli.train import train

app = typer.Typer(
    name="spicekit",
    help="SPICE-backed co-simulation of compute-in-memory tiles for binary neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Keep verbs as sub-commands even while there is one only."""


for verb in (doctor, calibrate, tile, signoff, train, evaluate, sweep, report, demo):
    app.command()(verb)
app.add_typer(devices, name="devices")
app.add_typer(netlist, name="netlist")
app.add_typer(tables, name="tables")
