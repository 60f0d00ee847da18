"""Energy, time and area of a network as a result: what its events cost, and what each constant does to that."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from spicekit.errors import BadInput
from spicekit.evaluation.costs import SOURCES, Component
from spicekit.evaluation.design import Design
from spicekit.evaluation.energy import (
    Estimate,
    LayerEvents,
    ReadCircuit,
    conduction_time,
    conversion_time,
    estimate,
    resolution,
    together,
)
from spicekit.mapping.binsparx import MITIGATION_LABELS, Mitigation
from spicekit.provenance import JsonDict
from spicekit.results import (
    Coulomb,
    Fraction,
    Joule,
    Record,
    Result,
    Second,
    SquareMetre,
    new_axes,
    plain,
    units_of,
)
from spicekit.units import engineering

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOT_COUNTED = (
    "first layer, classifier, batch norm, activation functions, shortcuts",
    "buffers, and moving activations between layers",
    "control, clock tree, decoders, reference columns, the muxes of shared converters",
    "leakage of cells' cores and of logic; what the array takes between reads",
    "writing the weights",
    "a column's charging from rest, beyond V_read * I while it conducts",
)
"""The same with and without BinSparX, but for what is in the last line."""
RAILED = (
    "area of shared rails; what is lost in them is in the bit lines' energy, which the read source delivers"
)
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
    """For an image."""
    time: Fraction | None
    """For an image."""
    area: Fraction | None
    """Of all tiles and circuits."""


class Figures(Record):
    """Energy, time and area for one image."""

    energy: Joule
    """For one image."""
    time: Second
    """For one image: layers one after the other."""
    area: SquareMetre | None
    """Of all tiles and the circuits around them; None where that of a part is not defined."""
    energy_parts: dict[str, float]
    """J, by component."""
    area_parts: dict[str, float | None]
    """m2, by component; None for drivers of 0 ohm: an ideal terminal has no area."""


class CostedRun(Figures):
    """What one mitigation costs."""

    mitigation: Mitigation
    """A name of docs/mitigations.md."""
    change: Change
    """Against the first run."""
    overhead: Joule
    """Of the energy, what the mitigation adds."""
    break_even: float | None
    """Times which the bit lines would have to take what they do, for this run to need the energy of the first.

    Below it BinSparX costs more than it saves; None if it saves nothing on the bit lines.
    """
    shares: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    """Parts of the totals of energy and area: by how much a total moves where a part alone does."""
    layers: dict[str, Figures]
    """By name."""


class Response(Record):
    """What a change of one constant does."""

    first_run: Change
    """Against the first run as it is."""
    runs: dict[Mitigation, Change]
    """Of each run against the first, both with the other constant."""


class Constant(Record):
    """Of the sheet behind energy, time and area."""

    value: str | int | float | list[str]
    """In SI units."""
    source: str | None
    """Where it comes from, or that it is assumed and why."""


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
    """Until a column is right to half an LSB, in ngspice."""
    word_line_charge: Coulomb | None = None
    """That it takes to raise one word line, in ngspice."""
    conversion_time: Second
    """That a converter takes."""
    conduction_time: Second
    """For which a column conducts in a read."""
    converter_bits: int
    """Resolution of the converters."""
    constants: dict[str, Constant]
    """Behind the figures, by name; docs/design.md has their units."""
    sources: dict[str, str] = Field(default_factory=dict)
    """That several constants share."""
    assumptions: tuple[str, ...]
    """That the figures rest on."""
    not_counted: tuple[str, ...]
    """Parts that are in no figure."""
    runs: tuple[CostedRun, ...] = Field(min_length=1)
    """One for each mitigation; the first is what the others are compared with."""
    response: dict[str, Response]
    """By the constant that is changed."""
    design: Design | None = None
    """That was costed."""
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
        runs = ", ".join(
            f"{engineering(run.energy, 'J')} {MITIGATION_LABELS[run.mitigation]}" for run in self.runs
        )
        return f"Energy of an image: {runs}"


def network_costs(
    design: Design, circuit: ReadCircuit, events: Mapping[Mitigation, Mapping[str, LayerEvents]]
) -> NetworkCosts:
    """What events cost, and what becomes of it when a constant changes."""
    totals = _totals(events, circuit, design)
    first, changes = next(iter(totals.values())), _against_first(totals)
    response = {}
    for what, costs in design.costs.variations().items():
        varied = _totals(events, circuit, design.replace(costs=costs))
        alone = _change(next(iter(varied.values())), first)
        response[what] = Response(first_run=alone, runs=_against_first(varied))
    runs = []
    for mitigation, whole in totals.items():
        saved = first.energy.get("bit lines", 0.0) - whole.energy.get("bit lines", 0.0)
        layers = {name: estimate(layer, circuit, design) for name, layer in events[mitigation].items()}
        runs.append(
            CostedRun(
                mitigation=mitigation,
                **_figures(whole),
                change=changes[mitigation],
                overhead=whole.overhead,
                break_even=(whole.total_energy - first.total_energy) / saved + 1 if saved > 0 else None,
                shares={
                    "energy": _relative(whole.energy, whole.total_energy),
                    "area": _relative(whole.area, whole.total_area),
                },
                layers={name: Figures(**_figures(layer)) for name, layer in layers.items()},
            )
        )
    return NetworkCosts(
        settling=circuit.settling,
        word_line_charge=circuit.word_line_charge,
        conversion_time=conversion_time(design),
        conduction_time=conduction_time(circuit, design),
        converter_bits=resolution(design),
        constants={
            name: Constant.model_validate(constant) for name, constant in design.costs.sheet().items()
        },
        sources=SOURCES,
        assumptions=(
            *ASSUMPTIONS,
            f"currents and bits: the software's activations, first {design.read.probe_images} images",
        ),
        not_counted=(
            *NOT_COUNTED,
            *([RAILED] if design.tile.wires.railed else []),
            *([UNDEFINED] if math.isnan(first.total_area) else []),
        ),
        runs=tuple(runs),
        response=response,
        design=design,
        events={mitigation: dict(layers) for mitigation, layers in events.items()},
    )


def _figures(whole: Estimate) -> dict[str, Any]:
    return {
        "energy": whole.total_energy,
        "time": whole.time,
        "area": _defined(whole.total_area),
        "energy_parts": dict(whole.energy),
        "area_parts": {name: _defined(value) for name, value in whole.area.items()},
    }


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _totals(
    events: Mapping[Mitigation, Mapping[str, LayerEvents]], circuit: ReadCircuit, design: Design
) -> dict[Mitigation, Estimate]:
    """Of the whole network."""
    return {
        mitigation: together(estimate(layer, circuit, design) for layer in layers.values())
        for mitigation, layers in events.items()
    }


def _against_first(totals: Mapping[Mitigation, Estimate]) -> dict[Mitigation, Change]:
    first = next(iter(totals.values()))
    return {mitigation: _change(whole, first) for mitigation, whole in totals.items()}


def _change(whole: Estimate, base: Estimate) -> Change:
    return Change(
        energy=_defined(whole.total_energy / base.total_energy - 1) if base.total_energy else None,
        time=_defined(whole.time / base.time - 1) if base.time else None,
        area=_defined(whole.total_area / base.total_area - 1) if base.total_area else None,
    )


def _relative(parts: Mapping[Component, float], total: float) -> dict[str, float | None]:
    return {name: _defined(value / total) if total else None for name, value in parts.items()}
