"""Who may give a study's workers code to run: nobody but the study."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster
from distributed.utils import json_load_robust

from spicekit.errors import BadInput
from spicekit.study.cluster import Cluster, Scheduler, connected, start
from spicekit.study.results import LOG_FILE

pytestmark = pytest.mark.long

ATTACK = """
import os, sys
from concurrent.futures import ThreadPoolExecutor, wait
import cloudpickle, distributed.protocol
from distributed import Client

if os.getuid() == 0:  # become nobody
    os.setgroups([]), os.setgid(65534), os.setuid(65534)

def attack(address):
    try:
        with Client(address, timeout=10) as client:
            return [client.run_on_scheduler(os.getuid), *client.run(os.getpid).values()]
    except Exception:
        return []

attacks = [ThreadPoolExecutor(1).submit(attack, address) for address in sys.argv[1:]]
done, _ = wait(attacks, timeout=20)  # what is no scheduler may leave a client waiting for ever
print([number for each in done for number in each.result()], flush=True)
os._exit(0)
"""


def attack(*addresses: str) -> list[int]:
    """Another user of this machine, who has no keys, runs code: the scheduler's user and its workers' numbers."""
    keyless = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    command = [sys.executable, "-c", ATTACK, *addresses]
    done = subprocess.run(command, env=keyless, cwd="/", capture_output=True, text=True, timeout=200)
    return json.loads(done.stdout)


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Addresses and ports that a process and its children listen at."""
    ours = [process, *process.children(recursive=True)]
    found = [connection for process in ours for connection in process.net_connections("tcp")]
    return {connection.laddr for connection in found if connection.status == psutil.CONN_LISTEN}


def pages(where: Iterable[tuple[str, int]]) -> list[bytes]:
    """Web pages that Dask shows at these ports."""

    def page(address: str) -> bytes:
        try:
            with urllib.request.urlopen(address, timeout=10) as shown:
                return shown.read()
        except OSError:
            return b""

    paths = ("json/identity.json", "info/logs.html", "info/main/workers.html", "status")
    addresses = [f"http://127.0.0.1:{port}/{path}" for _, port in where for path in paths]
    with ThreadPoolExecutor(len(addresses)) as threads:  # what speaks TLS lets a reader wait
        return [found for found in threads.map(page, addresses) if found]


def test_a_plain_local_cluster_runs_the_code_of_other_users_and_shows_pages_to_the_network():
    before = listening(psutil.Process())
    with LocalCluster(n_workers=1, dashboard_address=":0") as plain:
        user, *workers = attack(plain.scheduler_address)
        assert (user, len(workers)) == (os.getuid(), 1)
        ports = listening(psutil.Process()) - before
        assert any(not address.startswith("127.") for address, _ in ports)
        assert pages([("", plain.scheduler.http_server.port)])


@pytest.mark.timeout(900)
def test_a_sweep_runs_no_code_of_other_users_and_shows_no_pages(network, tmp_path):
    out, study = tmp_path / "out", tmp_path / "study.toml"
    study.write_text(
        f'images_per_job = 1\n[base]\nrun = {{network = "{network}"}}\ntile = {{rows_active = 16}}\n'
        'wires = {r_bl = 3.2, r_sl = 3.2}\n[[grid]]\n"converter.bits" = [3, 4, 5, 6, 7, 8]\n'
        '"run.mitigation" = ["none", "both"]\n'
    )
    start = "from spicekit.cli.main import main\nif __name__ == '__main__': main()"
    command = [sys.executable, "-c", start, "sweep", study, "--out", out, "--workers", "2"]
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
    try:
        while not (out / LOG_FILE).is_file() or not (out / LOG_FILE).stat().st_size:
            assert process.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.1)
        ports = listening(psutil.Process(process.pid))
        assert len(ports) >= 3  # a scheduler and two workers
        assert {address for address, _ in ports} == {"127.0.0.1"}
        assert not pages(ports)
        assert attack(*(f"{protocol}://127.0.0.1:{port}" for protocol in ("tls", "tcp") for _, port in ports)) == []
        assert process.poll() is None, "it ended before it was attacked"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait()


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
        assert attack(address) == []
        with (
            pytest.raises(BadInput, match="does not answer"),
            connected(Cluster(), scheduler=Scheduler(address)),
        ):
            pass
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


@pytest.mark.parametrize(
    "address",
    ["tcp://chips.example:8786", "chips.example:8786", "ucx://10.0.0.1:1", "tcp://127.0.0.1.chips.example:1"],
)
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
