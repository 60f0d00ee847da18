"""Energy, time and area of a study's points."""

import json
import sys
from pathlib import Path

import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.evaluation.costs import ReadCircuit, overhead
from spicekit.evaluation.design import Design
from spicekit.networks.models import Architecture, build
from spicekit.study.plan import Point, Run

sys.path[:0] = [str(Path(__file__).parents[2] / "scripts")]

import reproduce_paper as costs  # noqa: E402


def point(ohm: float, mitigation: str) -> Point:
    tile = TileSpec(rows_active=8, wires=Wires(r_bl=ohm, r_sl=ohm))
    return Point(design=Design(tile=tile), run=Run(images=2, mitigation=mitigation))


def row(current: float):
    return {"layers": json.dumps({f"conv{k}": {"current": current} for k in range(2, 7)})}


@pytest.fixture
def counts(monkeypatch) -> list[str]:
    """What events were counted for, on a small network and without ngspice."""
    counted: list[str] = []
    genuine = costs.count_events

    def count(network, images, layers, *, currents, inputs):
        (spec,) = {packed.layer.spec for packed in layers.values()}
        counted.append(f"{len(images)} images, {spec.wires.r_bl} ohm")
        found = genuine(network, images, layers, currents=currents, inputs=inputs)
        assert found == genuine(network, images, layers, currents=currents)  # in software anew
        return found

    network = build(Architecture(name="vgg-small", width=0.125)).eval()
    monkeypatch.setattr(costs, "count_events", count)
    monkeypatch.setattr(costs, "load_network", lambda name, *, data: network)
    monkeypatch.setattr(costs, "measure_read", lambda tile: ReadCircuit(20e-12, 5e-15))
    return counted


def test_points_differ_in_their_currents_and_are_counted_once(counts):
    points = [point(1.0, "none"), point(3.0, "none"), point(1.0, "both")]
    found = costs.estimates(points, [row(10e-6), row(20e-6), row(10e-6)])
    assert counts == ["2 images, 1.0 ohm"] * 2
    plain, stronger, flipped = found
    assert stronger.energy_parts["bit lines"] == pytest.approx(2 * plain.energy_parts["bit lines"])
    assert {name for name in plain.energy_parts if plain.energy_parts[name] != stronger.energy_parts[name]} == {
        "bit lines"
    }
    assert overhead(plain) == 0 < overhead(flipped)
    assert flipped.energy_parts["word lines"] < plain.energy_parts["word lines"]
