"""Measure what a study costs (docs/studies.md); prints JSON.

python scripts/bench_study.py points     # processor time of one point's parts: also right on a busy machine
python scripts/bench_study.py wall       # docs/studies/200-points.toml on one and two workers: on an idle one
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import torch
import typer

from spicekit.engines.fast import read_model
from spicekit.evaluate.design import design_from_tables
from spicekit.networks.data import Dataset, load_dataset
from spicekit.provenance import provenance
from spicekit.spice.simulator import available_cores
from spicekit.study.jobs import run_job
from spicekit.study.plan import Point, Run
from spicekit.study.sweep import checkpoint
from spicekit.tables.store import find_table

STUDY = Path(__file__).parents[1] / "docs/studies/200-points.toml"
FEW, MANY = 16, 80
"""Images: what the second takes more than the first is what 64 take."""

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def points() -> None:
    """Seconds of one thread: a tile's surrogate, a point's first job, each further image."""
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    rows = itertools.product(("vgg-small", "resnet18"), (16, 64), ("none", "both"))
    _print({"points": [_point(*row) for row in rows]})


@app.command()
def wall(repeats: int = 1) -> None:
    """Seconds on the clock, from an empty cache."""
    seconds = {workers: [_study(workers) for _ in range(repeats)] for workers in (1, 2)}
    _print({"study": STUDY.name, "wall_s_by_workers": seconds})


def _point(network: str, active: int, mitigation: str) -> dict[str, Any]:
    print(network, active, mitigation, file=sys.stderr)
    wires = {"layer": "M2", "pitch_nm": 108}
    design = design_from_tables({"tile": {"rows_active": active}, "wires": wires}, source="bench")
    point = Point(design=design, run=Run.model_validate({"network": network, "mitigation": mitigation}))
    table = find_table(design.tile)
    weights, test = checkpoint(network, "digits"), load_dataset("digits", "test")
    calibration = load_dataset("digits", "train").first(FEW)

    def job(images: Dataset, start: int) -> float:
        return _seconds(lambda: run_job(point, weights, table, images, calibration, 0, start=start))

    with tempfile.TemporaryDirectory() as cache:
        os.environ["SPICEKIT_CACHE"] = cache
        surrogate = _seconds(lambda: read_model(design.tile, table))
        job(test.first(1), 1)  # compiles
        # another point of the same tile: nothing of it is prepared
        point = point.replace(design={**design.model_dump(), "read": {"time": 2e-9}})
        first = job(test.first(FEW), 0)
        few, many = job(test.first(FEW), FEW), job(test.first(MANY), FEW)
    image = (many - few) / (MANY - FEW)
    return {
        "network": network,
        "rows_active": active,
        "mitigation": mitigation,
        "surrogate_s": surrogate,
        "point_s": first - FEW * image,
        "image_s": image,
    }


def _study(workers: int) -> float:
    spicekit = Path(sys.executable).with_name("spicekit")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(spicekit), "sweep", str(STUDY), "--workers", str(workers), "--out", f"{folder}/out"]
        start = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, "SPICEKIT_CACHE": f"{folder}/cache"})
        return time.perf_counter() - start


def _seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def _print(result: dict[str, Any]) -> None:
    print(json.dumps({**result, "provenance": provenance({"cores": available_cores()})}, indent=1))


if __name__ == "__main__":
    app()
