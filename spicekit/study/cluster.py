"""Where the jobs of a study run: worker processes here, a scheduler that runs already, or a batch system's nodes.

Whoever can talk to a Dask scheduler can run code on it and on its workers, as the user who started them. So what is
started here talks TLS, with keys made for the run, and has no dashboard that other machines see; and a scheduler
elsewhere is trusted only by TLS, unless told otherwise.

This module and `sweep` are the only ones that know Dask.
"""

import ipaddress
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker, spawn
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from spicekit.compiled import MEMORY_ENVIRONMENT
from spicekit.config import Config, parse, read_toml
from spicekit.errors import DISTRIBUTION, BadInput, MissingTool, require

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


@dataclass(frozen=True)
class Scheduler:
    """A Dask scheduler that runs already."""

    address: str
    """`tls://host:8786`."""
    tls: Path | None = None
    """Folder with `ca.pem`, `cert.pem` and `key.pem`, as docs/studies.md makes them."""
    insecure: bool = False
    """Take one that does not encrypt, on another machine: for a network in which everybody is trusted."""


@contextmanager
def connected(cluster: Cluster, *, scheduler: Scheduler | None = None) -> Iterator["Client"]:
    """A Dask client of a scheduler that runs, or of workers that are started for it.

    `MissingTool` if Dask, or dask-jobqueue for a batch system, is not installed; `BadInput` if the scheduler does not
    answer or does not encrypt, keys are missing, or the batch system's options do not fit.
    """
    client_of = require("distributed").Client
    with ExitStack() as stack:
        if scheduler:
            security = _security(scheduler)
            try:
                client = stack.enter_context(client_of(scheduler.address, security=security))
            except (OSError, ValueError, TypeError) as error:
                raise BadInput(f"--scheduler {scheduler.address}: does not answer ({error}); is it running?") from error
        else:
            client = stack.enter_context(client_of(stack.enter_context(start(cluster))))
        yield client


def _security(scheduler: Scheduler) -> Any:
    """Dask's `Security` for a scheduler; None for one that need not encrypt."""
    from distributed import Security

    if scheduler.tls:
        files = {name: scheduler.tls / f"{name}.pem" for name in ("ca", "cert", "key")}
        for path in files.values():
            if not path.is_file():
                raise BadInput(f"--tls {scheduler.tls}: has no {path.name}; docs/studies.md says how to make it.")
        return Security(
            tls_ca_file=str(files["ca"]),
            tls_client_cert=str(files["cert"]),
            tls_client_key=str(files["key"]),
            require_encryption=True,
        )
    protocol, _, rest = scheduler.address.rpartition("://")
    host = rest.rpartition(":")[0].strip("[]")
    if protocol in ("tls", "wss"):  # keys from Dask's own configuration
        return Security(require_encryption=True)
    if not _is_loopback(host) and not scheduler.insecure:
        raise BadInput(
            f"--scheduler {scheduler.address}: does not encrypt, so whoever reaches it runs code as you, here and on "
            f"its workers; start it with TLS and pass tls://{rest} --tls FOLDER (docs/studies.md), or --insecure."
        )
    return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, such as 127.0.0.1.example.com
        return False


@contextmanager
def start(cluster: Cluster) -> Iterator[Any]:
    """Dask's cluster object for a `Cluster`, its workers on their way; they end with the context.

    It keeps their number: one that dies, comes to its walltime or is given up by the scheduler is started anew.
    """
    import dask

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        if cluster.kind == "local":
            stack.enter_context(_script_left_alone())
            yield stack.enter_context(_local(cluster))
        else:
            folder = cluster.options.get("shared_temp_directory", ".")
            keys = stack.enter_context(
                TemporaryDirectory(prefix=".spicekit-keys-", dir=folder, ignore_cleanup_errors=True)
            )
            yield stack.enter_context(_batch(cluster, _throw_away_keys(Path(keys).absolute())))


def _local(cluster: Cluster) -> Any:
    """Dask's object for workers on this machine."""
    from distributed import LocalCluster

    with _interrupts_held():
        local = LocalCluster(
            protocol="tls://",
            security=_throw_away_keys(),
            host="127.0.0.1",
            n_workers=cluster.workers,
            threads_per_worker=1,
            processes=True,
            scheduler_kwargs=_NO_PAGES,
            silence_logs=logging.ERROR,
            preload=[_PRELOAD],
        )
        local.adapt(minimum=len(local.worker_spec), maximum=len(local.worker_spec))
    return local


def _batch(cluster: Cluster, security: Any) -> Any:
    """Dask's object for a batch system, its jobs submitted."""
    if cluster.workers is None:
        raise BadInput(f"cluster kind {cluster.kind!r}: say how many workers.")
    batch_systems = require("dask_jobqueue")
    kinds = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster"}
    options = {
        "cores": 1,
        "processes": 1,
        "protocol": "tls://",
        "security": security,
        **cluster.options,
        "scheduler_options": {**_NO_PAGES, **cluster.options.get("scheduler_options", {})},
        "worker_extra_args": [
            "--no-dashboard",
            "--preload",
            _PRELOAD,
            *cluster.options.get("worker_extra_args", []),
        ],
    }
    try:
        started = getattr(batch_systems, kinds[cluster.kind])(**options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"cluster kind {cluster.kind!r}: {error}") from error
    started.adapt(minimum_jobs=cluster.workers, maximum_jobs=cluster.workers)
    return started


def _throw_away_keys(folder: Path | None = None) -> Any:
    """Keys for one run, in memory, or in a folder for processes that can only be told names of files."""
    from distributed import Security

    try:
        keys = Security.temporary()
    except ImportError as error:
        raise MissingTool(f"studies need cryptography; run: pip install '{DISTRIBUTION}[study]'") from error
    if folder is None:
        return keys
    names = {what: str(folder / f"{what}.pem") for what in ("cert", "key")}
    Path(names["key"]).write_text(keys.tls_worker_key)
    Path(names["cert"]).write_text(keys.tls_worker_cert)
    roles = {f"tls_{role}_{what}": path for role in ("scheduler", "worker", "client") for what, path in names.items()}
    return Security(tls_ca_file=names["cert"], require_encryption=True, **roles)


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


@contextmanager
def _script_left_alone() -> Iterator[None]:
    """Dask's workers do not run the script that calls us, as Python's new processes do: it would start them again."""
    genuine = spawn.get_preparation_data

    def prepared(name: str) -> dict[str, Any]:
        found = genuine(name)
        ours = name.startswith("Dask Worker")
        return {key: value for key, value in found.items() if not (ours and key.startswith("init_main"))}

    spawn.get_preparation_data = prepared
    try:
        yield
    finally:
        spawn.get_preparation_data = genuine


# What a worker imports before it connects. Later it would import on its event loop, deaf to the scheduler as long as
# that takes: where torch loads slowly (a busy machine, a network file system) connections are then given up.
_PRELOAD = "spicekit.study.jobs"
# Dask's web pages ask nobody who they are: other users need not see a study's logs and call stacks.
_NO_PAGES = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
_SETTINGS: dict[str, Any] = {
    **{f"distributed.{role}.http.routes": [] for role in ("scheduler", "worker", "nanny")},
    # Dask has workers hand back memory whenever 64 kB are free: they then fetch it anew for each array, and a job takes
    # twice the time (docs/studies.md).
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in MEMORY_ENVIRONMENT.items()},
    # Of pages that nobody sees: to sample every thread a hundred times a second takes 4 % of a job, and to look after
    # loops, memory and systems so often 9 % of a core.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "1s",
}
"""Of Dask, while a cluster of ours runs."""
