"""Studies on real Dask workers: the same bits on any number of them, nothing lost to a kill."""

import collections
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dask
import psutil
import pyarrow.parquet
import pytest
from distributed import get_worker
from distributed.utils import json_load_robust

from spicekit.errors import BadInput, SpiceFailed, SpicekitError
from spicekit.files import MARKER
from spicekit.study.cluster import Cluster, Scheduler
from spicekit.study.jobs import counted_reads, run_job
from spicekit.study.load import load
from spicekit.study.plan import Study, read_study
from spicekit.study.results import LOG_FILE, POINTS_FOLDER, RESULTS_FILE, read_rows
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
PATIENCE = 900  # s: only what hangs takes so long, however much else the machine has to do


@pytest.fixture(scope="module")
def study(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("study") / "study.toml"
    path.write_text(STUDY.format(network=network))
    return read_study(path)


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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with one worker."""
    with dask_of_a_user(1, tmp_path_factory.mktemp("dask")) as theirs:
        yield theirs.address


@pytest.fixture(scope="module")
def finished(study: Study, address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results from one worker."""
    out = tmp_path_factory.mktemp("finished")
    summary = sweep(study, out, scheduler=Scheduler(address))
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


def jobs_done(out: Path) -> list[str]:
    """Keys of the finished jobs, as the disk has them."""
    path = out / LOG_FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    return [json.loads(line)[1] for line in lines]


@pytest.fixture
def started_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, list[int]]]:
    """Process ids of the workers that started each job, in order: jobs of this test say so before they begin."""
    path = str(tmp_path / "started")

    def noted_job(*arguments, **options):
        with open(path, "a") as file:
            file.write(f"{get_worker().get_current_task()} {os.getpid()}\n")
        return run_job(*arguments, **options)

    def started() -> dict[str, list[int]]:
        by_job = collections.defaultdict(list)
        for line in Path(path).read_text().splitlines():
            job, pid = line.split()
            by_job[job.removeprefix("job-")].append(int(pid))
        return by_job

    monkeypatch.setattr("spicekit.study.sweep.run_job", noted_job)
    return started


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


def test_points_are_there_as_they_finish(finished, tmp_path):
    """In a folder of their own, which is read as the study is where that has not ended."""
    rows = read_rows(finished / POINTS_FOLDER)
    ended = read_rows(finished / RESULTS_FILE)
    assert sorted(rows, key=lambda row: row["key"]) == sorted(ended, key=lambda row: row["key"])
    shutil.copytree(finished / POINTS_FOLDER, tmp_path / POINTS_FOLDER)
    assert load(tmp_path).rows() == rows


def test_fewer_on_cells_carry_less_energy(reference):
    by_mitigation = {row["run.mitigation"]: row for row in reference}
    assert by_mitigation["both"]["energy"] < by_mitigation["none"]["energy"]
    assert by_mitigation["both"]["partial_sum"] < by_mitigation["none"]["partial_sum"]


@pytest.mark.long
def test_four_workers_give_the_same_bits_as_one(study, reference, tmp_path):
    sweep(study, tmp_path, cluster=Cluster(workers=4))
    assert results(tmp_path) == reference


def test_how_a_point_is_cut_into_jobs_does_not_change_its_accuracy(study, address, reference, tmp_path):
    whole = study.replace(points=study.points[:2], images_per_job=8)
    sweep(whole, tmp_path, scheduler=Scheduler(address))
    assert [row["accuracy"] for row in results(tmp_path)] == [row["accuracy"] for row in reference[:2]]


def test_a_study_goes_on_where_it_was_left(study, address, finished, reference, tmp_path):
    lines = (finished / LOG_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / LOG_FILE).write_bytes(b"".join(lines[:5]) + lines[5][:40])
    (tmp_path / MARKER).touch()
    summary = sweep(study, tmp_path, scheduler=Scheduler(address))
    assert (summary.made, summary.kept) == (JOBS - 5, 5)
    assert results(tmp_path) == reference
    again = sweep(study, tmp_path, scheduler=Scheduler("tcp://127.0.0.1:1"))  # nobody is asked
    assert (again.made, again.kept) == (0, JOBS)


@pytest.mark.long
def test_a_worker_killed_in_mid_study_costs_only_what_it_ran(study, reference, started_jobs, tmp_path):
    """On a local cluster another worker takes its place."""
    out, killed, handed_in = tmp_path / "out", [], []

    def kill(progress) -> None:
        if progress.made == 4:
            handed_in.extend(jobs_done(out))
            killed.extend(list(started_jobs().values())[-1])  # the worker that began a job last
            os.kill(killed[-1], signal.SIGKILL)

    summary = sweep(study, out, cluster=Cluster(workers=2), report=kill)
    (victim,) = killed
    check_that_only_lost_jobs_ran_again(started_jobs(), victim, handed_in)
    assert (summary.made, summary.failed) == (JOBS, 0)
    assert sorted(jobs_done(out)) == sorted(started_jobs())
    assert results(out) == reference


@pytest.mark.long
def test_a_running_scheduler_is_used_and_may_lose_a_worker(study, reference, started_jobs, tmp_path):
    out, handed_in = tmp_path / "out", []
    with dask_of_a_user(3, tmp_path) as theirs:

        def kill(progress) -> None:
            if progress.made == 4:
                handed_in.extend(jobs_done(out))
                theirs.workers[0].kill()

        summary = sweep(study, out, scheduler=Scheduler(theirs.address), report=kill)
        assert theirs.workers[0].wait(timeout=PATIENCE) == -signal.SIGKILL
        assert [worker.poll() for worker in theirs.workers[1:]] == [None, None]
    check_that_only_lost_jobs_ran_again(started_jobs(), theirs.workers[0].pid, handed_in)
    assert (summary.made, summary.failed) == (JOBS, 0)
    assert results(out) == reference


def check_that_only_lost_jobs_ran_again(
    started: dict[str, list[int]], victim: int, handed_in: list[str]
) -> None:
    """Those that the killed worker had begun and not handed in, once more, and elsewhere."""
    assert len(started) == JOBS
    again = {key: pids for key, pids in started.items() if len(pids) > 1}
    assert all(len(pids) == 2 and pids[0] == victim != pids[1] for pids in again.values())
    assert not again.keys() & set(handed_in)


@pytest.mark.long
def test_a_worker_with_several_threads_gives_the_same_bits(study, reference, tmp_path):
    """What `dask worker` is by default: as many threads as cores, which share the networks of the process."""
    with dask_of_a_user(1, tmp_path, threads=4) as theirs:
        sweep(study, tmp_path / "out", scheduler=Scheduler(theirs.address))
    assert results(tmp_path / "out") == reference


@pytest.mark.long
def test_a_scheduler_lost_in_mid_study_is_named_and_loses_nothing(study, address, reference, tmp_path):
    lost, out = tmp_path / "lost", tmp_path / "out"
    lost.mkdir()
    with dask_of_a_user(1, lost) as theirs:

        def kill(progress) -> None:
            if progress.made == 4:
                theirs.scheduler.kill()

        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(SpicekitError, match="the Dask scheduler was lost; what was finished is kept"),
        ):
            sweep(study, out, scheduler=Scheduler(theirs.address), report=kill)
    done = len(jobs_done(out))
    assert 4 <= done < JOBS
    summary = sweep(study, out, scheduler=Scheduler(address))
    assert (summary.made, summary.kept) == (JOBS - done, done)
    assert results(out) == reference


def command(network: Path, out: Path, *where: str) -> list[str]:
    path = out.parent / "study.toml"
    path.write_text(STUDY.format(network=network))
    start = "from spicekit.cli.main import main\nif __name__ == '__main__': main()"
    return [sys.executable, "-c", start, "sweep", path, "--out", out, *where]


def stopped(command: list[str], out: Path, *, by: signal.Signals) -> int:
    """Exit status of the command, stopped after some jobs; all of its processes are gone."""
    with open(out.parent / "err", "w") as err:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=err, start_new_session=True)
    try:
        wait_for(lambda: len(jobs_done(out)) >= 3, process)
        children = psutil.Process(process.pid).children(recursive=True)
        if by == signal.SIGINT:
            os.killpg(process.pid, by)  # as a terminal does
        else:
            process.send_signal(by)
        status = process.wait(timeout=PATIENCE)
        assert not psutil.wait_procs(children, timeout=PATIENCE)[1]
        return status
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_a_killed_study_loses_nothing(network, address, reference, tmp_path):
    out = tmp_path / "out"
    again = command(network, out, "--scheduler", address)
    assert stopped(again, out, by=signal.SIGKILL) == -signal.SIGKILL
    done = len(jobs_done(out))
    assert done < JOBS
    said = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    made, kept = map(int, re.search(r"(\d+) made, (\d+) kept", said.replace("\n", "")).groups())
    assert (made, kept) == (JOBS - done, done)
    assert results(out) == reference


@pytest.mark.long
def test_an_interrupted_study_says_how_to_go_on(network, tmp_path):
    out = tmp_path / "out"
    one = command(network, out, "--workers", "1")
    study = tmp_path / "study.toml"
    study.write_text(
        study.read_text().replace("images_per_job = 4", "images_per_job = 1")
    )  # too many to finish
    assert stopped(one, out, by=signal.SIGINT) == 130
    said = (tmp_path / "err").read_text()
    kept = f"{out} has what was finished, repeat the command to go on"
    how = rf"spicekit: stopped at jobs of \d+ points, \d+ of \d+; {kept}"
    assert re.fullmatch(how, said.splitlines()[-1])
    assert "Traceback" not in said


def test_a_point_that_fails_is_a_row_with_its_reason_and_is_tried_again(study, address, tmp_path):
    bad = study.points[0].design
    bad = bad.replace(
        converter=bad.converter.replace(reference="per_level"), tile=bad.tile.replace(rows_active=1)
    )
    points = (study.points[0], study.points[0].replace(design=bad))
    both = study.replace(points=points)
    summary = sweep(both, tmp_path, scheduler=Scheduler(address))
    assert summary.failed == 2
    good, failed = read_rows(tmp_path / RESULTS_FILE)
    assert good["fault"] == ""
    assert failed["fault"].startswith("BadInput: ")
    assert failed["accuracy"] is None
    assert summary.rows() == [good, failed]
    assert len(jobs_done(tmp_path)) == 2  # those that failed are not among what is kept


def test_a_table_that_cannot_be_made_stops_a_study_with_the_reason_of_ngspice(study, tmp_path):
    bad = tmp_path / "bad.sp"
    bad.write_text(".model nbad nmos (level=14 version=4.8 toxe=0)\n")
    bad.with_suffix(".toml").write_text("[geometry]\nwidth = 70.5e-9\nlength = 21e-9\n")
    design = study.points[0].design
    tile = design.tile.replace(device=design.tile.device.replace(nmos=str(bad)))
    points = (study.points[0].replace(design=design.replace(tile=tile)),)
    with pytest.raises(SpiceFailed, match=r"table 8t-sram-tt-.*: weight 0: ngspice"):
        sweep(study.replace(points=points), tmp_path / "out", store=tmp_path / "store")


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
        sweep(study, tmp_path, scheduler=Scheduler("tcp://127.0.0.1:1"))
    assert set(os.listdir(tmp_path)) == {LOG_FILE, MARKER, POINTS_FOLDER}
    assert not os.listdir(tmp_path / POINTS_FOLDER)


def test_workers_of_a_local_cluster_evaluate_dies_with_mismatch(network, tmp_path):
    """Workers need no ngspice: what it finds about the cell comes with the job."""
    path = tmp_path / "study.toml"
    die = "variation = {mismatch = 1.0, stuck_at_0 = 0.01}\n"
    path.write_text(STUDY.format(network=network).split("[[grid]]")[0].replace("[base]", "[base]\n" + die))
    summary = sweep(read_study(path), tmp_path / "out", cluster=Cluster(workers=1))
    assert [row["fault"] for row in summary.points] == [""]


def test_other_code_runs_everything_anew_and_a_worker_that_lacks_it_refuses(
    study, address, finished, tmp_path, monkeypatch
):
    """The worker has the code that is there, the study another: after an update of one of them."""
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    monkeypatch.setattr("spicekit.study.sweep.code_hash", lambda: "0123456789ab")
    summary = sweep(study, out, scheduler=Scheduler(address))
    assert (summary.made, summary.kept, summary.failed) == (0, 0, JOBS)
    assert "this worker's spicekit is not the study's" in results(out)[0]["fault"]
    monkeypatch.undo()
    assert sweep(study, out, scheduler=Scheduler(address)).kept == JOBS
    with pytest.raises(BadInput, match="this worker's spicekit is not the study's"):
        counted_reads(study.points[0], None, None, None, code="0123456789ab")


def test_a_row_with_one_layer_on_real_tiles_says_what_that_layer_reads(network, tmp_path):
    path = tmp_path / "study.toml"
    base = STUDY.format(network=network).split("[[grid]]")[0]
    path.write_text(base.replace("[base]", '[base]\nablation = {layer = "conv4"}\n'))
    (row,) = sweep(read_study(path), tmp_path / "out", cluster=Cluster(workers=1)).points
    layers = json.loads(row["layers"])
    assert row["nf"] == layers["conv4"]["nf"] != layers["conv2"]["nf"]
    assert row["partial_sum"] == layers["conv4"]["partial_sum"]
