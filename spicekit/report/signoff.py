"""Pages of sign-offs: how far the engines are from ngspice, and whether that is within the limits."""

from spicekit.evaluation.design import Design
from spicekit.evaluation.signoff import FLOOR, EngineError, SignOff
from spicekit.report.charts import Chart, Spec, axis, category, tips
from spicekit.report.page import Column, Number, Page, Table

ERRORS = {"rms": "rms", "p99": "99 % stay below", "worst": "worst"}


def sign_off_page(result: SignOff) -> Page:
    """Page of a sign-off."""
    worst = {
        engine: max(
            (one for one in result.errors if one.engine == engine),
            key=lambda one: one.worst,
            default=None,
        )
        for engine in ("exact", "fast")
    }
    limits = result.design.limits
    bounds = {"exact": limits.exact_worst, "fast": limits.fast_worst}
    numbers = [
        Number(
            "-" if one is None else f"{one.worst:.3g} LSB",
            f"worst error, {engine}",
            f"limit {bounds[engine]:g} LSB",
        )
        for engine, one in worst.items()
    ]
    differ = max((one.codes_differ for one in result.errors), default=0.0)
    numbers += [
        Number(f"{differ:.2%}", "codes that differ, worst kind", f"limit {limits.codes_differ:.0%}"),
        Number(
            f"{result.vectors:,}",
            "reads of a whole tile in ngspice",
            f"of which {len(result.failures)} failed",
        ),
    ]
    again = result.provenance.get("command")
    return Page(
        title="Sign-off against ngspice",
        verdict="The engines agree with ngspice within the design's limits."
        if result.passed
        else "; ".join(result.faults) + ".",
        numbers=tuple(numbers),
        parts=(*(_chart(result, engine) for engine in ("exact", "fast")), _table(result)),
        good=result.passed,
        notes=(
            "An LSB is the current step of one ON cell without parasitics.",
            *([f"Repeat it with: {again}"] if again else []),
        ),
        provenance={
            "design": result.design.model_dump(mode="json"),
            "table": result.table,
            "origin": result.provenance,
        },
        rows=result.rows(),
    )


def _bounds(design: Design, engine: str) -> dict[str, float]:
    limits = design.limits
    return (
        {"worst": limits.exact_worst}
        if engine == "exact"
        else {"rms": limits.fast_rms, "worst": limits.fast_worst}
    )


def _chart(result: SignOff, engine: str) -> Chart:
    bounds = _bounds(result.design, engine)
    rows: list[dict[str, object]] = []
    for one in result.errors:
        if one.engine == engine:
            rows += [
                {
                    "vectors": one.kind,
                    "error": name,
                    "value": max(getattr(one, key), FLOOR),
                    "codes": 100 * one.codes_differ,
                }
                for key, name in ERRORS.items()
            ]
    rows += [{"error": ERRORS[key], "limit": limit} for key, limit in bounds.items()]
    parameter = {"name": "picked", "select": {"type": "point", "fields": ["error"]}, "bind": "legend"}
    color = category("error", None, order=list(ERRORS.values()))
    layers: Spec = {
        "layer": [
            {
                "transform": [{"filter": "isValid(datum.limit)"}],
                "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2},
                "encoding": {
                    "x": axis(
                        "limit", "error, LSB", scale={"type": "log"}, axis={"format": ".0e", "tickCount": 6}
                    ),
                    "color": color,
                    "tooltip": tips({"error": "limit of", "limit": "LSB"}),
                },
            },
            {
                "transform": [{"filter": "isValid(datum.value)"}],
                "params": [parameter],
                "mark": {"type": "point", "filled": True, "size": 90},
                "encoding": {
                    "y": category("vectors", None, axis={"labelLimit": 150}),
                    "x": axis(
                        "value", "error, LSB", scale={"type": "log"}, axis={"format": ".0e", "tickCount": 6}
                    ),
                    "color": color,
                    "shape": category("error", None, order=list(ERRORS.values())),
                    "opacity": {"condition": {"param": "picked", "value": 1}, "value": 0.08},
                    "tooltip": tips(
                        {
                            "vectors": "vectors",
                            "error": "error",
                            "value": "LSB",
                            "codes": "codes that differ, %",
                        },
                        {"value": ".3~g", "codes": ".2f"},
                    ),
                },
            },
        ]
    }
    note = (
        f"Errors of column currents against ngspice, in LSB, by kind of vector; dashed: the design's limits. "
        f"What is below {FLOOR:g} LSB is drawn there."
    )
    return Chart(f"signoff-{engine}", f"Errors of the {engine} engine", note, rows, layers, height=220)


def _table(result: SignOff) -> Table:
    columns = (
        Column("vectors"),
        Column("engine"),
        Column("reads", "", "column reads compared", ",d"),
        Column("rms", "LSB", "root mean square of the errors", ".2g"),
        Column("99 %", "LSB", "99 % of the errors stay below", ".2g"),
        Column("worst", "LSB", "largest error", ".2g"),
        Column("limit", "LSB", "of the worst error", ".2g"),
        Column("codes", "%", "converter codes that are not those of ngspice's currents", ".2f"),
        Column("verdict"),
    )
    rows = []
    for one in result.errors:
        limit = _bounds(result.design, one.engine)["worst"]
        row = (one.kind, one.engine, one.reads, one.rms, one.p99, one.worst, limit, 100 * one.codes_differ)
        rows.append((*row, "FAIL" if _fails(result, one) else "pass"))
    marked = frozenset(place for place, one in enumerate(result.errors) if _fails(result, one))
    return Table("Errors by kind of vector", columns, tuple(rows), marked=marked)


def _fails(result: SignOff, one: EngineError) -> bool:
    bounds = {**_bounds(result.design, one.engine), "codes_differ": result.design.limits.codes_differ}
    return any(not getattr(one, name) <= bound for name, bound in bounds.items())
