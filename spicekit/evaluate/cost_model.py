"""What a network costs at a design point, with and without BinSparX: events counted, then energy, time and area."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import torch

from spicekit.circuits.spec import TileSpec
from spicekit.engines.words import Applied
from spicekit.evaluate.convert import PROBE_IMAGES, Layers, Mitigation, lay_out, probed, watch
from spicekit.evaluate.costs import SOURCES, Costs
from spicekit.evaluate.design import Design
from spicekit.evaluate.energy import (
    Estimate,
    LayerEvents,
    ReadCircuit,
    conduction_time,
    conversion_time,
    estimate,
    resolution,
    together,
)
from spicekit.evaluate.evaluation import Evaluation
from spicekit.mapping.packed import PackedLayer
from spicekit.networks.data import Dataset
from spicekit.provenance import JsonDict
from spicekit.tables.settling import settling

NOT_COUNTED = (
    "first layer, classifier, batch norm, activation functions, shortcuts",
    "buffers, and moving activations between layers",
    "control, clock tree, decoders, reference columns, the muxes of shared converters",
    "leakage of cells' cores and of logic; what the array takes between reads",
    "writing the weights",
    "a column's charging from rest, beyond V_read * I while it conducts",
)
"""The same with and without BinSparX, but for what is in the last line."""

ASSUMPTIONS = (
    "every word line returns to zero after each read",
    "all tiles work side by side; groups of rows, pixels and layers one after the other, images too",
    "corrections and sums run while the next read does",
    "activations of several bits: each bit a pixel of its own; shifts between them cost nothing",
    "the counters that decide flips are not shared with those of the input sums, which count the same ones",
    "logic at 0.7 V, whatever the corner",
    f"currents and bits: the software's activations, first {PROBE_IMAGES} images",
)


@dataclass(frozen=True)
class Account:
    """Events of a network at a design point, by mitigation and layer, and what they cost."""

    design: Design
    circuit: ReadCircuit
    events: Mapping[Mitigation, Mapping[str, LayerEvents]]

    @cached_property
    def totals(self) -> dict[Mitigation, Estimate]:
        """Of the whole network."""
        return self.with_costs(self.design.costs)

    def layers(self, mitigation: Mitigation) -> dict[str, Estimate]:
        """Of each layer."""
        events = self.events[mitigation]
        return {name: estimate(layer, self.circuit, self.design) for name, layer in events.items()}

    def with_costs(self, costs: Costs) -> dict[Mitigation, Estimate]:
        """Of the whole network, with other constants."""
        design = self.design.replace(costs=costs)
        return {
            mitigation: together(estimate(layer, self.circuit, design) for layer in layers.values())
            for mitigation, layers in self.events.items()
        }

    @property
    def changes(self) -> dict[Mitigation, JsonDict]:
        """Energy, time and area of each run relative to the first."""
        return _against_first(self.totals)

    def break_even(self, mitigation: Mitigation) -> float | None:
        """Times which the bit lines would have to take what they do, for a run to need the energy of the first.

        Below it BinSparX costs more than it saves; None if it saves nothing on the bit lines.
        """
        whole, first = self.totals[mitigation], self._first
        saved = first.energy.get("bit lines", 0.0) - whole.energy.get("bit lines", 0.0)
        return (whole.total_energy - first.total_energy) / saved + 1 if saved > 0 else None

    def record(self) -> JsonDict:
        """Everything, JSON-ready."""
        return {
            "settling": self.circuit.settling,
            "word_line_charge": self.circuit.word_line_charge,
            "conversion_time": conversion_time(self.design),
            "conduction_time": conduction_time(self.circuit, self.design),
            "converter_bits": resolution(self.design),
            "constants": self.design.costs.sheet(),
            "sources": SOURCES,
            "assumptions": list(ASSUMPTIONS),
            "not_counted": list(NOT_COUNTED),
            "runs": [
                {
                    "mitigation": mitigation,
                    **_figures(whole),
                    "change": self.changes[mitigation],
                    "overhead": whole.overhead,
                    "break_even": self.break_even(mitigation),
                    "shares": _shares(whole),
                    "layers": {name: _figures(layer) for name, layer in self.layers(mitigation).items()},
                }
                for mitigation, whole in self.totals.items()
            ],
            "response": self.response(),
        }

    def response(self) -> JsonDict:
        """What becomes of the first run, and of each run against it, when one constant changes."""
        varied = {}
        for what, costs in self.design.costs.variations().items():
            totals = self.with_costs(costs)
            first = next(iter(totals.values()))
            varied[what] = {
                "first_run": _changes(first, self._first),
                "runs": _against_first(totals),
            }
        return varied

    @property
    def _first(self) -> Estimate:
        return next(iter(self.totals.values()))


@cache
def measure_read(spec: TileSpec) -> ReadCircuit:
    """Settling time and word-line charge of a tile's worst read, in ngspice.

    Raises
    ------
    SpiceFailed
        If ngspice fails, or the column does not settle.
    """
    worst = settling(spec, "worst")
    return ReadCircuit(worst.time, worst.word_line_charge / worst.word_lines)


def with_read_time(design: Design, circuit: ReadCircuit) -> Design:
    """The design with a read as long as a column conducts: the transient, and the converter if it needs the current."""
    return design.replace(read={"time": conduction_time(circuit, design)})


def account(
    network: torch.nn.Module, dataset: Dataset, evaluation: Evaluation, circuit: ReadCircuit
) -> Account:
    """Energy, time and area behind an evaluation.

    Parameters
    ----------
    network : Module
    dataset : Dataset
        That the evaluation classified; its first images are counted.
    evaluation : Evaluation
        Brings each layer's mean current.
    circuit : ReadCircuit
    """
    few = probed(dataset)
    events = {}
    for run in evaluation.runs:
        layers = lay_out(network, evaluation.design, mitigation=run.mitigation)
        currents = {name: statistics.current for name, statistics in run.layers.items()}
        events[run.mitigation] = count_events(network, few, layers, currents=currents)
    return Account(evaluation.design, circuit, events)


def count_events(
    network: torch.nn.Module,
    dataset: Dataset,
    layers: Layers,
    *,
    currents: Mapping[str, float],
) -> dict[str, LayerEvents]:
    """What happens in each layer for one image, the mean over `dataset`, classified in software.

    `currents` are means of a column read by layer, A.
    """
    ones = dict.fromkeys(layers, 0)
    inverted = dict.fromkeys(layers, 0)
    pixels = dict.fromkeys(layers, 0)

    def probe(packed: PackedLayer, applied: Applied) -> None:
        name = packed.layer.name
        ones[name] += int(applied.asserted.sum())
        inverted[name] += int(applied.inverted.sum())
        pixels[name] += len(applied.words)

    watch(network, dataset, layers, probe)
    return {
        name: LayerEvents(
            pixels=pixels[name] // len(dataset),
            inputs=int(packed.layer.used.sum()),
            outputs=packed.layer.outputs,
            tiles=len(packed.layer.rows),
            groups=int((packed.layer.used > 0).any(axis=0).sum()),
            subvectors=int((packed.layer.used > 0).sum()),
            ones=ones[name] / len(dataset),
            static=packed.layer.binsparx.static,
            dynamic=packed.layer.binsparx.dynamic,
            weighted=packed.layer.binsparx.dynamic and packed.layer.binsparx.rule == "position",
            stored_inverted=int(packed.layer.inverted.sum()),
            applied_inverted=inverted[name] / len(dataset),
            current=currents[name],
        )
        for name, packed in layers.items()
    }


def _figures(whole: Estimate) -> JsonDict:
    return {
        "energy": whole.total_energy,
        "time": whole.time,
        "area": whole.total_area,
        "energy_parts": dict(whole.energy),
        "area_parts": dict(whole.area),
    }


def _against_first(totals: Mapping[Mitigation, Estimate]) -> dict[Mitigation, JsonDict]:
    first = next(iter(totals.values()))
    return {mitigation: _changes(whole, first) for mitigation, whole in totals.items()}


def _changes(whole: Estimate, reference: Estimate) -> JsonDict:
    """Relative to a reference; null where the reference has nothing."""
    pairs = {
        "energy": (whole.total_energy, reference.total_energy),
        "time": (whole.time, reference.time),
        "area": (whole.total_area, reference.total_area),
    }
    return {name: value / base - 1 if base else None for name, (value, base) in pairs.items()}


def _shares(whole: Estimate) -> JsonDict:
    """Parts of the totals: by how much a total moves where a part alone does."""
    parts = {"energy": (whole.energy, whole.total_energy), "area": (whole.area, whole.total_area)}
    return {
        kind: {name: value / total if total else None for name, value in values.items()}
        for kind, (values, total) in parts.items()
    }
