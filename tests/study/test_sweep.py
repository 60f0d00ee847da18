"""Studies on real Dask workers: the same bits on any number of them, nothing lost to a kill."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import psutil
import pyarrow.parquet
import pytest

from spicekit.errors import BadInput
from spicekit.study.cluster import Cluster
from spicekit.study.plan import Study, read_study
from spicekit.study.results import LOG_FILE, RESULTS_FILE, read_rows
from spicekit.study.sweep import sweep

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


@pytest.fixture(scope="module")
def study(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("study") / "study.toml"
    path.write_text(STUDY.format(network=network))
    return read_study(path)


@contextmanager
def dask_of_a_user(workers: int) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and workers as a user starts them, on loopback; workers that die stay dead."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    module = [sys.executable, "-m"]
    host = ["--host", "127.0.0.1"]
    scheduler = subprocess.Popen(
        [
            *module,
            "distributed.cli.dask_scheduler",
            *host,
            "--port",
            address.rpartition(":")[2],
            "--no-dashboard",
        ],
        **quiet,
    )
    command = [
        *module,
        "distributed.cli.dask_worker",
        address,
        *host,
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    ]
    started = [subprocess.Popen(command, **quiet) for _ in range(workers)]
    try:
        yield address, started
    finally:
        for process in (*started, scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with one worker."""
    with dask_of_a_user(workers=1) as (address, _):
        yield address


@pytest.fixture(scope="module")
def finished(study: Study, address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results from one worker."""
    out = tmp_path_factory.mktemp("finished")
    summary = sweep(study, out, scheduler=address)
    assert (summary.made, summary.kept, summary.failed) == (JOBS, 0, 0)
    metadata = pyarrow.parquet.read_schema(out / RESULTS_FILE).metadata
    assert json.loads(metadata[b"spicekit"])["study"] == study.content_hash()
    return out


@pytest.fixture(scope="module")
def reference(finished: Path) -> list[dict]:
    return results(finished)


def results(out: Path) -> list[dict]:
    """Rows of the Parquet file, without the time that they took."""
    return [{**row, "seconds": None} for row in read_rows(out / RESULTS_FILE)]


def jobs_done(out: Path) -> int:
    path = out / LOG_FILE
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_rows_carry_conditions_results_and_origin(reference):
    assert len(reference) == POINTS
    row = reference[0]
    assert (row["tile.rows_active"], row["wires.r_bl"], row["converter.bits"]) == (16, 3.2, 3)
    assert (row["run.mitigation"], row["images"], row["fault"]) == ("none", 8, "")
    assert 0 <= row["accuracy"] <= 1
    assert 0 < row["nf"] < 1
    assert row["energy"] > 0
    assert row["table"].startswith("8t-sram-tt-700mV-298K-")
    assert len({row["key"] for row in reference}) == POINTS


def test_fewer_on_cells_carry_less_energy(reference):
    by_mitigation = {row["run.mitigation"]: row for row in reference}
    assert by_mitigation["both"]["energy"] < by_mitigation["none"]["energy"]
    assert by_mitigation["both"]["partial_sum"] < by_mitigation["none"]["partial_sum"]


def test_four_workers_give_the_same_bits_as_one(study, reference, tmp_path):
    sweep(study, tmp_path, cluster=Cluster(workers=4))
    assert results(tmp_path) == reference


def test_how_a_point_is_cut_into_jobs_does_not_change_its_accuracy(study, address, reference, tmp_path):
    whole = study.replace(points=study.points[:2], images_per_job=8)
    sweep(whole, tmp_path, scheduler=address)
    assert [row["accuracy"] for row in results(tmp_path)] == [row["accuracy"] for row in reference[:2]]


def test_a_study_goes_on_where_it_was_left(study, address, finished, reference, tmp_path):
    lines = (finished / LOG_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / LOG_FILE).write_bytes(b"".join(lines[:5]) + lines[5][:40])
    summary = sweep(study, tmp_path, scheduler=address)
    assert (summary.made, summary.kept) == (JOBS - 5, 5)
    assert results(tmp_path) == reference
    again = sweep(study, tmp_path, scheduler="tcp://127.0.0.1:1")  # nobody is asked
    assert (again.made, again.kept) == (0, JOBS)


def test_a_worker_killed_in_mid_study_costs_only_what_it_ran(study, reference, tmp_path):
    """On a local cluster another worker takes its place."""
    killed = []

    def kill(progress) -> None:
        if progress.made == 4 and not killed:
            children = psutil.Process().children(recursive=True)
            victim = next(child for child in children if "spawn_main" in " ".join(child.cmdline()))
            victim.kill()
            killed.append(victim.pid)

    summary = sweep(study, tmp_path, cluster=Cluster(workers=2), report=kill)
    assert killed
    assert (summary.made, summary.failed) == (JOBS, 0)
    assert jobs_done(tmp_path) == JOBS
    assert results(tmp_path) == reference


def test_a_running_scheduler_is_used_and_may_lose_a_worker(study, reference, tmp_path):
    with dask_of_a_user(workers=2) as (address, workers):

        def kill(progress) -> None:
            if progress.made == 4:
                workers[0].kill()

        summary = sweep(study, tmp_path, scheduler=address, report=kill)
        assert workers[0].wait(timeout=60) == -signal.SIGKILL
        assert workers[1].poll() is None
    assert (summary.made, summary.failed) == (JOBS, 0)
    assert results(tmp_path) == reference


def command(network: Path, out: Path, *where: str) -> list[str]:
    path = out.parent / "study.toml"
    path.write_text(STUDY.format(network=network))
    start = "from spicekit.cli.main import main\nif __name__ == '__main__': main()"
    return [sys.executable, "-c", start, "sweep", path, "--out", out, *where]


def stopped(command: list[str], out: Path, *, by: signal.Signals) -> subprocess.Popen:
    """The command, stopped after some jobs; all of its processes are gone."""
    with open(out.parent / "err", "w") as err:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=err)
    deadline = time.monotonic() + 180
    while jobs_done(out) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(by)
    process.wait(timeout=120)
    assert not psutil.wait_procs(children, timeout=60)[1]
    return process


def test_a_killed_study_loses_nothing(network, address, reference, tmp_path):
    out = tmp_path / "out"
    again = command(network, out, "--scheduler", address)
    stopped(again, out, by=signal.SIGKILL)
    done = jobs_done(out)
    said = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    made, kept = map(int, re.search(r"(\d+) made, (\d+) kept", said.replace("\n", "")).groups())
    assert (made, kept) == (JOBS - done, done)
    assert results(out) == reference
    assert (out / "pareto.png").is_file()
    assert (out / "sensitivity.png").is_file()


def test_an_interrupted_study_says_how_to_go_on(network, tmp_path):
    out = tmp_path / "out"
    one = command(network, out, "--workers", "1")
    assert stopped(one, out, by=signal.SIGINT).returncode == 130
    assert f"stopped; {out} has what was finished" in (tmp_path / "err").read_text()


def test_a_point_that_fails_is_a_row_with_its_reason_and_is_tried_again(study, address, tmp_path):
    bad = study.points[0].design
    bad = bad.replace(
        converter=bad.converter.replace(reference="per_level"), tile=bad.tile.replace(rows_active=1)
    )
    points = (study.points[0], study.points[0].replace(design=bad))
    both = study.replace(points=points)
    summary = sweep(both, tmp_path, scheduler=address)
    assert summary.failed == 2
    good, failed = read_rows(tmp_path / RESULTS_FILE)
    assert good["fault"] == ""
    assert failed["fault"].startswith("BadInput: ")
    assert failed["accuracy"] is None
    assert jobs_done(tmp_path) == 2  # those that failed are not among what is kept


def test_two_studies_do_not_share_a_folder(study, tmp_path):
    hold = f"""
import sys, time
from pathlib import Path
from spicekit.study.results import Log
with Log(Path({str(tmp_path)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BadInput, match="another study is writing here"):
            sweep(study, tmp_path)
        holder.stdin.close()


def test_a_scheduler_that_does_not_answer_is_named(study, tmp_path):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(BadInput, match=r"--scheduler tcp://127\.0\.0\.1:1: does not answer"),
    ):
        sweep(study, tmp_path, scheduler="tcp://127.0.0.1:1")
    assert os.listdir(tmp_path) == [LOG_FILE]
