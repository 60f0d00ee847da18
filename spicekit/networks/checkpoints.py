"""Networks in files: binary weights as packed bits, the rest as float32, and a card that says what they are.

A checkpoint is one safetensors file (never a pickle). Its header carries the `Card`; a readable copy lies
beside it as Markdown.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from spicekit.config import parse
from spicekit.errors import BadInput
from spicekit.files import write_atomically
from spicekit.networks.card import Card, card_text
from spicekit.networks.data import check_name
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import Network, build

FOLDER = Path(__file__).resolve().parent / "checkpoints"
FORMAT = "spicekit-network-1"
_BITS = ".weight_bits"


def checkpoint_path(name: str, data: str) -> Path:
    """Where the checkpoint of a network that ships lies, for example of "vgg-small" on "digits"."""
    return FOLDER / f"{name}-{data}.safetensors"


def save_checkpoint(network: Network, path: Path, *, card: Card) -> None:
    """Write `path` (safetensors) and, beside it, the card as Markdown; each whole or not at all."""
    tensors = pack(network)
    header = {"format": FORMAT, "card": card.model_dump_json(), "content_sha256": content_digest(tensors)}
    content = save(tensors, header)
    write_atomically(path, content)
    write_atomically(path.with_suffix(".md"), card_text(card, sha256=hashlib.sha256(content).hexdigest()))


def load_network(name_or_path: str | Path, *, data: str = "digits") -> Network:
    """A trained network in evaluation mode, with its `card`.

    Parameters
    ----------
    name_or_path : str or path
        The name of a network that ships ("vgg-small", "resnet18"), or a checkpoint file.
    data : str
        For a name: what it was trained on.

    Raises
    ------
    BadInput
        If there is no such network or data set, or the file is damaged, no checkpoint, or of an unknown architecture.
    """
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        check_name(data)
        path = checkpoint_path(str(name_or_path), data)
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in FOLDER.glob("*.safetensors")))
        raise BadInput(
            f"load_network({str(name_or_path)!r}, data={data!r}): no such checkpoint; shipped are {shipped}, "
            f"or pass the path of a .safetensors file."
        )
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise BadInput(f"{path}: is no spicekit network: format {header.get('format')!r}, not {FORMAT!r}.")
    if header.get("content_sha256") != content_digest(tensors):
        raise BadInput(f"{path}: its tensors do not match their checksum; the file is damaged or was edited.")
    try:
        card = parse(Card, json.loads(header.get("card", "")), source=str(path))
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}: its card is not JSON ({error}).") from error
    network = build(card.architecture)
    unpack(network, tensors, source=str(path))
    network.card = card
    return network.eval()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file; `BadInput` if it is damaged or something else."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: is not a readable safetensors file ({error}).") from error


def pack(network: Network) -> dict[str, Tensor]:
    """Tensors to store: `NAME.weight_bits`, packed uint8, for each binary layer; all else as float32."""
    tensors = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    for name, layer in binary_layers(network).items():
        del tensors[f"{name}.weight"]
        tensors[name + _BITS] = torch.from_numpy(np.packbits(layer.weight_bits().cpu().numpy()))
    return {name: value.cpu().contiguous() for name, value in tensors.items()}


def unpack(network: Network, tensors: dict[str, Tensor], *, source: str) -> None:
    """Fill a network from packed tensors; `BadInput` names the tensor that is missing or does not fit."""
    _check(tensors, pack(network), source)
    state = {name: value for name, value in tensors.items() if not name.endswith(_BITS)}
    network.load_state_dict(
        state, strict=False
    )  # the rest: packed weights, and counts of batches that norms have seen
    for name, layer in binary_layers(network).items():
        shape = layer.weight_bits().shape
        bits = np.unpackbits(tensors[name + _BITS].numpy(), count=shape.numel())
        layer.set_weight_bits(torch.from_numpy(bits).reshape(shape))


def fill(network: Network, tensors: dict[str, Tensor], *, source: str) -> None:
    """Give a network its whole state, latent weights too; `BadInput` names a tensor that is missing or does not fit."""
    _check(tensors, network.state_dict(), source)
    network.load_state_dict(tensors)


def _check(tensors: dict[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    if fault := expected.keys() ^ tensors.keys():
        raise BadInput(f"{source}: missing, or unknown to this architecture: {', '.join(sorted(fault))}.")
    for name, value in tensors.items():
        want = expected[name]
        if value.shape != want.shape or value.dtype != want.dtype or not torch.isfinite(value).all():
            raise BadInput(
                f"{source}: {name} is {value.dtype} shaped {tuple(value.shape)}; "
                f"expected finite {want.dtype} shaped {tuple(want.shape)}."
            )


def content_digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tensors[name].dtype}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
