"""Networks from whatever file they lie in, as long as it brings no code."""

from pathlib import Path

import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks import checkpoints
from spicekit.networks.adopt import Survey, adopt, adopt_and_survey
from spicekit.networks.models import Network
from spicekit.networks.onnx_file import OnnxNetwork, read_onnx

_PICKLES = (".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".bin", ".tar")
_KERAS = (".h5", ".hdf5", ".keras", ".pb", ".tflite")
_IMAGES = 4  # random ones, that show which layers are binary


def load_network(name_or_path: str | Path, *, data: str = "digits") -> nn.Module:
    """A network in evaluation mode, its binary layers ready for tiles.

    Parameters
    ----------
    name_or_path : str or path
        The name of a network that ships, a checkpoint (.safetensors) or an ONNX file; binary layers of the latter are
        found on random images.
    data : str
        For a name: what it was trained on.

    Raises
    ------
    BadInput
        If there is no such network, the file brings code or cannot be read, or no layer is binary.

    Examples
    --------
    >>> load_network("vgg-small-quarter").conv3.out_channels
    64
    """
    network, example = _read(name_or_path, data)
    return adopt(network, example) if isinstance(network, OnnxNetwork) else network


def read_and_survey(name_or_path: str | Path, *, data: str = "digits") -> tuple[nn.Module, Survey]:
    """As `load_network`, with the table of what goes on tiles and what stays digital, and why."""
    network, example = _read(name_or_path, data)
    adopted, survey = adopt_and_survey(network, example)
    return (adopted if isinstance(network, OnnxNetwork) else network), survey


def _read(name_or_path: str | Path, data: str) -> tuple[Network | OnnxNetwork, Tensor]:
    """A network as it lies in its file, and random images of the kind that it takes."""
    path = Path(name_or_path)
    if path.suffix in _PICKLES:
        raise BadInput(
            f"{path}: is a pickle, which may run any code when it is read; load it in Python yourself and pass the "
            f"module to adopt(), or export it: torch.onnx.export(network.eval(), (images,), 'net.onnx', "
            f"external_data=False)."
        )
    if path.suffix in _KERAS:
        raise BadInput(
            f"{path}: is Keras' or TensorFlow's; export it: python -m tf2onnx.convert --output net.onnx ..."
        )
    if path.suffix == ".onnx":
        if not path.is_file():
            raise BadInput(f"{path}: there is no such file; pass the path of an .onnx file.")
        network = read_onnx(path)
        batch, *sides = network.shape
        if None in sides:
            raise BadInput(
                f"{path}: does not say how large its inputs are; export it for images of one size."
            )
        return network, _random(batch or _IMAGES, *filter(None, sides))
    shipped = checkpoints.load_network(name_or_path, data=data)
    return shipped, _random(1, shipped.architecture.channels, 32, 32)


def _random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))
