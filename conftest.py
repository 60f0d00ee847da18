"""Each example of a docstring runs in a folder of its own; Dask has patience."""

import os

import pytest

# On a machine that has much else to do; by default Dask gives connecting, and a deaf peer, 30 s. From the environment,
# workers and schedulers that a test starts have it too.
for kind in ("CONNECT", "TCP"):
    os.environ[f"DASK_DISTRIBUTED__COMM__TIMEOUTS__{kind}"] = "900s"


@pytest.fixture(autouse=True)
def _folder_of_its_own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
