"""What a network costs at a design point, with and without BinSparX: its events counted, its read measured."""

from collections.abc import Mapping, Sequence
from functools import cache

import torch

from spicekit.circuits.spec import TileSpec
from spicekit.engines.fast.model import read_model
from spicekit.engines.words import Applied
from spicekit.evaluation.convert import (
    Layers,
    added,
    cells_read,
    check_mitigations,
    lay_out,
    probed,
    tallies,
    watch,
)
from spicekit.evaluation.design import Design, as_design
from spicekit.evaluation.energy import LayerEvents, ReadCircuit, conduction_time
from spicekit.evaluation.network_costs import NetworkCosts, network_costs
from spicekit.mapping.binsparx import Mitigation
from spicekit.mapping.packed import PackedLayer
from spicekit.networks.adopt import check_binary
from spicekit.networks.data import Data, Dataset, as_dataset
from spicekit.networks.layers import binary_layers
from spicekit.provenance import provenance
from spicekit.tables.settling import settling
from spicekit.tables.store import table_for
from spicekit.tables.table import IVTable


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
    return design.replace(read=design.read.replace(time=conduction_time(circuit, design)))


def energy(
    network: torch.nn.Module,
    dataset: Data,
    design: Design,
    *,
    mitigations: Sequence[Mitigation] = ("none", "both"),
    table: IVTable | None = None,
    circuit: ReadCircuit | None = None,
    currents: Mapping[Mitigation, Mapping[str, float]] | None = None,
) -> NetworkCosts:
    """Energy, time and area of a network on the tiles of a design, converters and BinSparX's own parts included.

    Parameters
    ----------
    network : Module
    dataset : as in `evaluate`
        Its first images, as many as `design.read.probe_images`, are counted.
    design : Design
        A read lasts as long as the transient and the converter take, whatever `read.time`.
    mitigations : sequence of Mitigation
        In the order of docs/mitigations.md; the first is what the others are compared with.
    table : IVTable, optional
        Of the design's cell and corner; by default the one that the stores have.
    circuit : ReadCircuit, optional
        Settling and word-line charge; by default measured in ngspice.
    currents : mapping, optional
        Mean current of a read of each layer in A, where an evaluation has found it.

    Raises
    ------
    SpiceFailed, MissingTool
        If ngspice is needed and fails, or is not there.

    Examples
    --------
    >>> import spicekit as sk
    >>> network, images = sk.load_network("vgg-small-quarter"), sk.load_dataset("digits", "test")
    >>> design = sk.design(layer="M2", pitch_nm=108, rows_active=16, probe_images=1)
    >>> costs = sk.energy(network, images, design)
    >>> plain, binsparx = costs.runs
    >>> binsparx.energy_parts["bit lines"] < plain.energy_parts["bit lines"]
    True
    """
    check_binary(network)
    design, dataset = as_design(design), as_dataset(dataset)
    mitigations = check_mitigations(mitigations)
    circuit = circuit or measure_read(design.tile)
    few = probed(dataset, design)
    events: dict[Mitigation, dict[str, LayerEvents]] = {}
    for mitigation in mitigations:
        layers = lay_out(network, design, mitigation=mitigation)
        if currents is None:
            model = read_model(design.tile, cells_read(design, table_for(design.tile, table)))
            tallied = {
                name: added([counted]) for name, counted in tallies(network, few, layers, model).items()
            }
            means = {name: float(tally.current.sum() / tally.reads.sum()) for name, tally in tallied.items()}
        else:
            means = dict(currents[mitigation])
        events[mitigation] = count_events(network, few, layers, currents=means)
    found = network_costs(design, circuit, events)
    return found.noting(**provenance({"data": dataset.source}))


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

    seen = watch(network, dataset, layers, probe)
    borders = {
        name: layer.geometry.gathering(seen[name])
        for name, layer in binary_layers(network).items()
        if layer.zero_padded
    }
    return {
        name: LayerEvents(
            pixels=pixels[name] // len(dataset),
            inputs=int(packed.layer.used.sum()),
            outputs=packed.layer.outputs,
            tiles=packed.layer.rows.shape[1],
            groups=int((packed.layer.used > 0).any(axis=1).sum()),
            subvectors=int((packed.layer.used > 0).sum()),
            ones=ones[name] / len(dataset),
            static=packed.layer.binsparx.stores_inverted,
            dynamic=packed.layer.binsparx.dynamic,
            weighted=packed.layer.binsparx.dynamic and packed.layer.binsparx.flip_rule == "position",
            ordered=packed.layer.binsparx.order,
            stored_inverted=int(packed.layer.inverted.sum()),
            applied_inverted=inverted[name] / len(dataset),
            current=currents[name],
            border_additions=borders[name].border_pixels * packed.layer.outputs if name in borders else 0,
            border_constants=borders[name].border_classes * packed.layer.outputs if name in borders else 0,
        )
        for name, packed in layers.items()
    }
