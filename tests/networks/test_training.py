"""Training: it learns, it repeats, and a kill at any moment costs nothing but time."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from spicekit.errors import BadInput, MissingTool
from spicekit.networks.checkpoints import load_network, sealed
from spicekit.networks.data import load_dataset
from spicekit.networks.runs import recipe_for
from spicekit.networks.training import CHECKPOINT, STATE, augment, fastest_options, train

TRAIN, TEST = load_dataset("digits", "train").first(256), load_dataset("digits", "test").first(100)
RECIPE = recipe_for("vgg-small", "digits", changes={"width": 0.05, "epochs": 2, "batch": 32, "seed": 4})


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


def run(out, recipe=RECIPE, **options):
    train(recipe, out, train_set=TRAIN, test_set=TEST, **options)
    return load_network(out / CHECKPOINT)


def weights(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The folder of a run of one epoch; for tests that change nothing in it."""
    out = tmp_path_factory.mktemp("begun")
    run(out, RECIPE.replace(epochs=1))
    return out


@pytest.fixture
def first(begun, tmp_path):
    """A copy of it."""
    return shutil.copytree(begun, tmp_path / "first")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("last", [1, 5, 8, 11, 16])
def test_a_run_killed_after_any_step_ends_with_the_same_weights(tmp_path, uninterrupted, last):
    def kill(progress):
        if progress.step == last:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, save_every=0, report=kill)
    assert torch.equal(weights(run(tmp_path, resume=True)), weights(uninterrupted))
    with open(tmp_path / "log.csv") as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["1", "2"]


def test_a_run_repeats_with_its_seed_and_differs_with_another(tmp_path, uninterrupted):
    assert torch.equal(weights(run(tmp_path / "same")), weights(uninterrupted))
    other = run(tmp_path / "other", RECIPE.replace(seed=5))
    assert not torch.equal(weights(other), weights(uninterrupted))


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    run(tmp_path, RECIPE.replace(epochs=1))
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("network", "precision"),
    [
        ("vgg-small", "float32"),
        ("resnet18", "bfloat16"),
        pytest.param("vgg-small", "bfloat16", marks=pytest.mark.long),
        pytest.param("resnet18", "float32", marks=pytest.mark.long),
    ],
)
def test_a_small_network_learns_digits(tmp_path, network, precision):
    recipe = RECIPE.replace(network=network, precision=precision, epochs=4, width=0.1, learning_rate=0.01)
    losses = []
    card = train(recipe, tmp_path, train_set=TRAIN, test_set=TEST, report=lambda now: losses.append(now.loss))
    assert losses[-1] < 0.8 * losses[0]
    assert card.accuracy > 0.3  # chance is 0.1
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_folder_is_not_overwritten_unasked(first):
    with pytest.raises(BadInput, match="pass --resume"):
        run(first, RECIPE.replace(epochs=1))
    with pytest.raises(BadInput, match=r"another recipe \(epochs = 1, now 2\)"):
        run(first, RECIPE, resume=True)


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: data.replace(b"step", b"stop", 1)])
def test_a_damaged_state_is_refused(first, damage):
    (first / STATE).write_bytes(damage((first / STATE).read_bytes()))
    with pytest.raises(BadInput, match=r"state\.safetensors"):
        run(first, RECIPE.replace(epochs=1), resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("network.conv4.weight"), "missing.* conv4.weight"),
        (
            lambda tensors: tensors["network.conv4.weight"].fill_(float("nan")),
            "conv4.weight.* expected finite",
        ),
    ],
)
@pytest.mark.parametrize("resume", [True, False])
def test_a_state_whose_weights_do_not_fit_is_refused_by_name(tmp_path, first, change, message, resume):
    recipe = RECIPE.replace(epochs=1)
    path = first / STATE
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    change(tensors)
    del header["sha256"]
    save_file(tensors, path, sealed(tensors, header))
    again = (first, recipe) if resume else (tmp_path / "again", recipe.replace(begin=str(path)))
    with pytest.raises(BadInput, match=message):
        run(*again, resume=resume)


def test_wrong_requests_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(BadInput, match="'network' = 'alexnet'"):
        recipe_for("alexnet", "digits")
    with pytest.raises(BadInput, match="choose cpu, cuda or auto"):
        run(tmp_path / "run", device="tpu")
    with pytest.raises(BadInput, match="do not fill a batch"):
        run(tmp_path / "run", RECIPE.replace(batch=300))
    if not torch.cuda.is_available():
        with pytest.raises(MissingTool, match="no CUDA GPU"):
            run(tmp_path / "run", device="cuda")
    assert not (tmp_path / "run").exists()


def test_augmentation_shifts_whole_images_and_mirrors_only_if_told():
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, 10, 5] = 255
    found = set()
    for seed in range(200):
        moved = augment(image, RECIPE.replace(shift=1, flip=True), np.random.default_rng(seed))
        ((row, column),) = {(row, column) for _, row, column, _ in np.argwhere(moved)}
        found.add((row, column))
    assert found == {(row, column) for row in (9, 10, 11) for column in (4, 5, 6, 25, 26, 27)}
    still = augment(image, RECIPE.replace(shift=0, flip=False), np.random.default_rng(0))
    assert (still == image).all()


@pytest.mark.long
def test_kill_9_then_the_same_command_with_resume(tmp_path):
    command = [
        *(sys.executable, "-c", "from spicekit.cli.main import main; main()"),
        *("train", "--network", "vgg-small", "--width", "0.05", "--epochs", "2", "--threads", "1"),
        *("--out", str(tmp_path / "killed")),
    ]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / STATE).exists():
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / CHECKPOINT).exists()
    subprocess.run([*command, "--resume"], check=True, stdout=subprocess.DEVNULL)

    whole = [
        *command[:-1],
        str(tmp_path / "whole"),
    ]  # of one thread too: sums of two are others in the last bit
    subprocess.run(whole, check=True, stdout=subprocess.DEVNULL)
    a, b = (load_network(tmp_path / name / CHECKPOINT) for name in ("killed", "whole"))
    assert torch.equal(weights(a), weights(b))


STILL = RECIPE.replace(epochs=1, seed=5, learning_rate=1e-9)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A network of another seed, which learns nothing."""
    return run(tmp_path_factory.mktemp("fresh"), STILL)


@pytest.mark.parametrize(
    ("file", "renamed"),
    [(CHECKPOINT, CHECKPOINT), (CHECKPOINT, STATE), (STATE, STATE), (STATE, "good.state")],
)
def test_a_run_can_begin_with_the_weights_of_another(tmp_path, first, fresh, file, renamed):
    begun = load_network(first / CHECKPOINT)
    begin = str((first / file).rename(tmp_path / renamed))
    again = run(tmp_path / "again", STILL.replace(begin=begin))
    assert torch.equal(again.conv4.weight_bits(), begun.conv4.weight_bits())
    assert not torch.equal(fresh.conv4.weight_bits(), begun.conv4.weight_bits())
    other = STILL.replace(begin=begin, width=0.1)
    with pytest.raises(BadInput, match=renamed + r": is Architecture\(.*; this run trains "):
        run(tmp_path / "other", other)


def test_a_run_that_begins_with_a_state_goes_on_with_its_latent_weights(tmp_path, first):
    def latent(folder):
        return load_file(folder / STATE)["network.conv4.weight"]

    begin = str(first / STATE)
    run(tmp_path / "again", RECIPE.replace(begin=begin, epochs=1, learning_rate=1e-9))
    assert torch.allclose(latent(tmp_path / "again"), latent(first), atol=1e-6)
    assert len(latent(first).abs().unique()) > 1000  # no signs


def test_a_run_goes_on_where_the_weights_that_it_began_with_are_gone(tmp_path, first):
    begin = first / CHECKPOINT
    recipe = RECIPE.replace(begin=str(begin))
    whole = run(tmp_path / "whole", recipe)

    def kill(progress):
        if progress.step == 5:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "killed", recipe, save_every=0, report=kill)
    begin.unlink()
    assert torch.equal(weights(run(tmp_path / "killed", recipe, resume=True)), weights(whole))
    with pytest.raises(BadInput, match="no such checkpoint"):
        run(tmp_path / "again", recipe)
    assert not (tmp_path / "again" / STATE).exists()


@pytest.mark.parametrize(
    ("has", "options"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "--precision bfloat16 --threads 1"),
        ({"avx512_bf16": True}, "--precision bfloat16:"),
        ({}, "--precision float32"),
    ],
)
def test_the_options_that_train_fastest_follow_from_the_processor(
    monkeypatch: pytest.MonkeyPatch, has: dict[str, bool], options: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fastest_options().startswith(options)
