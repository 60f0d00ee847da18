"""The main job on embedded data: calibrate a cell, then both networks at a mild and at a heavy design point."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.evaluation.design import Design
from spicekit.evaluation.records import Evaluation
from spicekit.provenance import JsonDict, provenance
from spicekit.results import Report, Result, new_axes, prefixed, silent
from spicekit.tables.calibrate import calibrate
from spicekit.tables.characterise import Characterisation
from spicekit.tables.store import find_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NETWORKS = ("vgg-small", "resnet18")
# 16 rows in a read. Mild: straps three times as wide as a minimum M6 wire (11.9 ohm/um), 0.43 ohm for an 8T cell of
# 108 nm (2 CPP), and 10 ohm at both ends (assumed). Heavy: a minimum M2 wire, 3.2 ohm, and 100 ohm (assumed).
POINTS = {
    "mild": Design(tile=TileSpec(rows_active=16, wires=Wires(r_bl=0.43, r_sl=0.43, r_driver=10, r_sink=10))),
    "heavy": Design(
        tile=TileSpec(rows_active=16, wires=Wires(layer="M2", pitch_nm=108, r_driver=100, r_sink=100))
    ),
}


class PlacedEvaluation(Evaluation):
    """One of a demo's."""

    network: str
    """By name."""
    point: str
    """Of the design space."""


class Demo(Result):
    """What `spicekit demo` finds."""

    kind: Literal["demo"] = "demo"
    """Which kind of result this is."""
    evaluations: tuple[PlacedEvaluation, ...] = Field(min_length=1)
    """Of each network at each design point."""

    def by_name(self) -> dict[tuple[str, str], Evaluation]:
        """The evaluations by network and design point."""
        return {(one.network, one.point): one for one in self.evaluations}

    def rows(self) -> list[JsonDict]:
        """One for each run of each evaluation."""
        return [
            {"network": one.network, "point": one.point, **row}
            for one in self.evaluations
            for row in one.rows()
        ]

    def units(self) -> dict[str, str]:
        """Units of the columns."""
        return self.evaluations[0].units()

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Accuracy in software and of each run on tiles, for each network at each design point."""
        axes = new_axes(axes)
        bars = [
            {"software": one.software, **{run.mitigation: run.accuracy for run in one.runs}}
            for one in self.evaluations
        ]
        kinds = list(dict.fromkeys(kind for bar in bars for kind in bar))
        width = 0.8 / len(kinds)
        for place, kind in enumerate(kinds):
            at = [group + width * (place - (len(kinds) - 1) / 2) for group in range(len(bars))]
            axes.bar(at, [100 * bar.get(kind, float("nan")) for bar in bars], width, label=kind)
        axes.set_xticks(range(len(bars)), [f"{one.network}\n{one.point}" for one in self.evaluations])
        axes.set(ylabel="accuracy / %", ylim=(0, 105))
        axes.legend(frameon=False, fontsize=8)
        return axes

    def __str__(self) -> str:
        return f"Demo: {len(self.evaluations)} evaluations"


def run_demo(store: Path, *, report: Report = silent) -> Demo:
    """Both networks at both design points, with I-V tables swept afresh into `store`."""
    from spicekit.evaluation.evaluate import evaluate
    from spicekit.evaluation.fidelity import software_and_ideal
    from spicekit.networks.checkpoints import load_network
    from spicekit.networks.data import load_dataset

    specs = [point.tile for point in POINTS.values()]
    report("8T-SRAM cell: I-V sweeps in ngspice")
    calibrate([Characterisation(specs[0])], store, force=True)
    table = find_table(specs[0], store=store)
    test, train = load_dataset("digits", "test"), load_dataset("digits", "train")
    results = []
    for name in NETWORKS:
        network = load_network(name, data="digits")
        known = software_and_ideal(network, test, specs[0], report=prefixed(report, name))
        for point, design in POINTS.items():
            result = evaluate(
                network,
                test,
                design,
                table,
                calibration=train,
                known=known,
                store=store,
                report=prefixed(report, f"{name}, {point}"),
            )
            fields = {name: getattr(result, name) for name in Evaluation.model_fields}
            results.append(PlacedEvaluation(**fields, network=name, point=point))
    return Demo(evaluations=tuple(results), provenance=provenance())
