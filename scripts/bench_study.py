"""Measure what a study costs (docs/studies.md); prints JSON.

python scripts/bench_study.py points     # processor time of one point's parts: also right on a busy machine
python scripts/bench_study.py wall 2     # docs/studies/200-points.toml on two workers: on an idle one
python scripts/bench_study.py cluster    # 1,000 points on four workers with TLS; a worker is killed, then the scheduler
python scripts/bench_study.py rows       # a million rows streamed to Parquet, and read meanwhile
"""

import functools
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
import psutil
import torch
import typer

from spicekit import Dataset, load_dataset
from spicekit.engines.fast.model import read_model
from spicekit.evaluation.design import Design
from spicekit.evaluation.reads import probed
from spicekit.provenance import code_hash, provenance
from spicekit.spice.simulator import available_cores
from spicekit.study.cluster import Cluster
from spicekit.study.jobs import checkpoint, counted_reads, run_job
from spicekit.study.plan import Point, Run, Study, read_study
from spicekit.study.results import LOG_FILE, RESULTS_FILE, PointsWriter, read_rows
from spicekit.study.sweep import sweep
from spicekit.tables.store import find_table

SMALL = """
[base]
run = {{ network = "vgg-small-quarter", images = 8 }}
tile = {{ rows_active = 64 }}
wires = {{ layer = "M6", pitch_nm = 108 }}
read = {{ probe_images = 8 }}
[[grid]]
"converter.full_scale" = {scales}
"run.mitigation" = ["none", "both"]
"wires.r_sink" = [30.0, 100.0]
"""
STUDY = Path(__file__).parents[1] / "docs/studies/200-points.toml"
FEW, MANY = 16, 272
"""Images: what the second takes more than the first is what two whole batches take."""
PATIENCE = 900.0
"""Seconds for workers to start, and for a quarter of a study, on a machine that has much else to do."""

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


@app.command()
def cluster(workers: int = 4, values: int = 250) -> None:
    """A study on processes of its own, of which a worker is killed, then the scheduler: what was lost, and times.

    The study is repeated after each loss of the scheduler, on new workers. Predicted is the workers' processor time
    from when they have imported everything: so it is right on a busy machine, too.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SPICEKIT_CACHE"] = str(folder / "cache")
        file, out = folder / "study.toml", folder / "out"
        file.write_text(SMALL.format(scales=[round(40 + 0.1 * k, 1) for k in range(values)]))
        points = read_study(file).points
        predict = [sys.executable, __file__, "predict", str(file)]
        for _ in range(2):  # the first compiles
            parts = json.loads(subprocess.run(predict, check=True, capture_output=True).stdout)
        stops = (len(points) // 4, len(points) // 2, None)
        predicted = {
            "starts": len(stops) * workers * parts["start_s"],
            "counts": parts["count_s"] * len({_tiles_read(point) for point in points}),
            "jobs": len(points) * parts["job_s"],
        }
        _say(f"{len(points)} points; predicted, s of processor time: {predicted}")
        keys, began = _keys(folder), time.perf_counter()
        used = sum(_run_until(stop, file, out, keys, workers) for stop in stops)
        took = time.perf_counter() - began
        logged = [json.loads(line)[1] for line in _logged(out)]
        found = {row["key"]: {**row, "seconds": None} for row in read_rows(out / RESULTS_FILE)}
        some = Study(points=points[:: max(1, len(points) // 20)])
        quiet = sweep(some, folder / "undisturbed", cluster=Cluster(workers=1)).rows()
    _print(
        {
            "points": len(points),
            "workers": workers,
            "rows": len(found),
            "jobs_finished": len(set(logged)),
            "finished_jobs_run_again": len(logged) - len(set(logged)),
            "rows_undisturbed": len(quiet),
            "of_these_equal_bit_for_bit": sum({**row, "seconds": None} == found[row["key"]] for row in quiet),
            "predicted_s": predicted,
            "predicted_processor_s": sum(predicted.values()),
            "processor_s": used,
            "wall_s": took,
            "load": os.getloadavg(),
        }
    )


@app.command(hidden=True)
def predict(file: Path) -> None:
    """Processor seconds of a worker's first job beyond those of others, of counting what tiles read, of a job."""
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    points = read_study(file).points
    run, code = points[0].run, code_hash()
    weights, test = checkpoint(run.network, run.data), load_dataset(run.data, "test")
    images, calibration = test.first(run.images or 1), load_dataset(run.data, "train").first(FEW)
    kept: dict[str, Any] = {}

    def counted(point: Point) -> Any:
        few, table = probed(images, point.design), find_table(point.design.tile)
        return counted_reads(point, weights, table, few, code=code)

    def jobs(points: Sequence[Point]) -> None:
        for point in points:
            if (tiles := _tiles_read(point)) not in kept:
                kept[tiles] = counted(point)
            table, known = find_table(point.design.tile), kept[tiles]
            options = {"calibration_counted": None, "images_counted": known, "start": 0, "code": code}
            few = len(probed(images, point.design))
            run_job(point, weights, table, images, calibration, 0, counted=few, **options)

    start = _seconds(lambda: jobs(points[:1]))
    count = _seconds(lambda: counted(points[0]))
    jobs(points[:8])
    tried = points[8 :: max(1, len(points) // 24)]
    job = _seconds(lambda: jobs(tried)) / len(tried)
    print(json.dumps({"start_s": start - count - job, "count_s": count, "job_s": job}))


@app.command()
def rows(count: int = 1_000_000) -> None:
    """Rows as wide as a study's streamed to Parquet, counted by a reader after each tenth; peak memory of it all."""
    import pyarrow.dataset

    row = {f"condition.{k}": float(k) for k in range(30)} | {"key": "", "layers": "x" * 500}
    start, seen = time.process_time(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "points")
        with PointsWriter(folder, [row]) as points:
            for k in range(count):
                points.add({**row, "condition.0": float(k), "key": str(k)})
                if (k + 1) % (count // 10) == 0:
                    seen.append(pyarrow.dataset.dataset(folder).count_rows())
        found = pyarrow.dataset.dataset(folder).count_rows()
        size = sum(path.stat().st_size for path in folder.iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    used = {"bytes": size, "processor_s": time.process_time() - start, "peak_bytes": peak}
    _print({"rows": found, "read_meanwhile": seen, **used})


def _tiles_read(point: Point) -> str:
    """Same for points that share what their tiles read."""
    return point.design.as_read().content_hash() + point.run.mitigation


def _run_until(stop: int | None, file: Path, out: Path, keys: Path, workers: int) -> float:
    """Run the study on a scheduler and workers; kill a worker half-way to `stop` jobs, and the scheduler there.

    Returns the workers' processor seconds.
    """
    said = file.with_name("scheduler.json")
    said.unlink(missing_ok=True)
    said.with_suffix(".log").unlink(missing_ok=True)
    tls = [f"--tls-{what}={keys}/{part}.pem" for what, part in (("ca-file", "ca"), ("cert", "cert"), ("key", "key"))]
    scheduler = _dask("scheduler", said, "--protocol", "tls", "--host", "127.0.0.1", "--port", "0", *tls)
    crew = [_dask("worker", said, "--nthreads", "1", "--no-nanny", *tls) for _ in range(workers)]
    try:
        _wait(lambda: said.with_suffix(".log").read_bytes().count(b"Registered to") >= workers)
        before = sum(map(_used, crew))
        used = 0.0
        address = json.loads(said.read_text())["address"]
        command = [str(Path(sys.executable).with_name("spicekit")), "sweep", str(file), "--out", str(out)]
        command += ["--scheduler", address, "--tls", str(keys)]
        study = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if stop:
            _wait(lambda: len(_logged(out)) >= stop // 2 or study.poll() is not None)
            used += _used(crew[0])
            crew[0].kill()
            _say(f"kill -9 WORKER, of {workers}; {len(_logged(out))} jobs are finished")
            _wait(lambda: len(_logged(out)) >= stop or study.poll() is not None)
            used += sum(map(_used, crew[1:]))
            scheduler.kill()
            _say(f"kill -9 SCHEDULER; {len(_logged(out))} jobs are finished")
        said_last = " ".join(study.communicate()[0].split())[-160:]
        _say(f"exit status {study.returncode}: {said_last}")
        return used + (0.0 if stop else sum(map(_used, crew))) - before
    finally:
        for process in (*crew, scheduler):
            process.kill()
            process.wait()


def _wait(happened: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError(f"nothing happened in {PATIENCE:g} s; the scheduler's log may say why.")
        time.sleep(0.02)


def _keys(folder: Path) -> Path:
    """As docs/studies.md makes them."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    made = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "1", "-subj", "/CN=study"]
    made += ["-keyout", str(keys / "key.pem"), "-out", str(keys / "cert.pem")]
    subprocess.run(made, check=True, capture_output=True)
    shutil.copy(keys / "cert.pem", keys / "ca.pem")
    return keys


def _dask(program: str, said: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"distributed.cli.dask_{program}", "--scheduler-file", str(said)]
    command += ["--no-dashboard", "--preload", "spicekit.study.jobs", *options]
    with open(said.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _used(process: "subprocess.Popen[bytes]") -> float:
    """Processor seconds of a process so far."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def _logged(out: Path) -> list[bytes]:
    """Whole lines of the study's log."""
    path = out / LOG_FILE
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def _point(network: str, active: int, mitigation: str) -> dict[str, Any]:
    print(network, active, mitigation, file=sys.stderr)
    wires = {"layer": "M2", "pitch_nm": 108}
    design = Design.from_tables({"tile": {"rows_active": active}, "wires": wires}, source="bench")
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
            counted=len(few),
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
