"""Measure what a study costs (docs/studies.md); prints JSON.

python scripts/bench_study.py points     # processor time of one point's parts: also right on a busy machine
python scripts/bench_study.py wall 2     # docs/studies/200-points.toml on two workers: on an idle one
"""

import functools
import itertools
import json
import os
import resource
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

from spicekit.engines.fast.model import read_model
from spicekit.evaluation.convert import probed
from spicekit.evaluation.design import design_from_tables
from spicekit.networks.data import Dataset, load_dataset
from spicekit.provenance import code_hash, provenance
from spicekit.spice.simulator import available_cores
from spicekit.study.jobs import counted_reads, run_job
from spicekit.study.plan import Point, Run
from spicekit.study.results import LOG_FILE
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
def wall(workers: int) -> None:
    """A study from an empty cache: seconds on the clock, of processor time, and on the clock in its jobs."""
    _print({"study": STUDY.name, "workers": workers, **_study(workers)})


def _point(network: str, active: int, mitigation: str) -> dict[str, Any]:
    print(network, active, mitigation, file=sys.stderr)
    wires = {"layer": "M2", "pitch_nm": 108}
    design = design_from_tables({"tile": {"rows_active": active}, "wires": wires}, source="bench")
    point = Point(design=design, run=Run.model_validate({"network": network, "mitigation": mitigation}))
    table = find_table(design.tile)
    weights, test = checkpoint(network, "digits"), load_dataset("digits", "test")
    calibration = load_dataset("digits", "train").first(FEW)

    def job(images: Dataset, start: int) -> None:
        few, code = probed(images, point.design), code_hash()
        counted = counted_reads(point, weights, table, few, code=code) if start == 0 else None
        run_job(
            point,
            weights,
            table,
            images,
            calibration,
            0,
            calibration_counted=None,
            images_counted=counted,
            start=start,
            code=code_hash(),
        )

    with tempfile.TemporaryDirectory() as cache:
        os.environ["SPICEKIT_CACHE"] = cache
        surrogate = _seconds(lambda: read_model(design.tile, table))
        job(test.first(1), 0)  # compiles
        # another point of the same tile: nothing of it is prepared
        point = point.replace(design={**design.model_dump(), "read": {"time": 2e-9}})
        first, few, many = (
            _seconds(functools.partial(job, test.first(images), start))
            for images, start in ((FEW, 0), (FEW, FEW), (MANY, FEW))
        )
    image = (many - few) / (MANY - FEW)
    return {
        "network": network,
        "rows_active": active,
        "mitigation": mitigation,
        "surrogate_s": surrogate,
        "point_s": first - FEW * image,
        "image_s": image,
    }


def _study(workers: int) -> dict[str, float]:
    spicekit = Path(sys.executable).with_name("spicekit")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(spicekit), "sweep", str(STUDY), "--workers", str(workers), "--out", f"{folder}/out"]
        environment = {**os.environ, "SPICEKIT_CACHE": f"{folder}/cache"}
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        wall = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        jobs = Path(folder, "out", LOG_FILE).read_text().splitlines()
    in_jobs = sum(json.loads(job)[2]["seconds"] for job in jobs)
    return {"wall_s": wall, "processor_s": used.ru_utime + used.ru_stime, "in_jobs_s": in_jobs}


def _seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def _print(result: dict[str, Any]) -> None:
    print(json.dumps({**result, "provenance": provenance({"cores": available_cores()})}, indent=1))


if __name__ == "__main__":
    app()
