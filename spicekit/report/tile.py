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
from spicekit.report.charts import ZOOM, Chart, Spec, axis, category, layer, only, tips
from spicekit.report.page import Column, Number, Page, Part, Table, sketch_of
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
    current, partial_sum, ideal = arrays["current"], arrays["partial_sum"], arrays.get("ideal_sum")
    mean, largest = (engineering(float(find(current)), "A") for find in (np.mean, np.max))
    numbers = [
        Number(mean, "mean column current", f"largest {largest}"),
        Number(engineering(float(arrays["lsb"]), "A"), "LSB", "current step of one ON cell without parasitics"),
    ]
    parts: list[Part] = []
    verdict = f"{len(current)} vectors on {current.shape[1]} columns, engine {made_by.engine}."
    if ideal is not None:
        error = partial_sum - ideal
        wrong = float((np.rint(partial_sum) != ideal).mean())
        side = "few" if error.mean() < 0 else "many"
        verdict = (
            f"A column reads {abs(error.mean()):.2f} ON cells too {side} on average; {wrong:.1%} of the reads round to "
            f"a wrong partial sum."
        )
        worst = f"worst {np.abs(error).max():.2f} LSB"
        numbers.append(Number(f"{error.mean():+.2f} LSB", "mean error of a partial sum", worst))
        rounded = "rounded to whole ON cells, converter not fitted"
        numbers.append(Number(f"{wrong:.1%}", "reads with a wrong sum", rounded))
        parts.append(_sums(partial_sum, ideal))
    if "lost" in arrays:
        parts.append(_waterfall(arrays))
    parts.append(sketch_of(parse(TileSpec, made_by.spec, source=str(path))))
    if "v_bl" in arrays:
        parts += _heat_maps(arrays)
    parts.append(_columns(current, partial_sum, ideal))
    rows = [
        {"vector": place[0], "column": place[1], "current": float(value), "partial_sum": float(total)}
        for (place, value), total in zip(np.ndenumerate(current), partial_sum.flat, strict=True)
    ]
    title = f"Currents of a tile, {path.name}"
    return Page(title, verdict, tuple(numbers), tuple(parts), provenance=origin, rows=rows)


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
            raise BadInput(f"{path}: expected {name} of a tile, shaped {shape}, got {got}; run spicekit tile again.")
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
    x, y = "ideal partial sum, ON cells", "measured partial sum, ON cells"
    diagonal = layer(
        {"type": "line", "strokeDash": [5, 4], "color": "#888888"},
        transform=only("x"),
        x=axis("x", x),
        y=axis("y", y),
    )
    points = layer(
        {"type": "point", "filled": True, "opacity": 0.6, "size": 45},
        transform=only("ideal"),
        params=[ZOOM],
        x=axis("ideal", x),
        y=axis("measured", y),
        tooltip=tips("vector", "column", "ideal", ("measured", "measured", ".3f")),
    )
    note = "A point is a column read. Measured: current over the LSB, less that of a column of zeros. Dashed: no loss."
    spec = {"layer": [diagonal, points]}
    return Chart("partial-sums", "Partial sums, measured against ideal", note, rows, spec)


def _waterfall(arrays: dict[str, Array]) -> Chart:
    at = float(arrays["cell_ideal"].sum(axis=0).mean() / float(arrays["lsb"])) if "cell_ideal" in arrays else 0.0
    rows: list[dict[str, Any]] = []

    def step(name: str, start: float, end: float, kind: str, form: str) -> None:
        value = end if kind == "current" else end - start
        label = format(value, form)
        rows.append({"step": name, "from": start, "to": end, "value": value, "kind": kind, "label": label})

    step("ideal", 0.0, at, "current", ".2f")
    for name, lost in zip(arrays["lost_to"].tolist(), arrays["lost"].tolist(), strict=True):
        step(str(name), at, at - lost, "lost" if lost > 0 else "gained", "+.2f")
        at -= lost
    step("left", 0.0, at, "current", ".2f")
    title = "mean column current, LSB"
    bars = layer(
        "bar",
        y=axis("from", title, scale={"zero": False}),
        y2={"field": "to"},
        color=category("kind", None, order=["current", "lost", "gained"]),
    )
    labels = layer(
        {"type": "text", "dy": -7, "fontSize": 11},
        transform=[{"calculate": "max(datum.from, datum.to)", "as": "top"}],
        y=axis("top", title),
        text={"field": "label"},
    )
    spec: Spec = {
        "encoding": {
            "x": category("step", None, order=[row["step"] for row in rows], axis={"labelAngle": 0}),
            "tooltip": tips("step", ("value", "LSB", "+.3f"), ("to", "left, LSB", ".3f")),
        },
        "layer": [bars, labels],
    }
    note = (
        "Mean over the columns, first vector, in LSB: the current of one ON cell. Driver, wires, sink and rails act on "
        "linear cells; device: what the real, non-linear cells change then."
    )
    return Chart("waterfall", "Where the LSBs go", note, rows, spec)


def _heat_maps(arrays: dict[str, Array]) -> Iterator[Chart]:
    found = {**arrays, "lost": arrays["cell_ideal"] - arrays["cell_current"]}
    for name, (title, scale, unit, note) in MAPS.items():
        rows = [
            {"row": row, "column": column, "value": round(float(value), 5)}
            for (row, column), value in np.ndenumerate(scale * found[name])
        ]
        spec = layer(
            {"type": "rect"},
            x={"field": "column", "type": "ordinal", "title": "column", "axis": _TICKS},
            y={"field": "row", "type": "ordinal", "title": "row, 0 at the driver", "axis": _TICKS},
            color=axis("value", unit),
            tooltip=tips("row", "column", ("value", f"{title.lower()}, {unit}", ".4~g")),
        )
        note = f"{note} First vector, {unit}."
        yield Chart(f"map-{name.replace('_', '-')}", title, note, rows, spec, height=380)


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
    lines: list[tuple[float | None, ...]] = []
    for place, (own, sums) in enumerate(zip(current.T, partial_sum.T, strict=True)):
        error = None if ideal is None else sums - ideal[:, place]
        errors = (None, None) if error is None else (float(error.mean()), float(np.abs(error).max()))
        currents = (1e6 * float(find(own)) for find in (np.min, np.mean, np.max))
        lines.append((place, *currents, float(sums.mean()), *errors))
    return Table("Columns, over all vectors", columns, tuple(lines))
