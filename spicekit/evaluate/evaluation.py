"""A network on a design point: accuracy, and what its reads carry, with and without BinSparX.

Four runs of the same network over the same images: in software; on ideal tiles, which must give the same logits bit for
bit; on the real tiles; on the real tiles with BinSparX. Partial sums and currents are those of the reads that the
software's own activations cause, counted on some of the images: a network that the tiles have brought down reads
something else, and would compare with nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import Bias
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.mismatch import RMS_LIMIT
from spicekit.engines.fast.model import ReadModel
from spicekit.engines.variation import Variation
from spicekit.engines.words import Tally
from spicekit.errors import SpicekitError
from spicekit.evaluate.convert import (
    MITIGATIONS,
    PROBE_IMAGES,
    Mitigation,
    probed,
    tallies,
    tile_network,
)
from spicekit.evaluate.design import Design
from spicekit.evaluate.tiled import TiledConv2d, Tiles, on_tiles, tiled_layers
from spicekit.networks.data import Dataset
from spicekit.networks.inference import accuracy, predict_logits
from spicekit.provenance import JsonDict
from spicekit.tables.table import IVTable

Report = Callable[[str], None]


class NotExact(SpicekitError):
    """A network on ideal tiles did not give its software logits: the mapping would be wrong."""


@dataclass(frozen=True)
class ReadStatistics:
    """What the column reads of a layer, or of a network, carry."""

    reads: float
    """Column reads for one image."""
    partial_sum: float
    """Mean number of ON cells of a read."""
    current: float
    """Mean current of a read, A."""
    ideal_current: float
    """Mean of what it would be with all terminals held at `v_read` and 0 V, A."""

    @property
    def nf(self) -> float:
        """Non-ideality factor, (ideal - current) / ideal, of the currents' means."""
        return 1 - self.current / self.ideal_current

    def energy(self, design: Design) -> float:
        """J that the bit lines deliver for one image: V_read * I * t over its reads."""
        return self.reads * design.tile.v_read * self.current * design.read.time


@dataclass(frozen=True)
class TileRun:
    """A network on the tiles of a design point, with one mitigation."""

    mitigation: Mitigation
    accuracy: float
    layers: dict[str, ReadStatistics]

    @property
    def total(self) -> ReadStatistics:
        """Over all layers."""
        return total(self.layers)


@dataclass(frozen=True)
class Evaluation:
    """A network at a design point."""

    design: Design
    images: int
    software: float
    ideal: float
    runs: tuple[TileRun, ...]

    def record(self) -> JsonDict:
        """Everything, JSON-ready."""
        plain = self.runs[0].total
        return {
            "design": self.design.model_dump(mode="json"),
            "images": self.images,
            "accuracy_software": self.software,
            "accuracy_ideal": self.ideal,
            "runs": [
                {
                    "mitigation": run.mitigation,
                    "accuracy": run.accuracy,
                    **_figures(run.total, self.design),
                    "partial_sum_reduction": 1 - run.total.partial_sum / plain.partial_sum,
                    "energy_change": run.total.energy(self.design) / plain.energy(self.design) - 1,
                    "layers": {name: _figures(layer, self.design) for name, layer in run.layers.items()},
                }
                for run in self.runs
            ],
            "assumptions": [
                f"read time {self.design.read.time} s for every read",
                "energy: V_read * I * t of the bit lines; converter, word lines and popcounts not counted",
                f"partial sums and currents: the software's activations, first {PROBE_IMAGES} images",
                *_variation_assumptions(self.design.variation),
            ],
        }


def evaluate(
    network: torch.nn.Module,
    dataset: Dataset,
    design: Design,
    table: IVTable,
    *,
    calibration: Dataset,
    mitigations: Sequence[Mitigation] = ("none", "both"),
    reference: tuple[float, float] | None = None,
    report: Report = lambda text: None,
) -> Evaluation:
    """All four runs of a network at a design point.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    dataset : Dataset
        To be classified.
    design : Design
    table : IVTable
        Of the design's cell and corner.
    calibration : Dataset
        As in `tile_network`.
    mitigations : sequence of {"none", "static", "dynamic", "both"}
        Runs on the real tiles; the first is what the others are compared with.
    reference : (float, float), optional
        Accuracy in software and on ideal tiles, where they are known from another design point of the same rows.
    report : function, optional
        Called with what is about to be done.

    Raises
    ------
    NotExact
        If the logits on ideal tiles, with or without BinSparX, are not those of the software.
    """
    if reference is None:
        reference = software_and_ideal(network, dataset, design.tile, report=report)
    runs = []
    for mitigation in mitigations:
        report(f"real tiles, BinSparX {mitigation}")
        runs.append(
            run_on_tiles(network, dataset, design, table, mitigation=mitigation, calibration=calibration)
        )
    return Evaluation(design, len(dataset), *reference, tuple(runs))


def software_and_ideal(
    network: torch.nn.Module, dataset: Dataset, spec: TileSpec, *, report: Report = lambda text: None
) -> tuple[float, float]:
    """Accuracy in software and on ideal tiles.

    Raises
    ------
    NotExact
        If a logit on ideal tiles, with or without BinSparX, differs from the software's in a single bit; names the
        first layer whose products do.
    """
    report("software")
    software = predict_logits(network, dataset)
    report("ideal tiles")
    ideal = _ideal_logits(network, dataset, software, spec, mitigation="none")
    few = probed(dataset)
    _ideal_logits(network, few, predict_logits(network, few), spec, mitigation="both")
    return accuracy(software, dataset), accuracy(ideal, dataset)


def run_on_tiles(
    network: torch.nn.Module,
    dataset: Dataset,
    design: Design,
    table: IVTable,
    *,
    mitigation: Mitigation,
    calibration: Dataset,
) -> TileRun:
    """The network on the real tiles of a design point.

    Parameters
    ----------
    network : Module
    dataset : Dataset
        To be classified.
    design : Design
    table : IVTable
        Of the design's cell and corner.
    mitigation : {"none", "static", "dynamic", "both"}
    calibration : Dataset
        As in `tile_network`.
    """
    tiled = tile_network(network, design, table, mitigation=mitigation, calibration=calibration)
    few = probed(dataset)
    statistics = read_statistics(
        tallies(network, few, tiled.layers, tiled.model), tiled.model, images=len(few)
    )
    logits = predict_logits(tiled.network, dataset)
    return TileRun(mitigation, accuracy(logits, dataset), statistics)


def read_statistics(met: Mapping[str, Tally], model: ReadModel, *, images: int) -> dict[str, ReadStatistics]:
    """What each layer's reads carry, of the `tallies` of some images."""
    return {name: _statistics(model.bias, tally, images) for name, tally in met.items()}


def total(layers: Mapping[str, ReadStatistics]) -> ReadStatistics:
    """Statistics of all layers' reads together."""
    reads = sum(part.reads for part in layers.values())
    return ReadStatistics(
        reads,
        *(
            sum(part.reads * asdict(part)[key] for part in layers.values()) / reads
            for key in ("partial_sum", "current", "ideal_current")
        ),
    )


def _ideal_logits(
    network: torch.nn.Module, dataset: Dataset, software: Tensor, spec: TileSpec, *, mitigation: Mitigation
) -> Tensor:
    """The logits on ideal tiles; `NotExact` if they are not those of the software."""
    ideal = on_tiles(network, Tiles(spec, IdealCodes(), MITIGATIONS[mitigation]))
    logits = predict_logits(ideal, dataset)
    if wrong := int((logits != software).any(dim=1).sum()):
        raise NotExact(
            f"{wrong} of {len(logits)} images have other logits on ideal tiles (BinSparX: {mitigation}) than in "
            f"software; layer {_first_wrong_layer(ideal, dataset)!r} is the first whose products differ."
        )
    return logits


def _first_wrong_layer(network: torch.nn.Module, dataset: Dataset) -> str | None:
    """The first layer on tiles whose products, of the inputs that it gets, are not the software's; None if all are."""
    wrong: list[str] = []

    def compare(layer: TiledConv2d, arguments: tuple[Tensor], output: Tensor) -> None:
        if not torch.equal(output, layer.product(layer.input_levels(arguments[0]))):
            wrong.append(layer.name)

    for layer in tiled_layers(network).values():
        layer.register_forward_hook(compare)
    predict_logits(network, dataset)
    return wrong[0] if wrong else None


def _statistics(bias: Bias, tally: Tally, images: int) -> ReadStatistics:
    reads = float(tally.reads.sum())
    on = float(tally.reads @ np.arange(len(tally.reads)))
    others = float(tally.others.sum())
    idle = reads * bias.spec.rows - on - others
    ideal = float(on * bias.state[1, 1] + others * bias.state[0, 1] + idle * bias.state[0, 0])
    return ReadStatistics(reads / images, on / reads, float(tally.current.sum()) / reads, ideal / reads)


def _variation_assumptions(variation: Variation) -> list[str]:
    if not variation.mismatch:
        return []
    return [
        f"mismatch: {variation.mismatch:g} times the standard deviations of card and preset, to first order, within "
        f"{RMS_LIMIT} LSB rms of the exact engine; currents and energies are those of nominal cells"
    ]


def _figures(statistics: ReadStatistics, design: Design) -> JsonDict:
    return {**asdict(statistics), "nf": statistics.nf, "energy": statistics.energy(design)}
