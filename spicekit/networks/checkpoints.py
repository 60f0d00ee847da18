"""Networks in files, as long as these bring no code: checkpoints of our own, and what others export to ONNX.

A checkpoint is one safetensors file (never a pickle): binary weights as packed bits, the rest as float32. Its header
carries the `Card`, which says what they are; a readable copy lies beside it as Markdown.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from spicekit.config import parse
from spicekit.errors import BadInput, no_such
from spicekit.files import open_file, parse_json, write_atomically
from spicekit.networks.adopt import Survey, adopt, adopt_and_survey
from spicekit.networks.data import check_name
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import Card, Network, build
from spicekit.networks.onnx_file import OnnxNetwork, read_onnx

FOLDER = Path(__file__).resolve().parent / "checkpoints"
FORMAT = "spicekit-network-2"
"""1 had a checksum over the tensors alone."""
_PICKLES = (".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".bin", ".tar")
_KERAS = (".h5", ".hdf5", ".keras", ".pb", ".tflite")
_IMAGES = 4  # random ones, that show which layers are binary
_LONGEST_HEADER = 1 << 20  # bytes; a card has a few thousand
_TYPES = (torch.float32, torch.uint8, torch.int64)
_BITS = ".weight_bits"


def checkpoint_path(name: str, data: str) -> Path:
    """Where the checkpoint of a network that ships lies, for example of "vgg-small" on "digits"."""
    return FOLDER / f"{name}-{data}.safetensors"


def save_checkpoint(network: Network, path: Path, *, card: Card) -> None:
    """Write `path` (safetensors) and, beside it, the card as Markdown; each whole or not at all."""
    tensors = pack(network)
    content = save(tensors, sealed(tensors, {"format": FORMAT, "card": card.model_dump_json()}))
    write_atomically(path, content)
    write_atomically(path.with_suffix(".md"), card_text(card, sha256=hashlib.sha256(content).hexdigest()))


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
        raise BadInput(f"{path}: is Keras' or TensorFlow's; export it: python -m tf2onnx.convert --output net.onnx ...")
    if path.suffix == ".onnx":
        if not path.is_file():
            raise BadInput(f"{path}: there is no such file; pass the path of an .onnx file.")
        network = read_onnx(path)
        batch, *sides = network.shape
        if None in sides:
            raise BadInput(f"{path}: does not say how large its inputs are; export it for images of one size.")
        return network, _random(batch or _IMAGES, *filter(None, sides))
    shipped = read_checkpoint(name_or_path, data=data)
    return shipped, _random(1, shipped.architecture.channels, 32, 32)


def _random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def read_checkpoint(name_or_path: str | Path, *, data: str = "digits") -> Network:
    """A trained network with its `card`: one that ships, by its name and data, or a checkpoint file.

    `BadInput` if there is no such network or data set, or the file is damaged, no checkpoint, or of an unknown
    architecture.
    """
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        check_name(data)
        path = checkpoint_path(str(name_or_path), data)
        if not path.is_file():
            shipped = sorted(file.stem.removesuffix(f"-{data}") for file in FOLDER.glob(f"*-{data}.safetensors"))
            also = "a checkpoint file (.safetensors)"
            if not shipped:
                raise BadInput(f"{name_or_path}: no network that ships was trained on {data}; pass {also}.")
            raise no_such(f"network trained on {data}:", str(name_or_path), shipped, also=also)
    if not path.is_file():
        raise BadInput(f"{path}: there is no such checkpoint; pass the path of a .safetensors file, or a name.")
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise BadInput(f"{path}: is no spicekit network: format {header.get('format')!r}, not {FORMAT!r}.")
    try:
        require_sealed(tensors, header)
    except ValueError as error:
        raise BadInput(f"{path}: {error}; the file is damaged or was edited.") from error
    card = parse(Card, parse_json(header.get("card", ""), source=f"{path}, card"), source=str(path))
    network = build(card.architecture)
    unpack(network, tensors, source=str(path))
    network.card = card
    return network.eval()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file; `BadInput` if it is damaged or something else."""
    with open_file(path) as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEADER:
        raise BadInput(f"{path}: is not a readable safetensors file (a header of {length:,} bytes).")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
            header = file.metadata() or {}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise BadInput(f"{path}: is not a readable safetensors file ({error}).") from error
    for name, value in tensors.items():
        if value.dtype not in _TYPES:
            raise BadInput(f"{path}: {name} is {value.dtype}; expected one of {', '.join(map(str, _TYPES))}.")
    return tensors, header


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
    network.load_state_dict(state, strict=False)  # the rest: packed weights, and counts of batches that norms have seen
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


def sealed(tensors: dict[str, Tensor], header: dict[str, str]) -> dict[str, str]:
    """The header with a checksum, SHA-256, over itself and the tensors."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name}{tensors[name].dtype}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return {**header, "sha256": digest.hexdigest()}


def require_sealed(tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """`ValueError` if tensors or header are not those that were sealed."""
    if header != sealed(tensors, {name: text for name, text in header.items() if name != "sha256"}):
        raise ValueError("its content does not match its checksum")


def card_text(card: Card, *, sha256: str) -> str:
    """The card as Markdown for people; `sha256` is that of the checkpoint file."""
    kind = card.architecture
    rows: dict[str, object] = {
        "network": f"{kind.name}, width {kind.width:g}, {kind.bits}-bit",
        "inputs and outputs": f"{kind.channels} x 32 x 32 pixels, {kind.classes} classes",
        "data": f"{card.data}: {card.train_images:,} images to train, {card.test_images:,} to test",
        "source of the data": card.source,
        "accuracy (test images)": f"{card.accuracy:.2%}",
        **{f"recipe: {key}": value for key, value in card.recipe.items()},
        **card.made_by,
        "train split SHA-256": card.train_sha256,
        "test split SHA-256": card.test_sha256,
        "checkpoint SHA-256": sha256,
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return (
        f"# {kind.name} on {card.data}\n\n"
        f"All convolutions but the first have {_PRECISION[kind.bits]}; the first, the\n"
        "batch norms and the classifier are float32. Inputs are pixels from 0 to 1; the network normalises\n"
        "them itself.\n\n"
        f"| | |\n|---|---|\n{table}\n"
    )


_PRECISION = {
    1: "binary weights and inputs, and pad with -1",
    4: "weights from -8 to 7, inputs from 0 to 15, and pad with 0",
}
