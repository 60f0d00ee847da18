"""Pages of tiles: column currents, what happens inside, and where the LSBs go."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.config import parse
from spicekit.errors import BadInput
from spicekit.files import parse_json, read_arrays
from spicekit.provenance import JsonDict
from spicekit.report.charts import ZOOM, Chart, Spec, axis, category, only, tips
from spicekit.report.page import Column, Number, Page, Table, sketch_of
from spicekit.results import Record
from spicekit.units import engineering


class TileOrigin(Record):
    """Of a tile's currents."""

    engine: str
    """Which computed them."""
    spec: JsonDict
    """Of the tile."""
    table: str
    """I-V table that they follow from."""


Array = NDArray[Any]
MAPS = {
    "v_bl": (
        "Bit-line voltage",
        1e3,
        "mV",
        "At each cell, while the read that asserts its row is under way.",
    ),
    "v_sl": ("Source-line voltage", 1e3, "mV", "At each cell: what its current and others' raise it by."),
    "cell_current": ("Cell current", 1e6, "uA", "Of each cell: next to nothing where it holds or gets a 0."),
    "lost": ("What each cell lost", 1e6, "uA", "Against the current with v_read and 0 V at its terminals."),
}


def tile_page(path: Path) -> Page:
    """Page of the arrays that `spicekit tile` wrote.

    Raises
    ------
    BadInput
        If they are not there, or do not fit each other.
    """
    arrays, origin = _read(path)
    made_by = parse(TileOrigin, origin, source=str(path))
    largest = engineering(float(arrays["current"].max()), "A")
    current, partial_sum, lsb = arrays["current"], arrays["partial_sum"], float(arrays["lsb"])
    vectors, columns = current.shape
    parts: list[Any] = []
    verdict = f"{vectors} vectors on {columns} columns, engine {made_by.engine}."
    numbers = [
        Number(
            engineering(float(current.mean()), "A"),
            "mean column current",
            f"largest {largest}",
        ),
        Number(engineering(lsb, "A"), "LSB", "current step of one ON cell without parasitics"),
    ]
    ideal = arrays.get("ideal_sum")
    if ideal is not None:
        error = partial_sum - ideal
        wrong = float((np.rint(partial_sum) != ideal).mean())
        side = "few" if error.mean() < 0 else "many"
        verdict = (
            f"A column reads {abs(error.mean()):.2f} ON cells too {side} on average; {wrong:.1%} of the reads round to "
            f"a wrong partial sum."
        )
        numbers += [
            Number(
                f"{error.mean():+.2f} LSB",
                "mean error of a partial sum",
                f"worst {np.abs(error).max():.2f} LSB",
            ),
            Number(
                f"{wrong:.1%}",
                "reads with a wrong sum",
                "rounded to whole ON cells, converter not fitted",
            ),
        ]
        parts.append(_sums(partial_sum, ideal))
    if "lost" in arrays:
        parts.append(_waterfall(arrays))
    parts.append(sketch_of(parse(TileSpec, made_by.spec, source=str(path))))
    if "v_bl" in arrays:
        parts += _heat_maps(arrays)
    parts.append(_columns(current, partial_sum, ideal))
    rows = [
        {
            "vector": vector,
            "column": column,
            "current": float(value),
            "partial_sum": float(partial_sum[vector, column]),
        }
        for (vector, column), value in np.ndenumerate(current)
    ]
    return Page(
        f"Currents of a tile, {path.name}",
        verdict,
        tuple(numbers),
        tuple(parts),
        provenance=origin,
        rows=rows,
    )


def _read(path: Path) -> tuple[dict[str, Array], JsonDict]:
    """The arrays, each finite and of the shape that the tile gives it, and what made them."""
    arrays: dict[str, Array] = read_arrays(path)
    origin = parse_json(str(arrays.pop("provenance", "")), source=f"{path}, provenance")
    tile = parse(TileSpec, parse(TileOrigin, origin, source=str(path)).spec, source=str(path))
    sums = max(1, len(np.atleast_1d(arrays.get("current", 0)))), tile.columns
    shapes: dict[str, tuple[int, ...]] = {"current": sums, "partial_sum": sums, "lsb": ()}
    for together, shape in (
        (("ideal_sum",), sums),
        (("lost", "lost_to"), np.shape(arrays.get("lost", ()))[:1]),
        (("v_bl", "v_sl", "cell_current", "cell_ideal"), (tile.rows, tile.columns)),
    ):
        if any(name in arrays for name in together):
            shapes |= dict.fromkeys(together, shape)
    for name, shape in shapes.items():
        found, kinds = arrays.get(name), "U" if name == "lost_to" else "fiu"
        if found is None or found.shape != shape or found.dtype.kind not in kinds:
            got = "none" if found is None else f"{found.dtype} shaped {found.shape}"
            raise BadInput(
                f"{path}: expected {name} of a tile, shaped {shape}, got {got}; run spicekit tile again."
            )
        if kinds != "U" and not np.isfinite(found).all():
            lost = np.flatnonzero(~np.isfinite(np.atleast_2d(found)).all(axis=0))
            where = f" in columns {', '.join(map(str, lost))}" if shape == sums else ""
            raise BadInput(f"{path}: holds no finite {name}{where}; run spicekit tile again.")
    if not arrays["lsb"] > 0:
        raise BadInput(f"{path}: lsb is {arrays['lsb']:g} A, expected more than 0; run spicekit tile again.")
    return arrays, origin


def _sums(partial_sum: Array, ideal: Array) -> Chart:
    rows = [
        {"ideal": int(ideal[place]), "measured": float(value), "vector": place[0], "column": place[1]}
        for place, value in np.ndenumerate(partial_sum[: max(1, 2000 // partial_sum.shape[1])])
    ]
    high = int(max(ideal.max(), 1))
    rows += [{"x": 0, "y": 0}, {"x": high, "y": high}]
    spec: Spec = {
        "layer": [
            {
                "transform": only("x"),
                "mark": {"type": "line", "strokeDash": [5, 4], "color": "#888888"},
                "encoding": {"x": axis("x", _IDEAL), "y": axis("y", _MEASURED)},
            },
            {
                "transform": only("ideal"),
                "params": [ZOOM],
                "mark": {"type": "point", "filled": True, "opacity": 0.6, "size": 45},
                "encoding": {
                    "x": axis("ideal", _IDEAL),
                    "y": axis("measured", _MEASURED),
                    "tooltip": tips("vector", "column", "ideal", ("measured", "measured", ".3f")),
                },
            },
        ]
    }
    note = "A point is a column read. Measured: current over the LSB, less that of a column of zeros. Dashed: no loss."
    return Chart("partial-sums", "Partial sums, measured against ideal", note, rows, spec)


_IDEAL, _MEASURED = "ideal partial sum, ON cells", "measured partial sum, ON cells"


def _waterfall(arrays: dict[str, Array]) -> Chart:
    rows: list[dict[str, Any]] = []
    start = (
        float(arrays["cell_ideal"].sum(axis=0).mean() / float(arrays["lsb"]))
        if "cell_ideal" in arrays
        else 0.0
    )
    rows.append({"step": "ideal", "from": 0.0, "to": start, "value": start, "kind": "current"})
    at = start
    for name, value in zip(arrays["lost_to"].tolist(), arrays["lost"].tolist(), strict=True):
        rows.append(
            {
                "step": str(name),
                "from": at,
                "to": at - value,
                "value": -value,
                "kind": "lost" if value > 0 else "gained",
            }
        )
        at -= value
    rows.append({"step": "left", "from": 0.0, "to": at, "value": at, "kind": "current"})
    title = "mean column current, LSB"
    for row in rows:
        row["label"] = f"{row['value']:.2f}" if row["kind"] == "current" else f"{row['value']:+.2f}"
    spec: Spec = {
        "encoding": {
            "x": category("step", None, order=[row["step"] for row in rows], axis={"labelAngle": 0}),
            "tooltip": tips("step", ("value", "LSB", "+.3f"), ("to", "left, LSB", ".3f")),
        },
        "layer": [
            {
                "mark": "bar",
                "encoding": {
                    "y": axis("from", title, scale={"zero": False}),
                    "y2": {"field": "to"},
                    "color": category("kind", None, order=["current", "lost", "gained"]),
                },
            },
            {
                "transform": [{"calculate": "max(datum.from, datum.to)", "as": "top"}],
                "mark": {"type": "text", "dy": -7, "fontSize": 11},
                "encoding": {
                    "y": axis("top", title),
                    "text": {"field": "label"},
                },
            },
        ],
    }
    note = (
        "Mean over the columns, first vector, in LSB: the current of one ON cell. Driver, wires, sink and rails act on "
        "linear cells; device: what the real, non-linear cells change then."
    )
    return Chart("waterfall", "Where the LSBs go", note, rows, spec)


def _heat_maps(arrays: dict[str, Array]) -> Iterator[Chart]:
    found = {**arrays, "lost": arrays["cell_ideal"] - arrays["cell_current"]}
    for name, (title, scale, unit, note) in MAPS.items():
        values = scale * found[name]
        rows = [
            {"row": place[0], "column": place[1], "value": round(float(value), 5)}
            for place, value in np.ndenumerate(values)
        ]
        spec: Spec = {
            "mark": {"type": "rect"},
            "encoding": {
                "x": {"field": "column", "type": "ordinal", "title": "column", "axis": _TICKS},
                "y": {"field": "row", "type": "ordinal", "title": "row, 0 at the driver", "axis": _TICKS},
                "color": axis("value", unit),
                "tooltip": tips("row", "column", ("value", f"{title.lower()}, {unit}", ".4~g")),
            },
        }
        yield Chart(
            f"map-{name.replace('_', '-')}", title, f"{note} First vector, {unit}.", rows, spec, height=380
        )


_TICKS: Spec = {"labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 8}


def _columns(current: Array, partial_sum: Array, ideal: Array | None) -> Table:
    columns = (
        Column("column", form="d"),
        Column("lowest", "uA", "current over all vectors", ".4g"),
        Column("mean", "uA", "current over all vectors", ".4g"),
        Column("highest", "uA", "current over all vectors", ".4g"),
        Column("mean sum", "ON cells", "measured partial sum", ".2f"),
        Column("mean error", "LSB", "measured less ideal partial sum", "+.3f"),
        Column("worst error", "LSB", "largest in size", ".3f"),
    )
    error = None if ideal is None else partial_sum - ideal
    rows = tuple(
        (
            place,
            *(1e6 * float(find(current[:, place])) for find in (np.min, np.mean, np.max)),
            float(partial_sum[:, place].mean()),
            None if error is None else float(error[:, place].mean()),
            None if error is None else float(np.abs(error[:, place]).max()),
        )
        for place in range(current.shape[1])
    )
    return Table("Columns, over all vectors", columns, rows)
