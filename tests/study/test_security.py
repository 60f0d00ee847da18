"""Who may give a study's workers code to run: nobody but the study."""

import os
import shutil
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster
from distributed.utils import json_load_robust

from spicekit.errors import BadInput
from spicekit.study.cluster import Cluster, Scheduler, connected, start

pytestmark = pytest.mark.long

ATTACK = """
import os, sys
from distributed import Client

with Client(sys.argv[1], timeout=10) as client:
    print(client.run_on_scheduler(os.getpid), *client.run(os.getpid).values())
"""


def attack(address: str) -> subprocess.CompletedProcess[str]:
    """Another process of this machine, which has no keys, runs code on a scheduler and its workers."""
    keyless = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    command = [sys.executable, "-c", ATTACK, address]
    return subprocess.run(command, env=keyless, capture_output=True, text=True, timeout=120)


def listening() -> list[tuple[str, int]]:
    """Addresses and ports that this process and its children listen at."""
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [connection for process in ours for connection in process.net_connections("tcp")]
    return [connection.laddr for connection in found if connection.status == psutil.CONN_LISTEN]


def pages(ports: list[int]) -> list[bytes]:
    """Web pages that Dask shows at these ports."""
    shown = []
    for port in ports:
        for path in ("json/identity.json", "info/logs.html", "info/main/workers.html", "status"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as page:
                    shown.append(page.read())
            except OSError:
                continue
    return shown


def test_another_process_runs_code_on_a_plain_local_cluster_and_none_on_ours():
    with LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0") as plain:
        assert attack(plain.scheduler_address).stdout.split()[0] == str(os.getpid())
    with start(Cluster(workers=1)) as ours, closing(Client(ours)) as client:
        for protocol in ("tls", "tcp"):
            done = attack(f"{protocol}://{ours.scheduler_address.partition('://')[2]}")
            assert (done.returncode, done.stdout) == (1, "")
        assert client.submit(os.getpid).result() != os.getpid()


def test_a_local_cluster_listens_on_loopback_alone_and_shows_no_pages():
    before = set(listening())
    with LocalCluster(n_workers=1, dashboard_address=":0") as plain:
        ports = set(listening()) - before
        assert any(not address.startswith("127.") for address, _ in ports)
        assert pages([plain.scheduler.http_server.port])
    with connected(Cluster(workers=1)):
        ports = set(listening()) - before
        assert {address for address, _ in ports} == {"127.0.0.1"}
        assert not pages([port for _, port in ports])


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """As docs/studies.md makes them."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    made = f"-keyout {folder}/key.pem -out {folder}/cert.pem"
    command = f"openssl req -x509 -newkey rsa:3072 -nodes -days 30 -subj /CN=study {made}"
    subprocess.run(command.split(), check=True, capture_output=True)
    shutil.copy(folder / "cert.pem", folder / "ca.pem")
    return folder


def test_a_scheduler_of_one_s_own_takes_work_from_those_who_have_its_keys(keys, tmp_path):
    said = tmp_path / "dask.json"
    files = ["--tls-ca-file", keys / "ca.pem", "--tls-cert", keys / "cert.pem", "--tls-key", keys / "key.pem"]
    where = [*files, "--scheduler-file", said, "--host", "127.0.0.1", "--no-dashboard"]
    programs = {"dask_scheduler": ["--protocol", "tls", "--port", "0"], "dask_worker": ["--nthreads", "1"]}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *where, *options], stderr=subprocess.DEVNULL
        )
        for program, options in programs.items()
    ]
    try:
        address = json_load_robust(said, timeout=120)["address"]
        assert address.startswith("tls://")
        with connected(Cluster(), scheduler=Scheduler(address, tls=keys)) as client:
            assert client.submit(os.getpid).result(timeout=120) != os.getpid()
        assert attack(address).stdout == ""
        with (
            pytest.raises(BadInput, match="does not answer"),
            connected(Cluster(), scheduler=Scheduler(address)),
        ):
            pass
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


@pytest.mark.parametrize("address", ["tcp://chips.example:8786", "chips.example:8786", "ucx://10.0.0.1:1"])
def test_a_scheduler_elsewhere_that_does_not_encrypt_is_refused(address):
    with (
        pytest.raises(BadInput, match=r"does not encrypt.*--insecure"),
        connected(Cluster(), scheduler=Scheduler(address)),
    ):
        pass


def test_a_folder_without_keys_is_refused(tmp_path):
    scheduler = Scheduler("tls://chips.example:8786", tls=tmp_path)
    with pytest.raises(BadInput, match=r"has no ca\.pem"), connected(Cluster(), scheduler=scheduler):
        pass


def test_jobs_of_a_batch_system_talk_tls_with_keys_that_the_user_alone_reads(tmp_path):
    options = {"memory": "1GB", "shared_temp_directory": str(tmp_path)}
    with start(Cluster(kind="slurm", workers=1, options=options)) as cluster:
        assert cluster.scheduler_address.startswith("tls://")
        (folder,) = tmp_path.glob(".spicekit-keys-*")
        assert folder.stat().st_mode & 0o077 == 0
        assert f"--tls-key {folder / 'key.pem'}" in cluster.job_script()
        assert "--no-dashboard" in cluster.job_script()
    assert not list(tmp_path.iterdir())
