"""Decks from templates; the only user of Jinja.

A deck depends on the arguments, the device models and the templates alone: the same call gives the same text.
Its header says what made it.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from numpy.typing import NDArray

import spicekit
from spicekit.circuits.cells import load_cell
from spicekit.circuits.spec import Header, TileSpec, header_lines
from spicekit.circuits.wiring import line_load, loads, wiring
from spicekit.devices.cards import load_lines
from spicekit.devices.reram import load_reram, subcircuit, subcircuit_name
from spicekit.devices.sheet import Polarity
from spicekit.errors import BadInput, no_such
from spicekit.files import shipped_folder
from spicekit.provenance import content_hash
from spicekit.units import to_celsius

Detail = Literal["read-port", "full"]
Bits = NDArray[np.uint8]

CURRENTS_FILE = "currents.txt"
"""Where a deck run by `ngspice -b` leaves its column currents."""
VOLTAGES_FILE = "voltages.txt"
"""Where it leaves the voltages of nodes that were asked for."""
WAVES_FILE = "waves.txt"
"""Where a transient deck leaves time and column currents."""


@dataclass(frozen=True)
class CoreFins:
    """Fins of the 6T core's transistors.

    Assumed 1 : 1 : 2, the usual choice where widths come in whole fins: pull-down twice the access transistor, so
    that a half-selected cell keeps its bit while another is written; pull-up no stronger than access, so that a
    write wins.
    """

    pull_up: int = 1
    access: int = 1
    pull_down: int = 2


@dataclass(frozen=True)
class Expected:
    """Column currents that a deck checks itself against when it is run."""

    current: NDArray[np.float64]
    """(c,), A."""
    tolerance: float
    """A, on each column."""


def claimed(header: Header) -> Expected | None:
    """What a deck's header says that it expects; `BadInput` if it cannot be read."""
    table = header.facts.get("expected")
    try:
        return Expected(np.array(table["current"], float), float(table["tolerance"])) if table else None
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"the header's expected currents cannot be read ({error}).") from error


@dataclass(frozen=True)
class Transient:
    """A read from rest: word lines (in bit-line drive the rows) rise, and the wires are charged."""

    stop: float
    """s."""
    step: float = 1e-12
    """s, between the points that are kept."""
    delay: float = 10e-12
    """s, before the edge."""
    rise: float = 10e-12
    """s. Assumed: about two gate delays."""
    row_cells: int = 1
    """Cells that each word line passes; those beyond the deck's columns load it with their gates."""


@dataclass(frozen=True)
class Outputs:
    """What a tile's deck leaves besides its column currents."""

    nodes: tuple[str, ...] = ()
    """Nodes whose voltages it writes, inner ones too (`xc_0_0.mid`), to `voltages.txt` or, over time, `waves.txt`."""
    measures: tuple[str, ...] = ()
    """What a transient prints, each as behind ngspice's `meas tran`: `t1 when v(b_0_0)=0.2 rise=1`."""

    def check(self, transient: Transient | None) -> None:
        """`BadInput` for what is no node, no measurement, or a measurement without a transient."""
        for node in self.nodes:
            if not _NODE.fullmatch(node):
                raise BadInput(f"tile_deck: '{node}' is no name of a node; pass one such as xc_0_0.mid.")
        for measure in self.measures:
            if not _MEASURE.fullmatch(measure):
                raise BadInput(f"tile_deck: '{measure}' is none; pass: t1 when v(b_0_0)=0.2 rise=1")
        if self.measures and transient is None:
            raise BadInput("tile_deck: measurements are of a transient; ask for one too.")

    @property
    def saved(self) -> tuple[str, ...]:
        """Nodes that have to be kept."""
        measured = (node for measure in self.measures for node in _MEASURED.findall(measure))
        return tuple(dict.fromkeys((*self.nodes, *measured)))


def cell_deck(spec: TileSpec, *, weight: int, activation: int = 1, gap: float | None = None) -> str:
    """Deck of one cell's read path between swept sources, without a `.control` section.

    Sources, all to ground: `vbl` (node bl), `vsl` (sl), `vwl` (wl); where a level stands for the
    stored bit also `vq_hi` or `vq_lo`, and one for each port that the cell ties. Their values are those of an
    ideal read.

    Parameters
    ----------
    spec : TileSpec
        Cell, devices, bias and corner; its size and wires do not matter.
    weight, activation : int
        Stored bit and applied bit.
    gap : float, optional
        m, of the ReRAM element instead of its preset's (1T-1ReRAM only), for Monte Carlo.

    Raises
    ------
    BadInput
        If `weight` or `activation` is not 0 or 1.
    """
    if weight not in (0, 1) or activation not in (0, 1):
        raise BadInput(f"cell_deck got weight={weight!r}, activation={activation!r}; pass bits, 0 or 1.")
    return _render(
        "cell.cir.j2",
        spec,
        title=f"{spec.cell} cell, weight {weight}, activation {activation}",
        facts={"kind": "cell", "weight": weight, "activation": activation},
        detail="read-port",
        values={} if gap is None else {"gap": (repr(gap), repr(gap))},
        weight=weight,
        activation=activation,
    )


def core_deck(spec: TileSpec) -> str:
    """Deck of a 6T core with its feedback opened, for butterfly curves, without a `.control` section.

    Source `vin` drives both halves; nodes `q` and `qb` are their outputs. `vwwl`, `vwbl` and `vwblb` hold the write
    ports at rest: word line low, bit lines high. `BadInput` if the spec's cell has no such core.
    """
    if spec.cell != "8t-sram":
        raise BadInput(f"core_deck: cell '{spec.cell}' holds no 6T core; pass a spec with cell = '8t-sram'.")
    return _render("core.cir.j2", spec, title="6T core with opened feedback", facts={"kind": "core"}, detail="full")


def tile_deck(
    spec: TileSpec,
    weights: Bits,
    inputs: Bits,
    *,
    detail: Detail = "read-port",
    batch: bool = True,
    expected: Expected | None = None,
    transient: Transient | None = None,
    outputs: Outputs | None = None,
    origin: Mapping[str, str | int] | None = None,
) -> str:
    """Deck of a whole tile with its wires, drivers and virtual grounds.

    `i(Vsense_j)` is the current of column j, A, positive into the virtual ground.

    Parameters
    ----------
    spec : TileSpec
    weights : (r, c) uint8 array
        Stored bits.
    inputs : (r,) uint8 array
        Applied bits; rows that a read does not assert hold 0.
    detail : str
        "read-port" is the read path alone, stored bits tied to rails where they are levels; "full" is the whole cell,
        where its sheet has one (8T-SRAM with its 6T core).
    batch : bool
        With a `.control` section, for `ngspice -b`, that writes the column currents to `currents.txt`.
    expected : Expected, optional
        What the deck, run by `ngspice -b`, compares its currents with; it exits with 1 if one is off.
    transient : Transient, optional
        Adds the wires' capacitances and edges on the inputs; run by `ngspice -b`, the deck then writes time and
        column currents to `waves.txt`.
    outputs : Outputs, optional
        What else it leaves.
    origin : mapping, optional
        Where weights and inputs come from, for the header: network, layer, image, pixel, mitigation.

    Raises
    ------
    BadInput
        If shapes do not fit the spec, a value is not 0 or 1, or the outputs are none.
    """
    weights = _bits("weights", weights, (spec.rows, spec.columns))
    inputs = _bits("inputs", inputs, (spec.rows,))
    facts: dict[str, Any] = {
        "kind": "tile",
        "detail": detail,
        "weights_sha256": content_hash(weights),
        "inputs_sha256": content_hash(inputs),
    }
    if spec.discharge and (transient or expected or outputs):
        raise BadInput(
            "tile_deck: columns that discharge their lines are a transient of their own, which leaves the lines' "
            "voltages; ask for no other transient, expected currents or outputs."
        )
    if transient is not None:
        facts["transient"] = dataclasses.asdict(transient)
    if expected is not None:
        if expected.current.shape != (spec.columns,):
            raise BadInput(f"tile_deck: expected currents are {expected.current.shape}, not ({spec.columns},).")
        facts["expected"] = {"current": expected.current.tolist(), "tolerance": expected.tolerance}
    if outputs is not None:
        outputs.check(transient)
        facts["outputs"] = {"nodes": list(outputs.nodes), "measures": list(outputs.measures)}
    if origin is not None:
        facts["origin"] = dict(origin)
    return _render(
        "tile.cir.j2",
        spec,
        title=f"{spec.rows} x {spec.columns} tile of {spec.cell} cells, {spec.drive} drive, {detail} detail",
        facts=facts,
        detail=detail,
        weights=weights,
        inputs=inputs,
        gate_fins=load_cell(spec.cell).select_fins(spec.device.fins),
        wiring=wiring(spec),
        batch=batch,
        expected=expected,
        transient=transient,
        loads=loads(spec, row_cells=transient.row_cells) if transient else None,
        line_load=line_load(spec) if spec.discharge else None,
        outputs=outputs,
        currents_file=CURRENTS_FILE,
        voltages_file=VOLTAGES_FILE,
        waves_file=WAVES_FILE,
    )


def with_read(deck: str) -> str:
    """A deck of `cell_deck` that prints its read current when `ngspice -b` runs it."""
    return _environment().get_template("cell_read.cir.j2").render(deck=deck.removesuffix(".end\n"))


def check_detail(name: str) -> Detail:
    """A name from outside as a level of detail; `BadInput` if it is none."""
    if name not in get_args(Detail):
        raise no_such("detail", name, get_args(Detail))
    return cast(Detail, name)


_NODE = re.compile(r"\w[\w.]*")
_MEASURE = re.compile(r"[A-Za-z]\w* [\w .,=()+*/-]+")
_MEASURED = re.compile(r"\bv\((\w[\w.]*)\)", re.IGNORECASE)


def _render(
    template: str,
    spec: TileSpec,
    *,
    title: str,
    facts: dict[str, Any],
    detail: Detail,
    values: Mapping[str, tuple[str, str]] | None = None,
    **context: Any,
) -> str:
    cell = load_cell(spec.cell)
    netlist = cell.netlist(detail)
    polarities: list[Polarity] = ["nmos", "pmos"] if template == "core.cir.j2" else cell.polarities(detail)
    cards = {polarity: spec.card(polarity) for polarity in polarities}
    models = {card.model: card.text.rstrip() for card in cards.values()}
    if len(models) < len(cards):
        raise BadInput(f"devices: two models are called '{next(iter(models))}'; rename one in its card.")
    by_bit: dict[str, tuple[str, str]] = {}
    if cell.sheet.reram:
        preset = load_reram(spec.device.reram)
        element = subcircuit_name(preset)
        by_bit = {"element": (element, element), "gap": (repr(preset.gap_hrs), repr(preset.gap_lrs))}
        models[element] = subcircuit(preset).rstrip()
    text = cell.text(
        detail, cards=cards, fins=spec.device.fins, vdd=spec.corner.vdd, values={**by_bit, **(values or {})}
    )
    folder, templates = shipped_folder("netlists"), (template, "header.cir.j2")
    compiled = {str(card.compiled.path): card.compiled.sha256 for card in cards.values() if card.compiled}
    facts = {
        "generator": f"spicekit {spicekit.__version__}",
        **facts,
        "units": "SI; .temp in degrees Celsius",
        "spec_sha256": spec.content_hash(),
        "models_sha256": {name: content_hash(text) for name, text in models.items()},
        "cell_sha256": content_hash(list(cell.texts)),
        **({"compiled_models_sha256": compiled} if compiled else {}),
        "templates_sha256": content_hash({name: (folder / name).read_text() for name in templates}),
    }

    def instance(row: str, column: str, bit: int, drive: str, select: str, sense: str) -> str:
        """Nodes and subcircuit of the cell in a row and column that holds a bit."""
        node = {
            "drive": drive,
            "select": select,
            "sense": sense,
            "state": "q_hi" if bit else "q_lo",
            "ground": "0",
        }
        lines = {"column vdd": column, "row low": row}
        nodes = [node.get(tied) or f"{port}{lines[tied]}" for port, tied in netlist.ports.items()]
        return " ".join([*nodes, netlist.subcircuit.replace("{bit}", str(bit))])

    return (
        _environment()
        .get_template(template)
        .render(
            spec=spec,
            title=title,
            header=header_lines(facts, spec),
            load_lines=load_lines(cards.values()),
            models=models.values(),
            detail=detail,
            cell=cell.sheet,
            cell_text=text,
            cards=cards,
            instance=instance,
            has_state="state" in netlist.ports.values(),
            column_ports=[port for port, tied in netlist.ports.items() if tied == "column vdd"],
            row_ports=[port for port, tied in netlist.ports.items() if tied == "row low"],
            core=CoreFins(),
            **context,
        )
    )


def _bits(name: str, bits: Bits, shape: tuple[int, ...]) -> Bits:
    bits = np.asarray(bits)
    if bits.shape != shape or not np.isin(bits, (0, 1)).all():
        raise BadInput(f"tile_deck: {name} must be bits (0 or 1) shaped {shape}; got {bits.dtype} shaped {bits.shape}.")
    return bits.astype(np.uint8)


@functools.cache
def _environment() -> Environment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(shipped_folder("netlists")),
        undefined=StrictUndefined,
        autoescape=False,  # SPICE decks, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # 15 digits: what a product of decimals leaves behind them is rounding
        finalize=lambda value: float(f"{value:.15g}") if isinstance(value, float) else value,
    )
    environment.filters["celsius"] = to_celsius
    return environment
