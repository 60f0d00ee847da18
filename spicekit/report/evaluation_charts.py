"""Charts of evaluations: accuracy, layer by layer, what reads carry, what images were taken for."""

import base64
from collections.abc import Iterator, Mapping
from itertools import islice

from spicekit.evaluation.records import Evaluation
from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.report.charts import Chart, Spec, axis, category, grouped_bars, layer, tips
from spicekit.report.page import Strip, Thumb
from spicekit.results import accuracy_interval

NF = "NF, the non-ideality factor: the share of the ideal read current that wires, drivers and devices take away."
ON = "ON cells: stored 1 and applied 1, so that the cell conducts; their number is the read's partial sum."
CI = "Whiskers: 95 % confidence interval from the number of images."
MOST_CLASSES = 20
"""Of a confusion matrix that is drawn."""


def label(mitigation: str) -> str:
    return MITIGATION_LABELS[mitigation]


def accuracy_chart(results: Mapping[str, Evaluation]) -> Chart:
    """Accuracy in software, on ideal tiles and in each run, by design."""
    rows = []
    for name, result in results.items():
        found = {"software": result.software, "ideal tiles": result.ideal}
        found |= {label(run.mitigation): run.accuracy for run in result.runs}
        for what, accuracy in found.items():
            low, high = accuracy_interval(accuracy, result.images)
            rows.append(
                {
                    "design": name,
                    "on": what,
                    "accuracy": 100 * accuracy,
                    "low": 100 * low,
                    "high": 100 * high,
                    "images": result.images,
                }
            )
    return Chart(
        "accuracy",
        "Accuracy",
        f"Share of images classified rightly, %. {CI} Ideal tiles give the software's logits bit for bit.",
        rows,
        grouped_bars(
            rows,
            x="design",
            series="on",
            y=axis(
                "accuracy",
                "accuracy, %",
                scale={"domain": [0, 108]},
                axis={"values": [0, 20, 40, 60, 80, 100]},
            ),
            tooltip=tips(
                *(
                    "design",
                    "on",
                    ("accuracy", "accuracy, %", ".1f"),
                    ("low", "from", ".1f"),
                    ("high", "to", ".1f"),
                ),
                ("images", "images", ","),
            ),
            low_high=True,
        ),
    )


def nf_chart(results: Mapping[str, Evaluation]) -> Chart:
    """NF of each run, by design."""
    rows = [
        {"design": name, "on tiles": label(run.mitigation), "nf": 100 * run.nf, "energy": 1e9 * run.energy}
        for name, one in results.items()
        for run in one.runs
    ]
    spec = grouped_bars(
        rows,
        x="design",
        series="on tiles",
        y=axis("nf", "NF, %"),
        tooltip=tips("design", ("on tiles", "on"), ("nf", "NF, %", ".1f"), ("energy", "energy, nJ")),
    )
    return Chart("nf", "Non-ideality factor", NF, rows, spec)


_PER_LAYER = {
    "nf": ("NF by layer", "NF, %", NF),
    "on": ("ON cells of a read by layer", "mean ON cells", ON),
    "loss": (
        "What a read loses by layer",
        "loss, LSB",
        "NF times ON cells, in LSB: the current of one ON cell. A code is wrong from half an LSB on.",
    ),
    "energy": (
        "Bit-line energy by layer",
        "energy, nJ",
        "What the bit lines deliver for one image: V_read · I · t.",
    ),
}


def layer_charts(result: Evaluation, of: str = "") -> Iterator[Chart]:
    rows = [
        {
            "layer": name,
            "on tiles": label(run.mitigation),
            "nf": 100 * layer.nf,
            "on": layer.partial_sum,
            "loss": layer.nf * layer.partial_sum,
            "energy": 1e9 * layer.energy,
        }
        for run in result.runs
        for name, layer in run.layers.items()
    ]
    figures = [(key, unit, ".3~g") for key, (_, unit, _) in _PER_LAYER.items()]
    for key, (title, unit, note) in _PER_LAYER.items():
        spec = grouped_bars(
            rows,
            x="layer",
            series="on tiles",
            y=axis(key, unit),
            tooltip=tips("layer", ("on tiles", "on"), *figures),
        )
        yield Chart(f"layers-{key}", title + of, note, rows, spec)


def answer_charts(result: Evaluation, of: str = "") -> Iterator[Chart]:
    """Partial sums of all reads, and what images were taken for in the first and the last run."""
    yield from _histograms(result, of)
    if not result.labels or len(result.classes) > MOST_CLASSES:
        return
    for run in (result.runs[0], result.runs[-1])[: len(result.runs)]:
        if run.predictions:
            yield _confusion(result, label(run.mitigation), run.predictions, of)


_HISTOGRAMS = {
    "partial_sums": (
        "Partial sums",
        "ON cells of a read",
        "How many cells of a read conduct, over all reads of the software's activations. Fewer lose less.",
    ),
    "code_errors": (
        "Errors of the converters' codes",
        "code less ON cells",
        "What a read's code stands for, less the ON cells that it has: 0 is right, -1 one too few. Reads of the "
        "software's activations, a few images.",
    ),
}


def _histograms(result: Evaluation, of: str) -> Iterator[Chart]:
    """Of column reads: what they count, and by how much converters miscount."""
    for name, (title, x, note) in _HISTOGRAMS.items():
        counts = {label(run.mitigation): getattr(run, name) for run in result.runs if any(getattr(run, name))}
        start = {kind: -(len(reads) // 2) if name == "code_errors" else 0 for kind, reads in counts.items()}
        seen = [start[kind] + place for kind, reads in counts.items() for place, one in enumerate(reads) if one]
        if not seen:
            continue
        rows = [
            {"value": start[kind] + place, "on tiles": kind, "share": 100 * one / sum(reads)}
            for kind, reads in counts.items()
            for place, one in enumerate(reads)
            if min(seen) <= start[kind] + place <= max(seen)
        ]
        spec = grouped_bars(
            rows,
            x="value",
            series="on tiles",
            x_title=x,
            y=axis("share", "reads, %"),
            tooltip=tips(("value", x), ("on tiles", "on"), ("share", "reads, %", ".3~g")),
        )
        yield Chart(name.replace("_", "-"), title + of, note, rows, spec)


def _confusion(result: Evaluation, name: str, predictions: tuple[int, ...], of: str) -> Chart:
    names = result.classes
    counts = {(true, taken): 0 for true in range(len(names)) for taken in range(len(names))}
    for pair in zip(result.labels, predictions, strict=True):
        counts[pair] += 1
    totals = [max(1, result.labels.count(true)) for true in range(len(names))]
    rows = [
        {"is": names[true], "taken for": names[taken], "images": count, "share": 100 * count / totals[true]}
        for (true, taken), count in counts.items()
    ]
    spec: Spec = {
        "encoding": {
            "x": category("taken for", "taken for", order=names, axis={"labelAngle": 0, "labelOverlap": True}),
            "y": category("is", "image of a", order=names),
            "tooltip": tips("is", "taken for", "images", ("share", "of its class, %", ".1f")),
        },
        "layer": [
            layer("rect", color=axis("share", "share of the class, %", scale={"domain": [0, 100]})),
            layer(
                {"type": "text", "color": "black"},
                transform=[{"filter": "datum.images > 0"}],
                text={"field": "images"},
            ),
        ],
    }
    note = "A row is what images are, a column what they were taken for; numbers are images. The diagonal is right."
    return Chart(f"confusion-{name.replace(' ', '-')}", f"Confusion matrix, {name}{of}", note, rows, spec)


def restored_strip(result: Evaluation) -> Iterator[Strip]:
    """Images that the first run got wrong and the last one right, if the result has any."""
    thumbs = tuple(
        Thumb(base64.b64decode(one.png), f"{one.label}, taken for {one.before}") for one in islice(result.restored, 12)
    )
    if thumbs:
        first, last = label(result.runs[0].mitigation), label(result.runs[-1].mitigation)
        yield Strip(f"Images that {last} brought back", f"Wrong on {first}, right with {last}.", thumbs)
