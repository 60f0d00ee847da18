"""Pages of evaluations: a network on one design or several."""

from collections.abc import Iterator, Mapping
from typing import Any

from spicekit.evaluation.design import Design
from spicekit.evaluation.records import Demo, Evaluation
from spicekit.provenance import JsonDict
from spicekit.report.costs import cost_charts, cost_tables
from spicekit.report.evaluation_charts import (
    accuracy_chart,
    answer_charts,
    label,
    layer_charts,
    nf_chart,
    restored_strip,
)
from spicekit.report.page import Column, Number, Page, Part, Sketch, Table, flat, sketch_of
from spicekit.results import accuracy_interval


def evaluation_page(result: Evaluation, *, name: str) -> Page:
    """Page of one network at one design; `name` is the design's."""
    network = str(result.provenance.get("network", "network"))
    parts: list[Part | Sketch] = [
        accuracy_chart({name: result}),
        *layer_charts(result),
        *answer_charts(result),
        sketch_of(result.design.tile),
        *restored_strip(result),
        _results({(network, name): result}),
        *_layer_tables({(network, name): result}),
    ]
    if result.costs is not None:
        parts += cost_charts(result.costs)
        parts += cost_tables(result.costs)
    if result.fidelity:
        parts.append(_fidelity(result))
    return Page(
        title=f"{network} on {name}",
        verdict=verdict(result) + " " + _signed_off(result),
        numbers=_numbers(result),
        parts=tuple(parts),
        notes=(f"{result.images:,} images.", *result.assumptions),
        provenance={"design": result.design.model_dump(mode="json"), "origin": result.provenance},
        rows=rows_of({(network, name): result}),
    )


def demo_page(demo: Demo) -> Page:
    """Page of both networks at both design points."""
    results = demo.by_name()
    worst = min(demo.evaluations, key=lambda one: one.runs[0].accuracy)
    points = {one.point: one.design for one in demo.evaluations}
    where = f", {worst.network} on {worst.point}"
    return Page(
        title="Demo: binary networks on 8T-SRAM tiles",
        verdict=f"{worst.network} on the {worst.point} tile: {verdict(worst)}",
        numbers=_numbers(worst),
        parts=(
            accuracy_chart({f"{network}, {point}": one for (network, point), one in results.items()}),
            *layer_charts(worst, of=where),
            *answer_charts(worst, of=where),
            *(sketch_of(design.tile, name=point) for point, design in points.items()),
            *restored_strip(worst),
            _points(points),
            _results(results),
            *_layer_tables(results),
        ),
        notes=tuple(demo.evaluations[0].assumptions),
        provenance={"origin": demo.provenance},
        rows=rows_of(results),
    )


def comparison_page(results: Mapping[str, Evaluation]) -> Page:
    """Page of several evaluations side by side, by name: what differs in design and in outcome."""
    keyed = {(str(one.provenance.get("network", "network")), name): one for name, one in results.items()}
    return Page(
        title=f"Comparison of {len(results)} evaluations",
        verdict=_ranked(results),
        numbers=tuple(
            Number(
                f"{one.runs[-1].accuracy:.1%}",
                name,
                f"{label(one.runs[-1].mitigation)}, {one.images:,} images",
            )
            for name, one in list(results.items())[:4]
        ),
        parts=(accuracy_chart(results), nf_chart(results), *_differences(results), _results(keyed)),
        provenance={
            name: {"design": one.design.model_dump(mode="json"), "origin": one.provenance}
            for name, one in results.items()
        },
        rows=rows_of(keyed),
    )


def _ranked(results: Mapping[str, Evaluation]) -> str:
    """Which are the most accurate, by how much, and whether their images tell them from the least."""
    found = {name: one.runs[-1].accuracy for name, one in results.items()}
    top, bottom = (pick(found, key=found.__getitem__) for pick in (max, min))
    if found[top] == found[bottom]:
        return f"All have the same accuracy, {found[top]:.1%}."
    best = [name for name, accuracy in found.items() if accuracy == found[top]]
    margin = f"{found[top]:.1%}, {100 * (found[top] - found[bottom]):.1f} points above the least"
    low, high = (accuracy_interval(found[name], results[name].images) for name in (top, bottom))
    few = " Their 95 % intervals overlap: more images would tell them apart." if low[0] <= high[1] else ""
    return f"{' and '.join(best)} {'is' if len(best) == 1 else 'are'} the most accurate: {margin}.{few}"


def verdict(result: Evaluation) -> str:
    """What was found, in a sentence."""
    first, last = result.runs[0], result.runs[-1]
    if first is last:
        return f"{label(first.mitigation)} reach {first.accuracy:.1%}, software {result.software:.1%}."
    return (
        f"{label(last.mitigation)} brings the accuracy from {first.accuracy:.1%} ({label(first.mitigation)}) to "
        f"{last.accuracy:.1%}; the software has {result.software:.1%}."
    )


def headline(result: Evaluation) -> str:
    """The figures that decide, in a line."""
    first, last = result.runs[0], result.runs[-1]
    if first is last:
        return (
            f"{label(first.mitigation)}: accuracy {result.software:.1%} in software → {first.accuracy:.1%}, "
            f"NF {first.nf:.1%}"
        )
    return (
        f"{label(first.mitigation)} → {label(last.mitigation)}: accuracy {first.accuracy:.1%} → {last.accuracy:.1%} "
        f"(software {result.software:.1%}), NF {first.nf:.1%} → {last.nf:.1%}, "
        f"bit-line energy {last.energy_change:+.1%}"
    )


def short_table(result: Evaluation) -> Table:
    """A row each for software, ideal tiles and every run: narrow enough for 60 columns of a terminal."""
    columns = (
        Column(""),
        Column("accuracy", "%", form=".1f"),
        Column("95 % CI", "%"),
        Column("NF", "%", form=".1f"),
        Column("ON", "cells", form=".2f"),
        Column("energy", "nJ", form=".4g"),
        Column("change", "%", form="+.1f"),
    )
    rows: list[tuple[Any, ...]] = []
    for name, accuracy in (("software", result.software), ("ideal tiles", result.ideal)):
        rows.append((name, *_with_range(accuracy, result.images), *(None,) * 4))
    for run in result.runs:
        change = None if run is result.runs[0] else 100 * run.energy_change
        reads = (100 * run.nf, run.partial_sum, 1e9 * run.energy, change)
        rows.append((label(run.mitigation), *_with_range(run.accuracy, result.images), *reads))
    return Table("", columns, tuple(rows))


def _with_range(accuracy: float, images: int) -> tuple[float, str]:
    percent, low, high, _ = _interval(accuracy, images)
    return percent, f"{low:.1f}-{high:.1f}"


def rows_of(results: Mapping[tuple[str, str], Evaluation]) -> list[JsonDict]:
    """A row for each run, for programs."""
    return [
        {
            "network": network,
            "design": name,
            "mitigation": run.mitigation,
            "images": result.images,
            "software": result.software,
            "ideal_tiles": result.ideal,
            "accuracy": run.accuracy,
            **run.model_dump(include={"reads", "partial_sum", "current", "nf", "energy"}),
            "partial_sum_change": 0.0 - run.partial_sum_reduction,
            "energy_change": run.energy_change,
        }
        for (network, name), result in results.items()
        for run in result.runs
    ]


def _signed_off(result: Evaluation) -> str:
    if result.signed_off is None:
        return ""
    if not result.signed_off:
        return f"Not signed off against ngspice: {result.sign_off_fault}."
    with_network = "" if result.signed_off_with_network else ", though without vectors of a network"
    return f"The tile is inside what was signed off against ngspice{with_network}."


def _numbers(result: Evaluation) -> tuple[Number, ...]:
    first, last = result.runs[0], result.runs[-1]
    low, high = accuracy_interval(last.accuracy, result.images)
    sure = f"95 % confidence {low:.1%} to {high:.1%}, {result.images:,} images"
    losses = " → ".join(f"{nf:.1%}" for nf in dict.fromkeys((first.nf, last.nf)))
    energy = f"{1e9 * last.energy:.4g} nJ"
    change = energy if first is last else f"{last.energy_change:+.1%}"
    return (
        Number(f"{last.accuracy:.1%}", f"accuracy, {label(last.mitigation)}", sure),
        Number(f"{first.accuracy:.1%}", f"accuracy, {label(first.mitigation)}", f"software {result.software:.1%}"),
        Number(losses, "non-ideality factor (NF)", "share of the ideal read current that is lost"),
        Number(change, "bit-line energy for an image", f"{energy} with {label(last.mitigation)}"),
    )


def _results(results: Mapping[tuple[str, str], Evaluation]) -> Table:
    columns = (
        Column("network"),
        Column("design"),
        Column("on"),
        Column("accuracy", "%", "images classified rightly", ".1f"),
        Column("from", "%", "lower end of the 95 % confidence interval, from the number of images", ".1f"),
        Column("to", "%", "upper end of that interval", ".1f"),
        Column("images", "", "classified", ",d"),
        Column("ON cells", "", "mean partial sum of a read: cells that hold 1 and get 1", ".2f"),
        Column("current", "uA", "mean current of a column read", ".4g"),
        Column("NF", "%", "non-ideality factor: share of the ideal current that is lost", ".2f"),
        Column("energy", "nJ", "of the bit lines for one image: V_read · I · t", ".4g"),
        Column("energy change", "%", "against the first run on tiles", "+.1f"),
    )
    rows: list[tuple[Any, ...]] = []
    for (network, name), result in results.items():
        for what, accuracy in (("software", result.software), ("ideal tiles", result.ideal)):
            rows.append((network, name, what, *_interval(accuracy, result.images), *(None,) * 5))
        for run in result.runs:
            reads = (
                run.partial_sum,
                1e6 * run.current,
                100 * run.nf,
                1e9 * run.energy,
                100 * run.energy_change,
            )
            rows.append((network, name, label(run.mitigation), *_interval(run.accuracy, result.images), *reads))
    first = 0 if len(results) > 1 else 2  # of one evaluation the page's title says network and design
    return Table("Accuracy and reads", columns[first:], tuple(row[first:] for row in rows))


def _interval(accuracy: float, images: int) -> tuple[float, float, float, int]:
    low, high = accuracy_interval(accuracy, images)
    return 100 * accuracy, 100 * low, 100 * high, images


def _layer_tables(results: Mapping[tuple[str, str], Evaluation]) -> Iterator[Table]:
    columns = (
        Column("layer"),
        Column("on"),
        Column("reads", "", "column reads for one image", ",.0f"),
        Column("ON cells", "", "mean partial sum of a read", ".2f"),
        Column("current", "uA", "mean of a column read", ".4g"),
        Column("NF", "%", "share of the ideal current that is lost", ".2f"),
        Column("loss", "LSB", "NF times ON cells; a code is wrong from half an LSB on", ".3f"),
        Column("energy", "nJ", "of the bit lines for one image", ".4g"),
    )
    for (network, name), result in results.items():
        rows = []
        for run in result.runs:
            for layer, one in run.layers.items():
                lost = (100 * one.nf, one.nf * one.partial_sum)
                reads = (one.reads, one.partial_sum, 1e6 * one.current, *lost, 1e9 * one.energy)
                rows.append((layer, label(run.mitigation), *reads))
        yield Table(f"Reads of each layer: {network}, {name}", columns, tuple(rows))


def _fidelity(result: Evaluation) -> Table:
    columns = (
        Column("on"),
        Column("images", "", "run through both engines", ",d"),
        Column("codes", "", "converter codes compared", ",d"),
        Column("differ", "", "codes that the two engines do not share", ",d"),
        Column("predictions differ", "", "images that they classify differently", ",d"),
        Column("correlation", "", "of the logits", ".6f"),
        Column("worst logit", "sigma", "largest difference, in standard deviations of the logits", ".3g"),
    )
    rows = []
    for kind, both in result.fidelity.items():
        codes = (both.images, both.codes, both.codes_differ, both.predictions_differ)
        rows.append((label(kind), *codes, both.correlation, both.worst_logit))
    return Table("Exact engine against fast", columns, tuple(rows))


def _points(points: Mapping[str, Design]) -> Table:
    columns = (
        Column("design point"),
        Column("bit line", "ohm", "resistance of a bit-line segment between two cells", ".2f"),
        Column("source line", "ohm", "resistance of a source-line segment between two cells", ".2f"),
        Column("driver", "ohm", "between the read source and the first cell", ".0f"),
        Column("sink", "ohm", "between the sensed end and the converter", ".0f"),
        Column("rows", "", "cells along a column", "d"),
        Column("rows asserted", "", "in one read", "d"),
        Column("cell"),
    )
    rows = []
    for name, design in points.items():
        tile, wires = design.tile, design.tile.wires
        lines = (wires.segment(line) for line in tile.segment_names)
        rows.append((name, *lines, wires.r_driver, wires.r_sink, tile.rows, tile.rows_active, tile.cell))
    note = "Mild: wide straps. Heavy: wires of minimum width, and larger terminals at both ends."
    return Table("What the design points are", columns, tuple(rows), note)


def _differences(results: Mapping[str, Evaluation]) -> Iterator[Table]:
    for title, what in (("design", "design"), ("origin", "provenance")):
        records = {name: one.model_dump(mode="json", include={what}) for name, one in results.items()}
        flats = {name: flat(record[what]) for name, record in records.items()}
        keys = list(dict.fromkeys(key for facts in flats.values() for key in facts))
        rows = tuple((key, *(facts.get(key, "") for facts in flats.values())) for key in keys)
        different = tuple(row for row in rows if len(set(row[1:])) > 1)
        if different:
            columns = (Column(title), *(Column(name) for name in results))
            yield Table(f"What differs in {title}", columns, different, marked=frozenset(range(len(different))))
