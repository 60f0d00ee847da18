"""A tile's column drawn with its wires and terminals."""

from dataclasses import dataclass

from spicekit.circuits.spec import TileSpec


@dataclass(frozen=True)
class Sketch:
    """What the drawing says; the page draws it."""

    title: str
    note: str
    driver: str
    sink: str
    drive: str
    """Of the line that the read source feeds, a segment."""
    sense: str
    """Of the line that is sensed, a segment."""
    driven_name: str
    sensed_name: str
    size: str
    bias: str
    far: bool


def sketch_of(tile: TileSpec, *, name: str = "") -> Sketch:
    """Of one column with word-line drive, or one row and column with bit-line drive."""
    driven, sensed = tile.segment_names
    first, second = ("bit line", "source line") if tile.drive == "wordline" else ("row", "column")
    return Sketch(
        title=f"The {name} tile".replace("  ", " "),
        note=f"{tile.rows} rows by {tile.columns} columns of {tile.cell} cells, {tile.rows_active} rows asserted in a "
        f"read, {tile.corner.process} corner, {tile.corner.temperature:g} K. Resistances in ohm.",
        driver=_end(tile.wires.r_driver, tile.wires.r_supply),
        sink=_end(tile.wires.r_sink, tile.wires.r_ground),
        drive=f"{tile.wires.segment(driven):.3g} Ω a cell",
        sense=f"{tile.wires.segment(sensed):.3g} Ω a cell",
        driven_name=first,
        sensed_name=second,
        size=f"{tile.rows} cells",
        bias=f"{tile.v_read:g} V",
        far=tile.sense_end == "far",
    )


def _end(own: float, shared: float) -> str:
    return f"{own:g} Ω" + (f", shared {shared:g} Ω" if shared else "")
