"""Energy, time and area of a study's points, reckoned after it from what their reads carried.

So that a study can be held against other constants without running again.
"""

import dataclasses
import json
from collections.abc import Sequence

from spicekit.evaluation.convert import lay_out
from spicekit.evaluation.cost_model import count_events, measure_read
from spicekit.evaluation.energy import Estimate, LayerEvents, estimate, together
from spicekit.mapping.binsparx import MITIGATIONS
from spicekit.networks.reader import load_network
from spicekit.provenance import JsonDict, content_hash
from spicekit.study.plan import Point
from spicekit.study.sweep import image_shares


def estimates(points: Sequence[Point], rows: Sequence[JsonDict]) -> list[Estimate]:
    """For one image of each point.

    A read lasts as long as `spicekit evaluate --energy` says, whatever the point's `read.time`.

    Parameters
    ----------
    points : sequence of Point
        That did not fail.
    rows : sequence of mapping
        Their results, from `sweep`.

    Raises
    ------
    SpiceFailed
        If ngspice fails on the transient of a tile.
    """
    counted: dict[str, dict[str, LayerEvents]] = {}
    found = []
    for point, row in zip(points, rows, strict=True):
        key = _what_is_counted(point)
        if key not in counted:
            counted[key] = _events(point)
        circuit = measure_read(point.design.tile)
        layers = json.loads(row["layers"])
        found.append(
            together(
                estimate(dataclasses.replace(events, current=layers[name]["current"]), circuit, point.design)
                for name, events in counted[key].items()
            )
        )
    return found


def _what_is_counted(point: Point) -> str:
    """Same for points whose events are the same: not what only the currents depend on."""
    tile, mapping = point.design.tile, point.design.mapping
    done = MITIGATIONS[point.run.mitigation]
    by_position = mapping.flip_rule == "position" or done.order
    return content_hash(
        {
            "run": point.run.model_dump(mode="json"),
            "images": point.design.read.probe_images,
            "size": [tile.rows, tile.columns, tile.rows_active],
            "mapping": mapping.model_dump(mode="json"),
            "tile": tile.model_dump(mode="json") if by_position else None,
            "die": point.design.variation.model_dump(mode="json") if done.faults else None,
        }
    )


def _events(point: Point) -> dict[str, LayerEvents]:
    """Of the images that the point's reads were counted on; currents are not known here."""
    run = point.run
    network = load_network(run.network, data=run.data)
    count = point.design.read.probe_images
    images = next(iter(image_shares(run.data, run.folder, run.images, run.seed, count).values()))
    layers = lay_out(network, point.design, mitigation=run.mitigation)
    return count_events(network, images, layers, currents=dict.fromkeys(layers, 0.0))
