"""Where the jobs of a study run: worker processes here, a scheduler that runs already, or a batch system's nodes.

This module and `sweep` are the only ones that know Dask.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from spicekit.config import Config, parse, read_toml
from spicekit.errors import BadInput, MissingTool

if TYPE_CHECKING:
    from distributed import Client


class Cluster(Config):
    """Workers to start; each has one thread, so that results do not depend on how many there are."""

    kind: Literal["local", "slurm", "lsf", "pbs"] = "local"
    workers: int | None = Field(default=None, ge=1)
    """Worker processes (local; by default one a core) or jobs of the batch system."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of dask-jobqueue's class: queue, project, walltime, memory, job_script_prologue ..."""

    @field_validator("options")
    @classmethod
    def _of_a_batch_system(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if options and info.data.get("kind") == "local":
            raise ValueError("kind 'local' takes no options; they are for batch systems")
        return options


def read_cluster(path: Path) -> Cluster:
    """Cluster from a TOML file; `BadInput` if it cannot be read or a key is unknown."""
    return parse(Cluster, read_toml(path), source=str(path))


@contextmanager
def connected(cluster: Cluster, *, scheduler: str | None = None) -> Iterator["Client"]:
    """A Dask client of a scheduler that runs, or of workers that are started for it.

    Raises
    ------
    MissingTool
        If Dask, or dask-jobqueue for a batch system, is not installed.
    BadInput
        If the scheduler does not answer, or the batch system's options do not fit.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingTool(f"studies need Dask; {_INSTALL}") from error
    with ExitStack() as stack:
        if scheduler:
            try:
                client = stack.enter_context(Client(scheduler))
            except (OSError, ValueError) as error:
                raise BadInput(
                    f"--scheduler {scheduler}: does not answer ({error}); is it running?"
                ) from error
        else:
            client = stack.enter_context(Client(stack.enter_context(start(cluster))))
        yield client


def start(cluster: Cluster) -> Any:
    """Dask's cluster object for a `Cluster`, its workers on their way; a context manager that ends them.

    It keeps their number: one that dies, comes to its walltime or is given up by the scheduler is started anew.
    """
    if cluster.kind == "local":
        import dask
        from distributed import LocalCluster

        # Dask has workers hand back memory whenever 64 kB are free: they then fetch it anew for each array, and a job
        # takes twice the time (docs/studies.md).
        dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
        with _interrupts_held():
            local = LocalCluster(
                n_workers=cluster.workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=_ANY_PORT,
                silence_logs=logging.ERROR,
                preload=[_PRELOAD],
            )
            local.adapt(minimum=len(local.worker_spec), maximum=len(local.worker_spec))
            return local
    if cluster.workers is None:
        raise BadInput(f"cluster kind {cluster.kind!r}: say how many workers.")
    try:
        import dask_jobqueue
    except ImportError as error:
        raise MissingTool(f"batch systems need dask-jobqueue; {_INSTALL}") from error
    kinds = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster"}
    options = {
        "cores": 1,
        "processes": 1,
        **cluster.options,
        "scheduler_options": {"dashboard_address": _ANY_PORT, **cluster.options.get("scheduler_options", {})},
        "worker_extra_args": ["--preload", _PRELOAD, *cluster.options.get("worker_extra_args", [])],
    }
    try:
        started = getattr(dask_jobqueue, kinds[cluster.kind])(**options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"cluster kind {cluster.kind!r}: {error}") from error
    started.adapt(minimum_jobs=cluster.workers, maximum_jobs=cluster.workers)
    return started


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C has to wait, and threads and processes started in here never take it, nor do those that they start: it is
    for the one that started them, which ends them in good order."""
    resource_tracker.ensure_running()  # lets SIGINT through again when it starts: so it must run before
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What a worker imports before it connects. Later it would import on its event loop, deaf to the scheduler as long as
# that takes: where torch loads slowly (a busy machine, a network file system) connections are then given up.
_PRELOAD = "spicekit.study.jobs"
_ANY_PORT = ":0"  # for Dask's own web pages: the usual one may be another user's
_INSTALL = "install it with: pip install 'spicekit[study]'"
