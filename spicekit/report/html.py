"""Web pages that need nothing but themselves.

A page is a tree of elements, never pasted text, so that nothing a result holds can become markup. Besides, its content
security policy has browsers fetch nothing, and run no script but, for charts, Plotly's and the one of this folder.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from spicekit.report.sheets import Sheet


@dataclass(frozen=True)
class Picture:
    """A PNG."""

    name: str
    title: str
    png: bytes


@dataclass(frozen=True)
class Mark:
    """A point of a chart."""

    x: float
    y: float
    text: str
    """Shown while the pointer is on it."""
    row: int
    """Of the sheet that it leads to."""


@dataclass(frozen=True)
class Chart:
    """Points that readers can enlarge, single out and follow to their rows."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[Mark]]
    lines: Sequence[Sequence[tuple[float, float]]]
    """Of points joined by steps."""
    to: Sheet
    """That has a row for each mark."""


Part = Sheet | Picture | Chart


def page(title: str, parts: Iterable[Part], *, made_by: str) -> bytes:
    """An HTML file."""
    parts = list(parts)
    targets = [part.to for part in parts if isinstance(part, Chart)]
    style, scripts = _kept("page.css"), _scripts() if targets else []
    # Plotly writes styles of its own.
    styles = "'unsafe-inline'" if targets else _hash(style)
    policy = (
        f"default-src 'none'; img-src data:; style-src {styles}; "
        f"script-src {' '.join(map(_hash, scripts))}; base-uri 'none'; form-action 'none'"
    )
    head = _element(
        "head",
        {},
        _element("meta", {"charset": "utf-8"}),
        _element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        _element("meta", {"name": "viewport", "content": "width=device-width"}),
        _element("title", {}, title),
        _element("style", {}, style),
    )
    body = _element("body", {}, _element("h1", {}, title))
    for part in parts:
        if isinstance(part, Sheet):
            body.append(_sheet(part, target=any(part is target for target in targets)))
        else:
            body.append(_chart(part) if isinstance(part, Chart) else _picture(part))
    body.append(_element("footer", {}, made_by))
    body.extend(_element("script", {}, script) for script in scripts)
    tree = _element("html", {"lang": "en"}, head, body)
    text: bytes = tostring(tree, encoding="utf-8", method="html")
    return b"<!doctype html>\n" + text


def _element(tag: str, attributes: Mapping[str, str], *content: Element | str) -> Element:
    made = Element(tag, dict(attributes))
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        else:
            made.text = part
    return made


def _titled(title: str, *content: Element) -> Element:
    first, *others = title.split("\n")
    notes = (_element("p", {}, line) for line in others)
    return _element("section", {}, _element("h2", {}, first), *notes, *content)


def _sheet(sheet: Sheet, *, target: bool) -> Element:
    heads = (_element("th", {}, text) for text in sheet.head)
    head = _element("thead", {}, *([_element("tr", {}, *heads)] if any(sheet.head) else []))
    rows = (
        _element("tr", {"id": f"row-{place}"} if target else {}, *(_element("td", {}, text) for text in row))
        for place, row in enumerate(sheet.rows)
    )
    table = _element("table", {}, head, _element("tbody", {}, *rows))
    return _titled(sheet.title, _element("div", {"class": "wide results" if target else "wide"}, table))


def _picture(picture: Picture) -> Element:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return _titled(picture.title, _element("img", {"src": source, "alt": picture.title}))


def _chart(chart: Chart) -> Element:
    """What Plotly draws of it, for `page.js` to hand over."""
    from plotly import graph_objects

    figure = graph_objects.Figure()
    for place, (name, marks) in enumerate(chart.series.items()):
        figure.add_scatter(
            x=[mark.x for mark in marks],
            y=[mark.y for mark in marks],
            customdata=[mark.row for mark in marks],
            hovertext=[_literal(mark.text) for mark in marks],
            hoverinfo="text",
            mode="markers",
            marker={"size": 9, "opacity": 0.75, "symbol": _SYMBOLS[place // _COLOURS % len(_SYMBOLS)]},
            name=_literal(name),
            showlegend=True,
        )
    style = {"shape": "hv", "color": "#666", "width": 1}
    for line in chart.lines:
        x, y = zip(*line, strict=True)
        figure.add_scatter(x=x, y=y, mode="lines", line=style, hoverinfo="skip", showlegend=False)
    figure.update_layout(
        template="plotly_white",
        height=600,
        margin={"t": 30},
        xaxis_title=_literal(chart.x_label),
        yaxis_title=_literal(chart.y_label),
        hoverlabel_align="left",
    )
    return _titled(chart.title, _element("div", {"class": "chart", "data-figure": figure.to_json()}))


_COLOURS = 10
"""Of Plotly, before it begins anew."""
_SYMBOLS = ("circle", "circle-open", "diamond", "diamond-open")


def _literal(text: str) -> str:
    """Text that Plotly, which knows some markup, shows as it is."""
    return escape(text, quote=False).replace("\n", "<br>")


def _scripts() -> list[str]:
    from plotly.offline import get_plotlyjs

    return [get_plotlyjs(), _kept("page.js")]


def _kept(name: str) -> str:
    return Path(__file__).with_name(name).read_text("ascii")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
