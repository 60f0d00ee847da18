"""What spicekit needs and whether it works on this machine."""

import importlib.metadata
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.compiled import ENVIRONMENT, code_folder
from spicekit.devices.bsim4 import supported_levels
from spicekit.errors import DISTRIBUTION, SpicekitError
from spicekit.spice.batch import VACASK_HINT, run_batch, run_vacask, vacask
from spicekit.spice.simulator import (
    INSTALL_HINT,
    OSDI_HINT,
    Job,
    Step,
    ngspice,
    simulate,
    supports_osdi,
    worker_cage,
)
from spicekit.tables.characterise import DEFAULT_CELLS, made_by
from spicekit.tables.store import find_table


@dataclass(frozen=True)
class Finding:
    """One thing examined."""

    what: str
    cure: str | None = None
    """None if all is well."""
    required: bool = True


def examine() -> Iterator[Finding]:
    """Findings, as they come: a namesake, ngspice, PySpice, torch, a GPU, compiled code, the default tables."""
    yield from _namesake()
    yield _ngspice()
    simulation = _simulation()
    yield simulation
    if simulation.cure is None:
        yield from _models()
    yield _second_simulator()
    yield from _torch()
    yield _compiled()
    yield from map(_table, DEFAULT_CELLS)


def _namesake() -> Iterator[Finding]:
    """The other package that is imported as `spicekit`; each overwrites the other's files."""
    try:
        other = importlib.metadata.metadata("spicekit")
    except importlib.metadata.PackageNotFoundError:
        return
    summary = other["Summary"] or "no summary"
    if "compute-in-memory" not in summary:  # this one, from before it had a name of its own
        yield Finding(
            f"packages: another one, spicekit {other['Version']} ({summary}), is installed over this one, "
            f"{DISTRIBUTION}",
            f"pip uninstall spicekit; pip install --force-reinstall {DISTRIBUTION}",
        )


def _ngspice() -> Finding:
    path = shutil.which("ngspice")
    if path is None:
        return Finding("ngspice program (for decks run by hand): not found", INSTALL_HINT, required=False)
    try:
        run = run_batch(_PROBE, timeout=60.0)
    except SpicekitError as error:
        return Finding(f"ngspice program: {path}: {error}", f"re{INSTALL_HINT}", required=False)
    if "v(a) = 1.000000e+00" not in run.output:
        return Finding(f"ngspice program: {path}: does not run a deck", f"re{INSTALL_HINT}", required=False)
    loads = "does not load" if "no such command" in run.output else "loads"
    return Finding(f"ngspice program: {path}: runs decks, {loads} compiled Verilog-A (OSDI); its cage: {run.cage}")


_PROBE = """* one node, and a library that is not there
v1 a 0 1
r1 a 0 1
.control
op
print v(a)
osdi no-such-file
quit 0
.endc
.end
"""


def _simulation() -> Finding:
    deck = "* divider\nv1 a 0 dc 1\nr1 a b 1000\nr2 b 0 3000\n.end\n"
    try:
        version = ngspice().version
        (waves,) = simulate(Job(deck, (Step("op"),)), timeout=60.0)
    except SpicekitError as error:
        cure = "install it with: pip install PySpice" if "'PySpice" in str(error) else INSTALL_HINT
        return Finding(f"libngspice through PySpice: {error}", cure)
    if abs(waves["b"][0] - 0.75) > 1e-9:
        return Finding(f"libngspice {version}: a 3:1 divider gives {waves['b'][0]} V", f"re{INSTALL_HINT}")
    return Finding(f"libngspice {version} through PySpice: simulates; its cage: {worker_cage()}")


def _models() -> Iterator[Finding]:
    try:
        levels = ", ".join(str(level) for level in sorted(supported_levels()))
        osdi = supports_osdi()
    except SpicekitError as error:
        yield Finding(f"cards of your own: {error}", INSTALL_HINT)
        return
    yield Finding(f"cards of your own: MOS levels {levels}")
    what = "cards of your own in compiled Verilog-A (OSDI), BSIM-CMG for instance"
    yield Finding(f"{what}: {'run' if osdi else 'do not run'}", None if osdi else OSDI_HINT, required=False)


def _second_simulator() -> Finding:
    try:
        build = vacask()
        tables, run = run_vacask(_DIVIDER, timeout=60.0)
    except SpicekitError as error:
        return Finding(f"second simulator (optional): {error}", VACASK_HINT, required=False)
    if abs(tables["s0"]["b"][0] - 0.75) > 1e-9:
        return Finding(f"VACASK {build.version}: does not simulate", f"re{VACASK_HINT}", required=False)
    return Finding(f"second simulator: VACASK {build.version}, loads compiled Verilog-A (OSDI); its cage: {run.cage}")


_DIVIDER = """divider
load "resistor.osdi"
ground 0
model vsource vsource
model resistor resistor
v1 (a 0) vsource dc=1
r1 (a b) resistor r=1000
r2 (b 0) resistor r=3000
control
options rawfile="ascii"
analysis s0 op
endc
"""


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that it needs is not there
        cure = f"pip install '{DISTRIBUTION}[networks]'"
        yield Finding(f"torch: {error}; networks need it, single tiles do not", cure, required=False)
        return
    yield Finding(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; training runs on the processor"
    yield Finding(f"GPU: {gpu}", required=False)
    from spicekit.networks.training import fastest_options

    yield Finding(f"training: fastest with {fastest_options()}", required=False)


def _compiled() -> Finding:
    folder = code_folder()
    if folder.fault is None:
        return Finding(f"compiled code: kept in {folder.path}")
    return Finding(
        f"compiled code: not kept, so every run compiles anew, some minutes: {folder.fault}",
        f"set {ENVIRONMENT} to a folder of your own with access for nobody else (chmod 700)",
        required=False,
    )


def _table(cell: str) -> Finding:
    try:
        table = find_table(TileSpec(cell=cell, wires=Wires(r_bl=0.0, r_sl=0.0)))
    except SpicekitError as error:
        return Finding(f"default I-V table, {cell}: {error}", "spicekit calibrate")
    return Finding(f"default I-V table, {cell}: up to date, {made_by(table.origin)}")


def prepare() -> None:
    """Compile the loops that networks on tiles need, and keep them: the first evaluation starts as a later one does.

    The smallest network that ships runs on tiles of 16 and of 64 rows in a read, plain and with BinSparX.
    """
    from spicekit.evaluation.design import Design
    from spicekit.evaluation.evaluate import evaluate
    from spicekit.networks.checkpoints import load_network
    from spicekit.networks.data import load_dataset

    network, images = load_network("vgg-small-quarter"), load_dataset("digits", "test").first(2)
    for rows in (16, 64):
        tile = TileSpec(rows_active=rows, wires=Wires(layer="M2", pitch_nm=108))
        evaluate(network, images, Design(tile=tile))
