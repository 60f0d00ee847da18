"""Pages of sign-offs: how far the engines are from ngspice, and whether that is within the limits."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from spicekit.evaluation.design import Design
from spicekit.evaluation.signoff import BINS, FLOOR, EngineError, SignOff
from spicekit.report.charts import Chart, Spec, axis, category, only, switched, tips
from spicekit.report.page import Column, Number, Page, Table

ENGINES = ("exact", "fast")
ERRORS = {"rms": "rms", "p99": "99 % stay below", "worst": "worst"}
LSB = "LSB: the current of one ON cell without wires and terminals."


def sign_off_page(result: SignOff) -> Page:
    """Page of a sign-off."""
    limits = result.design.limits
    numbers = []
    for engine in ENGINES:
        worst = max((one.worst for one in _of(result, engine)), default=None)
        value, bound = "-" if worst is None else f"{worst:.3g} LSB", _bounds(result.design, engine)["worst"]
        numbers.append(Number(value, f"worst error, {engine}", f"limit {bound:g} LSB"))
    differ = max((one.codes_differ for one in result.errors), default=0.0)
    failed = f"of which {len(result.failures)} failed"
    numbers += [
        Number(f"{differ:.2%}", "codes that differ, worst kind", f"limit {limits.codes_differ:.0%}"),
        Number(f"{result.vectors:,}", f"reads of a whole tile in {result.simulator}", failed),
    ]
    agree = f"The engines agree with {result.simulator} within the design's limits."
    return Page(
        title=f"Sign-off against {result.simulator}",
        verdict=agree if result.passed else "; ".join(result.faults) + ".",
        numbers=tuple(numbers),
        parts=(
            *(_chart(result, engine) for engine in ENGINES),
            *(chart for engine in ENGINES for chart in _distribution(result, engine)),
            error_table(result),
            *_again(result),
        ),
        good=result.passed,
        notes=(LSB,),
        provenance={
            "design": result.design.model_dump(mode="json"),
            "table": result.table,
            "origin": result.provenance,
        },
        rows=result.rows(),
    )


def _of(result: SignOff, engine: str) -> list[EngineError]:
    return [one for one in result.errors if one.engine == engine]


def _bounds(design: Design, engine: str) -> dict[str, float]:
    limits = design.limits
    if engine != "fast":
        return {"worst": limits.exact_worst}
    return {"rms": limits.fast_rms, "worst": limits.fast_worst}


def _decades(top: float) -> Spec:
    """Logarithmic axis from `FLOOR` to above `top`, LSB, with a line for each power of ten alone."""
    last = math.ceil(math.log10(top)) if math.isfinite(top) else 3
    powers = [10.0**power for power in range(round(math.log10(FLOOR)), last + 1)]
    scale = {"type": "log", "domain": [powers[0], powers[-1]], "clamp": True}
    return {"scale": scale, "axis": {"format": ".0e", "values": powers}}


def _limits(x: Spec, **encoding: Any) -> Spec:
    """A layer with a dashed line at each limit."""
    return {
        "transform": only("limit"),
        "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2},
        "encoding": {"x": axis("limit", "error, LSB", **x), **encoding},
    }


def _chart(result: SignOff, engine: str) -> Chart:
    bounds, found = _bounds(result.design, engine), _of(result, engine)
    rows: list[dict[str, object]] = [
        {
            "vectors": one.kind,
            "error": name,
            "value": max(getattr(one, key), FLOOR),
            "codes": 100 * one.codes_differ,
        }
        for one in found
        for key, name in ERRORS.items()
    ]
    rows += [{"error": ERRORS[key], "limit": limit} for key, limit in bounds.items()]
    x = _decades(max([*bounds.values(), *(one.worst for one in found)]))
    parameter, opacity = switched("error")
    color = category("error", None, order=list(ERRORS.values()))
    points: Spec = {
        "transform": only("value"),
        "params": [parameter],
        "mark": {"type": "point", "filled": True, "size": 90},
        "encoding": {
            "y": category("vectors", None, axis={"labelLimit": 150}),
            "x": axis("value", "error, LSB", **x),
            "color": color,
            "shape": color,
            "opacity": opacity,
            "tooltip": tips(
                "vectors", "error", ("value", "LSB", ".3~g"), ("codes", "codes that differ, %", ".2f")
            ),
        },
    }
    limits = _limits(x, color=color, tooltip=tips(("error", "limit of"), ("limit", "LSB")))
    note = (
        f"Errors of column currents against {result.simulator}, in LSB, by kind of vector; dashed: the limits. "
        f"What is below {FLOOR:g} LSB is drawn there."
    )
    title = f"Errors of the {engine} engine"
    return Chart(f"signoff-{engine}", title, note, rows, {"layer": [limits, points]}, height=220)


def _distribution(result: SignOff, engine: str) -> Iterator[Chart]:
    """How many column reads have an error of which size, with the limit of the worst."""
    rows: list[dict[str, object]] = [
        {"vectors": one.kind, "low": low, "high": high, "share": 100 * count / one.reads, "reads": count}
        for one in _of(result, engine)
        if one.reads
        for (low, high), count in zip(pairwise(BINS), one.histogram, strict=False)
        if count
    ]
    if not rows:
        return
    limit = _bounds(result.design, engine)["worst"]
    x = _decades(max([limit, *(float(str(row["high"])) for row in rows)]))
    rows.append({"limit": limit})
    kind, (parameter, opacity) = category("vectors", None), switched("vectors")
    bars: Spec = {
        "transform": only("low"),
        "params": [parameter],
        "mark": {"type": "rect", "fillOpacity": 0.3, "strokeWidth": 1.5},
        "encoding": {
            "x": axis("low", "error, LSB", **x),
            "x2": {"field": "high"},
            "y": axis("share", "column reads of a kind, %"),
            "y2": {"datum": 0},
            "fill": kind,
            "stroke": kind,
            "opacity": opacity,
            "tooltip": tips(
                *("vectors", ("low", "from, LSB", ".2~g"), ("high", "to, LSB", ".2~g")),
                ("reads", "column reads", ","),
            ),
        },
    }
    layers = [bars, _limits(x, tooltip=tips(("limit", "limit, LSB")))]
    note = (
        f"Column reads by the size of their error, by kind of vector. Dashed: the limit of the worst, {limit:g} "
        "LSB. Everything must lie left of it. Click a name to see one kind."
    )
    title = f"Distribution of errors, {engine} engine"
    yield Chart(f"distribution-{engine}", title, note, rows, {"layer": layers}, height=220)


def _again(result: SignOff) -> Iterator[Table]:
    """The command that made it, to be run again."""
    command = result.provenance.get("command")
    if command:
        note = "In the folder where it ran, with the same files there."
        yield Table("Repeat it", (Column("command"),), ((str(command),),), note)


def error_table(result: SignOff) -> Table:
    """Errors of each engine by kind of vector, with limits and verdicts."""
    columns = (
        Column("vectors"),
        Column("engine"),
        Column("reads", "", "column reads compared", ",d"),
        Column("rms", "LSB", "root mean square of the errors", ".2g"),
        Column("99 %", "LSB", "99 % of the errors stay below", ".2g"),
        Column("worst", "LSB", "largest error", ".2g"),
        Column("limit", "LSB", "of the worst error", ".2g"),
        Column("codes", "%", f"converter codes that are not those of {result.simulator}'s currents", ".2f"),
        Column("verdict"),
    )
    rows, marked = [], set()
    for place, one in enumerate(result.errors):
        bounds = {**_bounds(result.design, one.engine), "codes_differ": result.design.limits.codes_differ}
        fails = any(not getattr(one, name) <= bound for name, bound in bounds.items())
        row = (one.kind, one.engine, one.reads, one.rms, one.p99, one.worst, bounds["worst"])
        rows.append((*row, 100 * one.codes_differ, "FAIL" if fails else "pass"))
        if fails:
            marked.add(place)
    return Table("Errors by kind of vector", columns, tuple(rows), marked=frozenset(marked))
