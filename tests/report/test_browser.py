"""Pages in a real browser: nothing is fetched, nothing complains, all of it can be used, and text stays text."""

import importlib.resources
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.files import shipped_folder
from spicekit.report.cell import table_page
from spicekit.report.charts import Chart, axis, category, grouped_bars, tips
from spicekit.report.page import Column, Number, Page, Strip, Table, Thumb, html, sketch_of
from spicekit.tables.store import read_sweep

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no chromium here")
HOSTILE = "</td></script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
AXE = "axe.run().then(done => done.violations.map(one => [one.impact, one.id, one.nodes[0].html]))"
LEGENDS = """[...document.querySelectorAll(".chart svg")].filter((svg) =>
  svg.querySelector(".role-legend")?.getBoundingClientRect().top < svg.getBoundingClientRect().top)
  .map((svg) => svg.parentElement.dataset.name)"""
"""Charts whose legend is cut."""
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)


def everything() -> Page:
    """A page with a part of each kind, and hostile text wherever text goes."""
    rows = [
        {"layer": layer, "on": name, "nf": value, "low": value - 1, "high": value + 1}
        for layer, values in (("conv2", (12.0, 7.0)), (HOSTILE, (11.0, 6.0)))
        for name, value in zip(("plain tiles", HOSTILE), values, strict=True)
    ]
    spec = grouped_bars(
        rows,
        x="layer",
        series="on",
        y=axis("nf", "NF, %"),
        tooltip=tips("layer", ("nf", "NF")),
        low_high=True,
    )
    many = [{"part": f"part number {place:2d}", "value": place} for place in range(1, 12)]
    stacked = {"mark": "bar", "encoding": {"x": axis("value", "nJ"), "color": category("part", None)}}
    map_rows = [{"row": r, "column": c, "value": r * c} for r in range(40) for c in range(40)]
    heat = {
        "mark": "rect",
        "encoding": {"x": category("column", None), "y": category("row", None), "color": axis("value", "V")},
    }
    columns = (Column("name", meaning="what it is"), Column("value", "uA", form=".1f"))
    cells = (
        *((f"row {place}", float(10 * place % 17)) for place in range(20)),
        (HOSTILE, 99.0),
        ("=1+1", None),
    )
    return Page(
        title=f"All parts {HOSTILE}",
        verdict=HOSTILE,
        good=False,
        numbers=tuple(Number(str(place), "figure", HOSTILE) for place in range(4)),
        parts=(
            Chart("bars", "Bars", HOSTILE, rows, spec),
            Chart("map", "Map", "Values.", map_rows, heat),
            Chart("many", "Many names", "Of a legend.", many, stacked, height=100),
            sketch_of(TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2))),
            Strip("Images", "Small.", (Thumb(PIXEL, HOSTILE),)),
            Table("Rows", columns, cells),
        ),
        notes=(HOSTILE,),
        provenance={HOSTILE: HOSTILE},
    )


def shipped_table() -> Page:
    path = next(shipped_folder("calibration").glob("8t-sram-tt*.h5"))
    return table_page(read_sweep(path), name=path.stem)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api.expect.set_options(timeout=60_000)  # ms: on a busy machine charts take their time
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Tab:
    """A page that is open, and what went wrong in it."""

    def __init__(self, browser: Any, path: Path, *, theme: str = "light", width: int = 1440, axe: bool = False) -> None:
        context = browser.new_context(
            color_scheme=theme,
            viewport={"width": width, "height": 900},
            bypass_csp=axe,
            accept_downloads=True,
        )
        self.page = context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-drawn=yes]")

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(f"asked for {url}")

    def close(self) -> None:
        self.page.context.close()
        assert self.wrong == []


@pytest.fixture(scope="module", params=[everything, shipped_table], ids=lambda build: build.__name__)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html(request.param(), made_by=HOSTILE))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html(everything(), made_by=HOSTILE))
    return path


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_a_page_fits_asks_for_nothing_and_is_accessible(browser, built, theme, width):
    tab = Tab(browser, built, theme=theme, width=width, axe=True)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.page.evaluate(LEGENDS) == []
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    tab.page.evaluate(axe)
    found = tab.page.evaluate(AXE)
    assert [one for one in found if one[0] in ("serious", "critical")] == []
    tab.close()


def test_hostile_text_runs_nowhere(browser, whole):
    tab = Tab(browser, whole)
    assert tab.page.evaluate("window.hit") is None
    assert tab.page.locator("td", has_text="window.hit").count() == 1
    assert tab.page.locator("img[src=x]").count() == 0
    tab.close()


def test_a_table_sorts_and_filters_by_keyboard(browser, whole):
    tab = Tab(browser, whole)
    tab.page.locator("th button", has_text="value").focus()
    for backwards in (False, True):
        tab.page.keyboard.press("Enter")
        texts = tab.page.locator("[data-table] tbody td:last-child").all_inner_texts()
        values = [float(text) for text in texts if text]
        assert values == sorted(values, reverse=backwards)
        assert len(values) == 21
    tab.page.locator(".datatable-input").focus()
    tab.page.keyboard.type("=1+1")
    sync_api.expect(tab.page.locator("[data-table] tbody tr")).to_have_count(1)
    assert tab.page.locator("[data-table] tbody tr td:first-child").inner_text() == "=1+1"
    tab.close()


def test_a_head_stays_while_its_table_scrolls(browser, whole):
    tab = Tab(browser, whole)
    box = tab.page.locator(".scroll")
    box.evaluate("box => { box.style.maxHeight = '200px'; box.scrollTop = 300; }")
    assert abs(tab.page.locator("th").first.bounding_box()["y"] - box.bounding_box()["y"]) < 3
    tab.close()


def test_a_chart_shows_values_under_the_pointer_and_a_name_singles_out(browser, whole):
    tab = Tab(browser, whole)
    bar = tab.page.locator(".chart svg .mark-rect path").first
    bar.hover()
    tab.page.wait_for_selector("#vg-tooltip-element.visible")
    assert "conv2" in tab.page.locator("#vg-tooltip-element").inner_text()
    before = bar.get_attribute("opacity")
    tab.page.locator("[data-name=bars] .role-legend-label text").last.click()
    sync_api.expect(bar).not_to_have_attribute("opacity", before)
    tab.close()


def test_charts_come_as_png_svg_and_csv(browser, whole, tmp_path):
    tab = Tab(browser, whole)
    starts = {"PNG": b"\x89PNG", "SVG": b"<svg", "CSV": b"layer,on,nf"}
    for kind, start in starts.items():
        with tab.page.expect_download() as waiting:
            tab.page.locator(".tools button", has_text=kind).first.click()
        waiting.value.save_as(tmp_path / kind)
        assert waiting.value.suggested_filename == f"bars.{kind.lower()}"
        assert (tmp_path / kind).read_bytes().startswith(start)
    tab.close()


def test_charts_are_laid_out_anew_for_paper_and_back(browser, whole):
    """On the paper's width, not as a laptop's chart that is made small; legends with as many columns as fit."""
    tab = Tab(browser, whole)
    widths = "[...document.querySelectorAll('.chart :is(svg, canvas)')].map(one => one.clientWidth)"
    screen = tab.page.evaluate(widths)
    assert 680 not in screen
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.page.evaluate(widths) == [680] * len(screen)
    tab.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.page.evaluate(widths) == screen
    tab.close()


def test_a_theme_that_changes_changes_the_charts(browser, whole):
    tab = Tab(browser, whole)
    label = tab.page.locator(".role-axis-label text").first
    light = label.get_attribute("fill")
    tab.page.emulate_media(color_scheme="dark")
    sync_api.expect(label).not_to_have_attribute("fill", light)
    tab.close()
