"""Energy, time and area of a network as a result: what its events cost, and what each constant does to that."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from spicekit.circuits.spec import TileSpec
from spicekit.errors import BadInput
from spicekit.evaluation.costs import (
    SOURCES,
    Figures,
    LayerEvents,
    ReadCircuit,
    conduction_time,
    conversion_time,
    estimate,
    overhead,
    resolution,
    together,
)
from spicekit.evaluation.design import Design, as_design
from spicekit.mapping.binsparx import MITIGATION_LABELS, Mitigation, check_mitigations
from spicekit.provenance import JsonDict, provenance
from spicekit.results import Coulomb, Fraction, Joule, Record, Result, Second, new_axes, plain, units_of
from spicekit.tables.settling import settling
from spicekit.tables.store import table_for
from spicekit.tables.table import IVTable
from spicekit.units import engineering

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import nn

    from spicekit.networks.data import Data

NOT_COUNTED = (
    "first layer, classifier, batch norm, activation functions, shortcuts",
    "buffers, and moving activations between layers",
    "control, clock tree, decoders, reference columns, the muxes of shared converters",
    "leakage of cells' cores and of logic; what the array takes between reads",
    "writing the weights",
    "a column's charging from rest, beyond V_read * I while it conducts",
)
"""The same with and without BinSparX, but for what is in the last line."""
RAILED = "area of shared rails; what is lost in them is in the bit lines' energy, which the read source delivers"
UNDEFINED = "area of drivers, and of all together: a terminal of 0 ohm has none; give r_driver and r_sink a resistance"

ASSUMPTIONS = (
    "every word line returns to zero after each read",
    "all tiles work side by side; groups of rows, pixels and layers one after the other, images too",
    "corrections and sums run while the next read does",
    "activations of several bits: each bit a pixel of its own; shifts between them cost nothing",
    "the counters that decide flips are not shared with those of the input sums, which count the same ones",
    "logic at 0.7 V, whatever the corner",
)


class Change(Record):
    """Relative to another run; None where that has nothing."""

    energy: Fraction | None
    """Change of the energy for one image."""
    time: Fraction | None
    """Change of the time for one image."""
    area: Fraction | None
    """Change of the area of all tiles and circuits."""


class CostedRun(Figures):
    """What one mitigation costs."""

    mitigation: Mitigation
    """A name of docs/mitigations.md."""
    change: Change
    """Change against the first run."""
    overhead: Joule
    """Part of the energy that the mitigation itself adds."""
    break_even: float | None
    """Times which the bit lines would have to take what they do, for this run to need the energy of the first.

    Below it BinSparX costs more than it saves; None if it saves nothing on the bit lines.
    """
    shares: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    """Parts of the totals of energy and area: by how much a total moves where a part alone does."""
    layers: dict[str, Figures]
    """The same figures for each layer, by its name."""


class Response(Record):
    """What a change of one constant does."""

    first_run: Change
    """Change of the first run by the other constant."""
    runs: dict[Mitigation, Change]
    """Change of each run against the first, both with the other constant."""


class Constant(Record):
    """A constant of the sheet behind energy, time and area."""

    value: str | int | float | list[str]
    """Its value, in SI units."""
    source: str | None
    """Where the value comes from, or that it is assumed and why."""


class NetworkCosts(Result):
    """What a network costs at a design point, with and without BinSparX.

    >>> import spicekit as sk
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Flatten(), sk.BinaryLinear(3072, 10))
    >>> design = sk.design(rows=16, columns=4, layer="M2", pitch_nm=108, probe_images=1)
    >>> costs = sk.energy(network, sk.load_dataset("digits", "test"), design)
    >>> held, shared = costs.runs[0], costs.with_constants(columns_per_converter=4).runs[0]
    >>> shared.time > held.time
    True
    """

    kind: Literal["costs"] = "costs"
    """Which kind of result this is."""
    settling: Second
    """Time until a column is right to half an LSB, in ngspice."""
    word_line_charge: Coulomb | None = None
    """Charge that it takes to raise one word line, in ngspice."""
    conversion_time: Second
    """Time that a converter takes."""
    conduction_time: Second
    """Time for which a column conducts in a read."""
    converter_bits: int
    """Resolution of the converters."""
    constants: dict[str, Constant]
    """Constants behind the figures, by name; docs/design.md has their units."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Sources that several constants share."""
    assumptions: tuple[str, ...]
    """Assumptions that the figures rest on."""
    not_counted: tuple[str, ...]
    """Parts that are in no figure."""
    runs: tuple[CostedRun, ...] = Field(min_length=1)
    """One run for each mitigation. The others are compared with the first."""
    response: dict[str, Response]
    """What a change of one constant does, by the constant."""
    design: Design | None = None
    """The design that was costed."""
    events: dict[Mitigation, dict[str, LayerEvents]] = Field(default_factory=dict)
    """What happens in each layer for one image: what the figures are made of."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = {run.mitigation for run in self.runs}
        if not all(names <= effect.runs.keys() for effect in self.response.values()):
            raise ValueError("'response' lacks a run")
        return self

    def with_constants(self, **fields: Any) -> "NetworkCosts":
        """With other constants, by their names in a design's [costs]; nothing runs again.

        Raises
        ------
        BadInput
            If the result is of a version that kept no events, or there is no such constant.
        """
        if self.design is None or self.word_line_charge is None or not self.events:
            raise BadInput("with_constants: this result kept no events; call spicekit.energy anew.")
        design = self.design.replace(costs=self.design.costs.replace(**fields))
        circuit = ReadCircuit(self.settling, self.word_line_charge)
        return network_costs(design, circuit, self.events).noting(**self.provenance)

    def rows(self) -> list[JsonDict]:
        """One for each run."""
        return [
            {"mitigation": run.mitigation, **plain(run.model_dump(exclude={"layers", "mitigation"}))}
            for run in self.runs
        ]

    def units(self) -> dict[str, str]:
        """Units of the columns."""
        parts = {
            f"{kind}.{name}": unit
            for run in self.runs
            for kind, values, unit in (
                ("energy_parts", run.energy_parts, "J"),
                ("area_parts", run.area_parts, "m2"),
            )
            for name in values
        }
        return units_of(CostedRun) | parts

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Energy of an image by component, a bar for each run."""
        axes = new_axes(axes)
        names = [MITIGATION_LABELS[run.mitigation] for run in self.runs]
        below = [0.0] * len(names)
        for part in self.runs[0].energy_parts:
            values = [run.energy_parts.get(part, 0.0) for run in self.runs]
            axes.bar(names, values, bottom=below, label=part)
            below = [low + value for low, value in zip(below, values, strict=True)]
        axes.set(ylabel="energy of an image, J")
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return axes

    def __str__(self) -> str:
        runs = ", ".join(f"{engineering(run.energy, 'J')} {MITIGATION_LABELS[run.mitigation]}" for run in self.runs)
        return f"Energy of an image: {runs}"


def network_costs(
    design: Design, circuit: ReadCircuit, events: Mapping[Mitigation, Mapping[str, LayerEvents]]
) -> NetworkCosts:
    """What events cost, and what becomes of it when a constant changes."""
    layers = {
        mitigation: {name: estimate(layer, circuit, design) for name, layer in counted.items()}
        for mitigation, counted in events.items()
    }
    totals = {mitigation: together([*each.values()]) for mitigation, each in layers.items()}
    first = next(iter(totals.values()))
    response = {}
    for what, costs in design.costs.variations().items():
        other = design.replace(costs=costs)
        varied = {
            mitigation: together([estimate(layer, circuit, other) for layer in counted.values()])
            for mitigation, counted in events.items()
        }
        base = next(iter(varied.values()))
        response[what] = Response(
            first_run=_change(base, first),
            runs={mitigation: _change(whole, base) for mitigation, whole in varied.items()},
        )
    runs = []
    for mitigation, whole in totals.items():
        saved = first.energy_parts.get("bit lines", 0.0) - whole.energy_parts.get("bit lines", 0.0)
        runs.append(
            CostedRun(
                **dict(whole),
                mitigation=mitigation,
                change=_change(whole, first),
                overhead=overhead(whole),
                break_even=(whole.energy - first.energy) / saved + 1 if saved > 0 else None,
                shares={
                    "energy": {name: _ratio(part, whole.energy) for name, part in whole.energy_parts.items()},
                    "area": {name: _ratio(part, whole.area) for name, part in whole.area_parts.items()},
                },
                layers=layers[mitigation],
            )
        )
    return NetworkCosts(
        settling=circuit.settling,
        word_line_charge=circuit.word_line_charge,
        conversion_time=conversion_time(design),
        conduction_time=conduction_time(circuit, design),
        converter_bits=resolution(design),
        constants={name: Constant.model_validate(constant) for name, constant in design.costs.sheet().items()},
        sources=SOURCES,
        assumptions=(
            *ASSUMPTIONS,
            f"currents and bits: the software's activations, first {design.read.probe_images} images",
        ),
        not_counted=(
            *NOT_COUNTED,
            *([RAILED] if design.tile.wires.railed else []),
            *([UNDEFINED] if first.area is None else []),
        ),
        runs=tuple(runs),
        response=response,
        design=design,
        events={mitigation: dict(counted) for mitigation, counted in events.items()},
    )


def _change(whole: Figures, base: Figures) -> Change:
    """What of `whole` differs from `base`, over `base`."""
    ratios = {name: _ratio(getattr(whole, name), getattr(base, name)) for name in Change.model_fields}
    return Change(**{name: None if ratio is None else ratio - 1 for name, ratio in ratios.items()})


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


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
    network: "nn.Module",
    dataset: "Data",
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
    from spicekit.engines.fast.model import read_model
    from spicekit.evaluation.reads import added, cells_read, count_events, lay_out, probed, tallies
    from spicekit.networks.adopt import check_binary
    from spicekit.networks.data import as_dataset

    network = check_binary(network)
    design, dataset = as_design(design), as_dataset(dataset)
    circuit = circuit or measure_read(design.tile)
    few = probed(dataset, design)
    events: dict[Mitigation, dict[str, LayerEvents]] = {}
    for mitigation in check_mitigations(mitigations):
        layers = lay_out(network, design, mitigation=mitigation)
        if currents is None:
            model = read_model(design.tile, cells_read(design, table_for(design.tile, table)))
            tallied = {name: added([read]) for name, read in tallies(network, few, layers, model).items()}
            means = {name: float(tally.current.sum() / tally.reads.sum()) for name, tally in tallied.items()}
        else:
            means = dict(currents[mitigation])
        events[mitigation] = count_events(network, few, layers, currents=means)
    return network_costs(design, circuit, events).noting(**provenance({"data": dataset.source}))
