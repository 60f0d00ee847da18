"""The main job on embedded data: calibrate a cell, then both networks at a mild and at a heavy design point."""

from pathlib import Path

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.evaluate.design import Design
from spicekit.evaluate.evaluation import Evaluation, Report, evaluate, software_and_ideal
from spicekit.networks.checkpoints import load_network
from spicekit.networks.data import load_dataset
from spicekit.tables.calibrate import calibrate
from spicekit.tables.characterise import Characterisation
from spicekit.tables.store import find_table

NETWORKS = ("vgg-small", "resnet18")
# 16 rows in a read. Mild: straps three times as wide as a minimum M6 wire (11.9 ohm/um), 0.43 ohm for an 8T cell of
# 108 nm (2 CPP), and 10 ohm at both ends (assumed). Heavy: a minimum M2 wire, 3.2 ohm, and 100 ohm (assumed).
POINTS = {
    "mild": Design(tile=TileSpec(rows_active=16, wires=Wires(r_bl=0.43, r_sl=0.43, r_driver=10, r_sink=10))),
    "heavy": Design(
        tile=TileSpec(rows_active=16, wires=Wires(layer="M2", pitch_nm=108, r_driver=100, r_sink=100))
    ),
}


def run_demo(store: Path, *, report: Report) -> dict[tuple[str, str], Evaluation]:
    """Evaluations by network and design point, from I-V tables swept afresh into `store`."""
    specs = [point.tile for point in POINTS.values()]
    report("8T-SRAM cell: I-V sweeps in ngspice")
    calibrate([Characterisation(specs[0])], store, force=True)
    table = find_table(specs[0], store=store)
    test, train = load_dataset("digits", "test"), load_dataset("digits", "train")
    results = {}
    for name in NETWORKS:
        network = load_network(name, data="digits")
        known = software_and_ideal(network, test, specs[0], report=_prefixed(report, name))
        for point, design in POINTS.items():
            results[name, point] = evaluate(
                network,
                test,
                design,
                table,
                calibration=train,
                reference=known,
                report=_prefixed(report, f"{name}, {point}"),
            )
    return results


def _prefixed(report: Report, prefix: str) -> Report:
    return lambda stage: report(f"{prefix}: {stage}")
