"""Charts as Vega-Lite makes them, for pages and for files.

A chart is its data and a specification; colours and fonts are those of the page that shows it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spicekit.errors import MissingTool

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

COLOURS = [
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6e6e6e", "#8c6d1f"),
    *("#7b4fc9", "#b0183b", "#4a6b12", "#00838f"),
]
"""Okabe and Ito's, which people who see colours differently can tell apart, the most distinct first; four more."""


SERIES = {
    "software": "#8a8f98",
    "ideal tiles": "#b4bac4",
    "plain tiles": "#d55e00",
    "static flips": "#cc79a7",
    "dynamic flips": "#56b4e9",
    "BinSparX": "#009e73",
}
"""Colours of what a network runs on, the same in every chart, light or dark."""


@dataclass(frozen=True)
class Chart:
    """A picture of data."""

    name: str
    """Of its files."""
    title: str
    note: str
    """What it shows, in which unit, and what the words mean."""
    rows: Rows
    layers: Spec
    """The specification without its data: a mark with its encoding, layers, or panels."""
    height: int = 280
    wide: bool = False
    """Whether it takes the whole width of the page."""

    def spec(self) -> Spec:
        """All that Vega-Lite needs."""
        data = {"name": "rows", "values": [dict(row) for row in self.rows]}
        return {"data": data, "width": "container", "height": self.height, **self.layers}

    def png(self) -> bytes:
        """A PNG on white.

        Raises
        ------
        MissingTool
            If vl-convert is not installed.
        """
        return png_of([self])


def png_of(charts: Sequence[Chart]) -> bytes:
    """A PNG of charts side by side; errors as of `Chart.png`."""
    try:
        import vl_convert
    except ImportError as error:
        raise MissingTool("pictures need vl-convert; run: pip install 'spicekit-cim[plots]'") from error
    specs = [{"title": {"text": chart.title, "anchor": "start"}, **chart.spec(), "width": 640} for chart in charts]
    for place, spec in enumerate(specs):  # a name may stand for one set of rows only
        spec["data"] = {**spec["data"], "name": f"{spec['data']['name']}_{place}"}
    config = {"background": "white", "range": {"category": COLOURS}, "view": {"stroke": None}}
    png: bytes = vl_convert.vegalite_to_png(
        {"concat": specs, "columns": 2 if len(specs) == 4 else 3, "resolve": {"scale": _APART}}
        if len(specs) > 1
        else specs[0],
        config=config,
        scale=2,
    )
    return png


_APART = dict.fromkeys(("color", "strokeDash", "shape"), "independent")


def axis(name: str, title: str | None, **more: Any) -> Spec:
    """A quantitative channel of a field with a plain name."""
    return {"field": literal(name), "type": "quantitative", "title": title, **more}


def category(name: str, title: str | None, *, order: Sequence[str] | None = None, **more: Any) -> Spec:
    """A nominal channel, in the order of the data or the one given."""
    return {
        "field": literal(name),
        "type": "nominal",
        "title": title,
        "sort": list(order) if order is not None else None,
        **more,
    }


def tips(*fields: str | tuple[str, str] | tuple[str, str, str]) -> list[Spec]:
    """What is shown under the pointer: fields, each with its title and its number format where it has them."""
    named = [(one, one) if isinstance(one, str) else one for one in fields]
    return [
        {"field": literal(name), "title": title, **({"format": form[0]} if form else {})}
        for name, title, *form in named
    ]


def only(field: str) -> list[Spec]:
    """The transform for a layer that draws just the rows with a field."""
    return [{"filter": f"isValid(datum.{field})"}]


def plain_name(name: str) -> str:
    """A field's name without what a specification takes for more than a name."""
    return re.sub(r"[^\w ,.%/+-]", "_", name)


def literal(name: str) -> str:
    """A field's plain name in a specification, in which dots lead into objects."""
    return name.replace(".", r"\.")


def layer(mark: str | Spec, *, transform: Any = None, params: Any = None, data: Any = None, **encoding: Any) -> Spec:
    """A mark with its channels: a picture, or one layer of it."""
    given = {"transform": transform, "params": params, "data": data}
    named = {name: value for name, value in given.items() if value is not None}
    return {"mark": mark, "encoding": encoding, **named}


def switched(field: str) -> tuple[Spec, Spec]:
    """A parameter that a click on the legend sets, and the opacity that shows what it picks."""
    parameter = {"name": "picked", "select": {"type": "point", "fields": [field]}, "bind": "legend"}
    return parameter, {"condition": {"param": "picked", "value": 1}, "value": 0.08}


ZOOM: Spec = {"name": "zoom", "select": "interval", "bind": "scales"}
"""Drag to move, wheel to enlarge, double-click for all."""


def curves(
    x: Spec,
    y: Spec,
    *,
    by: Spec,
    tooltip: list[Spec],
    dash: Spec | None = None,
    zoom: bool = True,
    point: Spec | bool = False,
) -> Spec:
    """A line for each value of the channel `by`, and of `dash`; the legend singles out."""
    parameter, opacity = switched(by["field"])
    encoding = {"x": x, "y": y, "color": by, "opacity": opacity, "tooltip": tooltip}
    return {
        "mark": {"type": "line", "point": point},
        "params": [parameter, ZOOM] if zoom else [parameter],
        "encoding": encoding if dash is None else {**encoding, "strokeDash": dash},
    }


LOG: Spec = {"scale": {"type": "log"}, "axis": {"format": ".0e", "tickCount": 6}}
"""Of a channel: decades."""


def series_scale(names: Sequence[str]) -> Spec:
    """Colours of what a network runs on, `SERIES` and further ones."""
    domain = [*SERIES, *(name for name in names if name not in SERIES)]
    return {"domain": domain, "range": [*SERIES.values(), *COLOURS[: len(domain) - len(SERIES)]]}


def grouped_bars(
    rows: Rows,
    *,
    x: str,
    series: str,
    y: Spec,
    tooltip: list[Spec],
    x_title: str | None = None,
    low_high: bool = False,
) -> Spec:
    """Bars side by side, if wanted with whiskers from field `low` to `high` and numbers; the legend singles out."""
    parameter, opacity = switched(series)
    order = list(dict.fromkeys(str(row[x]) for row in rows))
    names = list(dict.fromkeys(str(row[series]) for row in rows))
    shared = {
        "x": category(x, x_title, order=order, axis={"labelAngle": 0, "labelLimit": 120, "labelOverlap": True}),
        "xOffset": category(series, None, order=names),
        "opacity": opacity,
    }
    color = category(series, None, scale=series_scale(names), legend={"values": names})
    bars = layer({"type": "bar"}, params=[parameter], **shared, y=y, color=color, tooltip=tooltip)
    if not low_high:
        return {"layer": [bars]}
    whiskers = layer({"type": "rule", "strokeWidth": 1.5}, **shared, y=axis("low", y["title"]), y2={"field": "high"})
    narrow = "bandwidth('xOffset') < 26"  # px: numbers stand upright there
    numbers = layer(
        {
            "type": "text",
            "fontSize": 11,
            "angle": {"expr": f"{narrow} ? -90 : 0"},
            "align": {"expr": f"{narrow} ? 'left' : 'center'"},
            "baseline": {"expr": f"{narrow} ? 'middle' : 'bottom'"},
            "dx": {"expr": f"{narrow} ? 4 : 0"},
            "dy": {"expr": f"{narrow} ? 0 : -4"},
        },
        **shared,
        y=axis("high", y["title"]),
        text={**axis(y["field"], None), "format": ".1f"},
    )
    return {"layer": [bars, whiskers, numbers]}
