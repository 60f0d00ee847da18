"""Decks from templates; the only user of Jinja.

A deck is text that ngspice reads. It depends on the arguments, the cards and the templates alone: the same
call gives the same text. Its header says, in TOML behind `* `, what made it.
"""

import functools
import json
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from numpy.typing import NDArray

import spicekit
from spicekit.circuits.spec import TileSpec
from spicekit.circuits.wiring import wiring
from spicekit.devices.cards import load_card
from spicekit.devices.reram import load_reram, subcircuit, subcircuit_name
from spicekit.errors import BadInput
from spicekit.provenance import content_hash
from spicekit.resources import shipped_folder
from spicekit.units import to_celsius

Detail = Literal["read-port", "full"]
Bits = NDArray[np.uint8]

CURRENTS_FILE = "currents.txt"
"""Where a deck run by `ngspice -b` leaves its column currents, beside where it runs."""


def cell_deck(spec: TileSpec, *, weight: int, activation: int = 1) -> str:
    """Deck of one cell's read path between swept sources, without a `.control` section.

    Sources, all to ground: `vbl` (node bl), `vsl` (sl), `vwl` (wl); for 8T-SRAM also `vq`, the level of
    the stored bit. Their values are those of an ideal read.

    Parameters
    ----------
    spec : TileSpec
        Cell, devices, bias and corner; its size and wires do not matter.
    weight, activation : int
        Stored bit and applied bit.

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
        weight=weight,
        activation=activation,
    )


def tile_deck(
    spec: TileSpec, weights: Bits, inputs: Bits, *, detail: Detail = "read-port", batch: bool = True
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
        "read-port" ties the stored bits to supply rails; "full" holds them in 6T cores (8T-SRAM).
    batch : bool
        With a `.control` section, for `ngspice -b`, that writes the column currents to `currents.txt`.

    Raises
    ------
    BadInput
        If shapes do not fit the spec or a value is not 0 or 1.
    """
    weights = _bits("weights", weights, (spec.rows, spec.columns))
    inputs = _bits("inputs", inputs, (spec.rows,))
    return _render(
        "tile.cir.j2",
        spec,
        title=f"{spec.rows} x {spec.columns} tile of {spec.cell} cells, {spec.drive} drive, {detail} detail",
        facts={
            "kind": "tile",
            "detail": detail,
            "weights_sha256": content_hash(weights),
            "inputs_sha256": content_hash(inputs),
        },
        weights=weights,
        inputs=inputs,
        wiring=wiring(spec),
        batch=batch,
        output=CURRENTS_FILE,
    )


def templates_hash() -> str:
    """SHA-256 of all templates: a deck depends on the cell's, the tile's and the header's."""
    return content_hash({path.name: path.read_text() for path in _template_files()})


def _render(template: str, spec: TileSpec, *, title: str, facts: dict[str, Any], **context: Any) -> str:
    nmos = load_card(spec.device.nmos, spec.corner.process)
    models = {nmos.model: nmos.text.rstrip()}
    if spec.cell == "1t1r":
        reram = load_reram(spec.device.reram)
        models[subcircuit_name(reram)] = subcircuit(reram).rstrip()
        context |= {"reram": reram, "reram_model": subcircuit_name(reram)}
    facts = {
        "generator": f"spicekit {spicekit.__version__}",
        **facts,
        "units": "SI; .temp in degrees Celsius",
        "spec_sha256": spec.content_hash(),
        "templates_sha256": templates_hash(),
        "models_sha256": {name: content_hash(text) for name, text in models.items()},
    }
    return (
        _environment()
        .get_template(template)
        .render(
            spec=spec,
            title=title,
            header=_toml({"deck": facts, **_tables(spec)}),
            models=models.values(),
            nmos=nmos,
            **context,
        )
    )


def _tables(spec: TileSpec) -> dict[str, dict[str, Any]]:
    """The spec as the tables of its TOML file."""
    record = spec.model_dump(mode="json", exclude_none=True)
    parts = {name: record.pop(name) for name in ("wires", "corner", "device")}
    return {"tile": record, **parts}


def _toml(tables: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of TOML; JSON writes strings, numbers and arrays as TOML does."""
    lines = []
    for name, table in tables.items():
        nested = {key: value for key, value in table.items() if isinstance(value, dict)}
        lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items() if k not in nested)]
        lines += _toml({f"{name}.{key}": value for key, value in nested.items()})
    return lines


def _bits(name: str, bits: Bits, shape: tuple[int, ...]) -> Bits:
    bits = np.asarray(bits)
    if bits.shape != shape or not np.isin(bits, (0, 1)).all():
        raise BadInput(
            f"tile_deck: {name} must be bits (0 or 1) shaped {shape}; got {bits.dtype} shaped {bits.shape}."
        )
    return bits.astype(np.uint8)


def _template_files() -> list[Any]:
    return sorted(shipped_folder("netlists").glob("*.j2"))


@functools.cache
def _environment() -> Environment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(shipped_folder("netlists")),
        undefined=StrictUndefined,
        autoescape=False,  # SPICE decks, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["celsius"] = to_celsius
    return environment
