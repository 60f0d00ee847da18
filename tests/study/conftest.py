"""A network small enough that a study of dozens of points takes seconds."""

from pathlib import Path

import pytest
import torch

from spicekit.networks.checkpoints import save_checkpoint
from spicekit.networks.models import Architecture, Card, build


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
