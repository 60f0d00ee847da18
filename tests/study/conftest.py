"""A network small enough that a study of dozens of points takes seconds, and such a study's results."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from running import JOBS, STUDY, dask_of_a_user, results

from spicekit.networks.checkpoints import save_checkpoint
from spicekit.networks.models import Architecture, Card, build
from spicekit.study.cluster import Scheduler
from spicekit.study.plan import Study, read_study
from spicekit.study.results import RESULTS_FILE
from spicekit.study.sweep import sweep


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    built = build(Architecture(name="vgg-small", width=0.0625)).eval()
    card = Card(
        architecture=built.architecture,
        data="digits",
        source="made up",
        classes=tuple("0123456789"),
        train_images=1,
        train_sha256="",
        test_images=1,
        test_sha256="",
        accuracy=0.1,
        recipe={},
        made_by={},
    )
    path = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    save_checkpoint(built, path, card=card)
    return path


@pytest.fixture(scope="session")
def study(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("study") / "study.toml"
    path.write_text(STUDY.format(network=network))
    return read_study(path)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with one worker."""
    with dask_of_a_user(1, tmp_path_factory.mktemp("dask")) as theirs:
        yield theirs.address


@pytest.fixture(scope="session")
def finished(study: Study, address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results from one worker."""
    out = tmp_path_factory.mktemp("finished")
    summary = sweep(study, out, scheduler=Scheduler(address))
    assert (summary.made, summary.kept, summary.failed) == (JOBS, 0, 0)
    metadata = pyarrow.parquet.read_schema(out / RESULTS_FILE).metadata
    assert json.loads(metadata[b"spicekit"])["study"] == study.content_hash()
    return out


@pytest.fixture(scope="session")
def expected(finished: Path) -> list[dict]:
    return results(finished)
