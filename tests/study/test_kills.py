"""Studies whose workers, scheduler or own process are killed: only what was under way runs again, to the same bits."""

import collections
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dask
import psutil
import pytest
from distributed import get_worker
from running import JOBS, PATIENCE, STUDY, dask_of_a_user, jobs_done, results, wait_for

from spicekit.errors import SpicekitError
from spicekit.study.cluster import Cluster, Scheduler
from spicekit.study.jobs import run_job
from spicekit.study.sweep import sweep

pytestmark = pytest.mark.long


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


def test_workers_of_several_threads_give_the_same_bits_as_one(study, expected, tmp_path):
    """Several threads are what `dask worker` has by default; they share the networks of their process."""
    with dask_of_a_user(2, tmp_path, threads=3) as theirs:
        sweep(study, tmp_path / "out", scheduler=Scheduler(theirs.address))
    assert results(tmp_path / "out") == expected


def test_a_worker_killed_in_mid_study_costs_only_what_it_ran(study, expected, started_jobs, tmp_path):
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
    assert results(out) == expected


def test_a_running_scheduler_is_used_and_may_lose_a_worker(study, expected, started_jobs, tmp_path):
    out, handed_in = tmp_path / "out", []
    with dask_of_a_user(2, tmp_path) as theirs:

        def kill(progress) -> None:
            if progress.made == 4:
                handed_in.extend(jobs_done(out))
                theirs.workers[0].kill()

        summary = sweep(study, out, scheduler=Scheduler(theirs.address), report=kill)
        assert theirs.workers[0].wait(timeout=PATIENCE) == -signal.SIGKILL
        assert theirs.workers[1].poll() is None
    check_that_only_lost_jobs_ran_again(started_jobs(), theirs.workers[0].pid, handed_in)
    assert (summary.made, summary.failed) == (JOBS, 0)
    assert results(out) == expected


def check_that_only_lost_jobs_ran_again(started: dict[str, list[int]], victim: int, handed_in: list[str]) -> None:
    """Those that the killed worker had begun and not handed in, once more, and elsewhere."""
    assert len(started) == JOBS
    again = {key: pids for key, pids in started.items() if len(pids) > 1}
    assert all(len(pids) == 2 and pids[0] == victim != pids[1] for pids in again.values())
    assert not again.keys() & set(handed_in)


def test_a_scheduler_lost_in_mid_study_is_named_and_loses_nothing(study, address, expected, tmp_path):
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
    assert results(out) == expected


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


def test_a_killed_study_loses_nothing(network, address, expected, tmp_path):
    out = tmp_path / "out"
    again = command(network, out, "--scheduler", address)
    assert stopped(again, out, by=signal.SIGKILL) == -signal.SIGKILL
    done = len(jobs_done(out))
    assert done < JOBS
    said = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    made, kept = map(int, re.search(r"(\d+) made, (\d+) kept", said.replace("\n", "")).groups())
    assert (made, kept) == (JOBS - done, done)
    assert results(out) == expected


def test_an_interrupted_study_says_how_to_go_on(network, tmp_path):
    out = tmp_path / "out"
    one = command(network, out, "--workers", "1")
    study = tmp_path / "study.toml"
    study.write_text(study.read_text().replace("images_per_job = 4", "images_per_job = 1"))  # too many to finish
    assert stopped(one, out, by=signal.SIGINT) == 130
    said = (tmp_path / "err").read_text()
    kept = f"{out} has what was finished, repeat the command to go on"
    how = rf"spicekit: stopped at jobs of \d+ points, \d+ of \d+; {kept}"
    assert re.fullmatch(how, said.splitlines()[-1])
    assert "Traceback" not in said
