"""Web pages that need nothing but themselves.

A page is a tree of elements, never pasted text, so that nothing a result holds can become markup. Besides, its content
security policy has browsers fetch nothing, and run no script but the one of this folder.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    line: Sequence[tuple[float, float]]
    """Joined by steps."""
    to: Sheet
    """That has a row for each mark."""


Part = Sheet | Picture | Chart


def page(title: str, parts: Iterable[Part], *, made_by: str) -> bytes:
    """An HTML file."""
    parts = list(parts)
    style, script = (Path(__file__).with_name(f"page.{kind}").read_text("ascii") for kind in ("css", "js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    targets = [part.to for part in parts if isinstance(part, Chart)]
    head = _element(
        "head",
        {},
        _element("meta", {"charset": "ascii"}),
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
    body.append(_element("script", {}, script))
    tree = _element("html", {"lang": "en"}, head, body)
    text: bytes = tostring(tree, encoding="us-ascii", method="html")
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
    """Marks with their values; `page.js` gives them their places."""
    groups, keys = [], []
    for place, (name, marks) in enumerate(chart.series.items()):
        colour = f"colour-{place % 8} ring-{place // 8 % 2}"
        groups.append(_element("g", {"class": colour}, *map(_mark, marks)))
        keys.append(_element("button", {"class": colour, "title": "show or hide"}, name))
    corners = " ".join(f"{x!r},{y!r}" for x, y in chart.line)
    drawing = _element(
        "svg",
        {"class": "chart", "viewBox": "0 0 900 470", "data-x": chart.x_label, "data-y": chart.y_label},
        _element("g", {"class": "axes"}),
        _element(
            "svg",
            {},
            _element("rect", {"class": "ground"}),
            _element("polyline", {"data-corners": corners}),
            *groups,
        ),
    )
    return _titled(
        chart.title,
        _element("p", {"class": "keys"}, *keys),
        drawing,
        _element("p", {"class": "said"}),
    )


def _mark(mark: Mark) -> Element:
    values = {"r": "4.5", "data-x": repr(mark.x), "data-y": repr(mark.y)}
    circle = _element("circle", values, _element("title", {}, mark.text))
    return _element("a", {"href": f"#row-{mark.row}"}, circle)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
