"""A small study, its results, and Dask as its users start it: what tests of studies share."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from distributed.utils import json_load_robust

from spicekit.study.results import LOG_FILE, RESULTS_FILE, read_rows

STUDY = """
images_per_job = 4
[base]
run = {{network = "{network}", images = 8}}
wires = {{r_bl = 3.2, r_sl = 3.2}}
tile = {{rows_active = 16}}
[[grid]]
"run.mitigation" = ["none", "both"]
"converter.bits" = [3, 4]
"converter.reference" = ["unit", "linear"]
"""
POINTS, JOBS = 8, 16
PATIENCE = 900  # s: only what hangs takes so long, however much else the machine has to do


class UsersDask(NamedTuple):
    address: str
    scheduler: subprocess.Popen
    workers: list[subprocess.Popen]


@contextmanager
def dask_of_a_user(workers: int, folder: Path, *, threads: int = 1) -> Iterator[UsersDask]:
    """A scheduler and workers as a user starts them, on loopback; workers that die stay dead."""
    said = folder / "scheduler.json"

    def started(program: str, *options: str) -> subprocess.Popen:
        where = ("--scheduler-file", said, "--host", "127.0.0.1", "--no-dashboard")
        where += ("--preload", "spicekit.study.jobs")  # docs/studies.md says why
        with open(folder / "dask.log", "a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *where, *options], stdout=log, stderr=log
            )

    scheduler = started("dask_scheduler", "--port", "0")
    ours = [started("dask_worker", "--nthreads", str(threads), "--no-nanny") for _ in range(workers)]
    try:
        yield UsersDask(json_load_robust(said, timeout=PATIENCE)["address"], scheduler, ours)
    finally:
        for process in (*ours, scheduler):
            process.kill()
            process.wait()


def wait_for(happened: Callable[[], bool], process: subprocess.Popen) -> None:
    """Until something happened that a process does; it must not end before."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        ended = process.poll()
        assert ended is None or happened(), f"ended with {ended}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def results(out: Path) -> list[dict]:
    """Rows of the Parquet file, without the time that they took."""
    return [{**row, "seconds": None} for row in read_rows(out / RESULTS_FILE)]


def jobs_done(out: Path) -> list[str]:
    """Keys of the finished jobs, as the disk has them."""
    path = out / LOG_FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    return [json.loads(line)[1] for line in lines]
