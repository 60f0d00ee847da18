"""Batch systems, stood in for by commands that run the job scripts on this machine."""

import asyncio
import copy
import itertools
import os
import platform
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dask
import pytest
import torch
from distributed import Client

from spicekit.errors import BadInput
from spicekit.study.cluster import Cluster, connected, read_cluster, start
from spicekit.study.plan import read_study
from spicekit.study.results import RESULTS_FILE, read_rows
from spicekit.study.sweep import sweep

pytestmark = pytest.mark.long

SCRIPTS = {
    "slurm": ["#SBATCH -p long", "#SBATCH --mem=4G", "#SBATCH -t 01:00:00", "#SBATCH --cpus-per-task=1"],
    "lsf": ["#BSUB -q long", "#BSUB -W 01:00", "#BSUB -n 1"],
    "pbs": ["#PBS -q long", "#PBS -l select=1:ncpus=1:mem=3815MB", "#PBS -l walltime=01:00:00"],
}
SUBMIT = """#!/bin/sh
cat ${{1:-/dev/stdin}} > {folder}/script.$$
setsid bash {folder}/script.$$ > {folder}/said.$$ 2>&1 &
echo $! >> {folder}/jobs
echo "Submitted batch job $!"
"""


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder in which `sbatch`, `bsub` and `qsub` keep the scripts that they run."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sbatch", "bsub", "qsub", "scancel", "bkill", "qdel"):
        text = SUBMIT.format(folder=tmp_path) if name.endswith(("batch", "sub")) else "#!/bin/sh\nkill -- -$1\n"
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    yield tmp_path
    for job in (tmp_path / "jobs").read_text().split() if (tmp_path / "jobs").exists() else []:
        with suppress(ProcessLookupError):
            os.killpg(int(job), signal.SIGKILL)


def cluster_file(folder: Path, kind: str) -> Path:
    walltime = "01:00" if kind == "lsf" else "01:00:00"
    options = f'queue = "long"\nmemory = "4GB"\nwalltime = "{walltime}"\nlocal_directory = "{folder}"\n'
    (folder / "cluster.toml").write_text(f'kind = "{kind}"\nworkers = 1\n[options]\n{options}')
    return folder / "cluster.toml"


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_study_runs_in_jobs_of_a_batch_system(kind, network, submitted):
    (submitted / "study.toml").write_text(
        f'[base]\nrun = {{network = "{network}", images = 4}}\n'
        "wires = {r_bl = 3.2, r_sl = 3.2}\ntile = {rows_active = 16}\n"
    )
    cluster = read_cluster(cluster_file(submitted, kind))
    summary = sweep(read_study(submitted / "study.toml"), submitted / "out", cluster=cluster)
    assert (summary.made, summary.failed) == (1, 0)
    assert read_rows(submitted / "out" / RESULTS_FILE)[0]["images"] == 4
    (script,) = submitted.glob("script.*")
    for line in [*SCRIPTS[kind], "--nthreads 1", "--preload spicekit.study.jobs"]:
        assert line in script.read_text()


def test_a_job_of_a_batch_system_that_dies_is_submitted_again(network, submitted):
    """As at its walltime."""
    (submitted / "study.toml").write_text(
        f'images_per_job = 1\n[base]\nrun = {{network = "{network}", images = 4}}\n'
        "wires = {r_bl = 3.2, r_sl = 3.2}\ntile = {rows_active = 16}\n"
    )

    def kill(progress) -> None:
        if progress.made == 1:
            os.killpg(int((submitted / "jobs").read_text()), signal.SIGKILL)

    cluster = read_cluster(cluster_file(submitted, "slurm"))
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}):
        summary = sweep(read_study(submitted / "study.toml"), submitted / "out", cluster=cluster, report=kill)
    assert (summary.made, summary.failed) == (4, 0)
    assert len((submitted / "jobs").read_text().split()) == 2


def test_a_batch_system_without_workers_is_refused():
    with pytest.raises(BadInput, match="say how many workers"), start(Cluster(kind="slurm")):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Dask's half-built cluster
def test_options_that_a_batch_system_does_not_know_are_refused():
    cluster = Cluster(kind="slurm", workers=1, options={"memory": "1GB", "colour": "blue"})
    with pytest.raises(BadInput, match=r"cluster kind 'slurm': .*colour"), start(cluster):
        pass


def test_a_worker_here_that_leaves_by_itself_is_replaced():
    """As one that its scheduler gave up: Dask's nannies replace only what dies."""

    async def leave(dask_worker) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, lambda: loop.create_task(dask_worker.close(reason="worker-heartbeat-missing")))

    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}),
        start(Cluster(workers=1)) as cluster,
        Client(cluster) as client,
    ):
        first = client.submit(os.getpid, pure=False).result()
        client.run(leave)
        while client.scheduler_info()["workers"] and client.submit(os.getpid, pure=False).result() == first:
            time.sleep(0.1)
        assert client.submit(os.getpid, pure=False).result() != first


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_workers_here_keep_the_memory_that_they_free():
    """Of tensors larger than glibc's pools for threads, too; NumPy's arrays have large pages, and few of them."""

    def fetched() -> list[int]:
        """New pages, round by round."""
        counts = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
        for _ in range(20):
            tensors = [torch.ones(72 << 20, dtype=torch.uint8) for _ in range(2)]
            del tensors
            counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        return [after - before for before, after in itertools.pairwise(counts)]

    with connected(Cluster(workers=1)) as client:
        pages = client.submit(fetched).result()
    assert pages[0] > 30_000  # of 4 kB
    assert sum(pages[-5:]) < 1000


def test_workers_here_leave_ctrl_c_to_the_study_also_those_that_take_the_place_of_others():
    """And Dask's settings are the user's own again when they are gone."""
    before = copy.deepcopy(dask.config.config)
    with connected(Cluster(workers=1)) as client:
        assert dask.config.get("distributed.scheduler.http.routes") == []
        first = client.submit(os.getpid, pure=False).result()
        os.kill(first, signal.SIGINT)
        assert client.submit(os.getpid, pure=False).result() == first
        os.kill(first, signal.SIGKILL)
        second = client.submit(os.getpid, pure=False).result()
        os.kill(second, signal.SIGINT)
        assert client.submit(os.getpid, pure=False).result() == second != first
    assert dask.config.config == before
