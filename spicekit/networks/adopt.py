"""A user's own network made fit for tiles: its binary convolutions become the project's, and are checked."""

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks.layers import BinaryConv2d, binary_layers

# Relative to the largest output: in float32 scaling an integer rounds otherwise than adding scaled signs.
_TOLERANCE = 1e-4


def adopt(network: nn.Module, inputs: Tensor, *, binary: Sequence[str] = ()) -> nn.Module:
    """A copy of a network, in evaluation mode, whose binary layers run on tiles; checked on a batch.

    Parameters
    ----------
    network : nn.Module
        With `BinaryConv2d` layers already, or with ordinary ones.
    inputs : Tensor
        A batch that the network takes.
    binary : sequence of names
        The `nn.Conv2d` layers to replace, by their dotted names. Each one's weights are -s or +s, one s for
        each output channel; its inputs are -1 or +1; it does not pad. Scales and bias stay digital.

    Raises
    ------
    BadInput
        Names the first layer that is not binary, or whose output on the batch differs after the replacement.
    """
    before = copy.deepcopy(network).eval()
    after = copy.deepcopy(network).eval()
    for name in binary:
        after.set_submodule(name, _replacement(name, _layer(after, name)))
    check_binary(after)
    outputs = _outputs(before, inputs, binary, check=True)
    for name, got in _outputs(after, inputs, binary, check=False).items():
        want = outputs[name]
        if got.shape != want.shape or (got - want).abs().max() > _TOLERANCE * want.abs().max():
            raise BadInput(f"adopt: layer {name or 'output'} gives other values once it is binary.")
    return after


def check_binary(network: nn.Module) -> None:
    """`BadInput` unless a network has binary layers, each of them with finite weights."""
    layers = binary_layers(network)
    if not layers:
        raise BadInput(
            "check_binary: the network has no BinaryConv2d; build it of them, or name its layers to adopt()."
        )
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise BadInput(f"check_binary: layer {name} has weights that are not finite; train it anew.")


def _layer(network: nn.Module, name: str) -> nn.Conv2d:
    """The named layer, if an array of cells can compute its shape of convolution."""
    try:
        layer = network.get_submodule(name)
    except AttributeError as error:
        raise BadInput(f"adopt: the network has no layer {name!r}.") from error
    if not isinstance(layer, nn.Conv2d):
        raise BadInput(f"adopt: layer {name} is a {type(layer).__name__}; only Conv2d can be made binary.")
    square = all(len(set(pair)) == 1 for pair in (layer.kernel_size, layer.stride))
    if not square or layer.groups != 1 or set(layer.dilation) != {1}:
        raise BadInput(
            f"adopt: layer {name} must have a square kernel, one group and no dilation; got {layer}."
        )
    if layer.padding not in ((0, 0), "valid"):
        raise BadInput(
            f"adopt: layer {name} pads with zeros, which are neither -1 nor +1; pad with -1 before it "
            f"(nn.ConstantPad2d) and retrain, or use BinaryConv2d."
        )
    return layer


def _replacement(name: str, layer: nn.Conv2d) -> nn.Module:
    """The same convolution of signs, followed by its scale and bias where it has them."""
    weight = layer.weight.detach()
    scale = weight.abs().amax(dim=(1, 2, 3))
    odd = (weight.abs() != scale[:, None, None, None]) | (weight == 0)
    if odd.any():
        raise BadInput(
            f"adopt: layer {name} is not binary: {int(odd.sum())} of {weight.numel()} weights are neither -s "
            f"nor +s of their output channel; binarise them as the layer did in training."
        )
    convolution = BinaryConv2d(
        layer.in_channels,
        layer.out_channels,
        kernel_size=layer.kernel_size[0],
        stride=layer.stride[0],
        padding=0,
    )
    convolution.weight.data = torch.sign(weight)
    if layer.bias is None and (scale == 1).all():
        return convolution.eval()
    return nn.Sequential(OrderedDict(binary=convolution, digital=_ScaleAndBias(scale, layer.bias))).eval()


class _ScaleAndBias(nn.Module):
    """One factor and one summand for each channel."""

    def __init__(self, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale)
        self.bias = nn.Parameter(torch.zeros_like(scale) if bias is None else bias.detach().clone())

    def forward(self, dots: Tensor) -> Tensor:
        return dots * self.scale[:, None, None] + self.bias[:, None, None]


@torch.no_grad()
def _outputs(network: nn.Module, inputs: Tensor, names: Sequence[str], *, check: bool) -> dict[str, Tensor]:
    """What the named layers, in the order of their calls, and the network (as "") give on a batch."""
    outputs: dict[str, Tensor] = {}

    def watch(name: str) -> None:
        def hook(_layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            if check and not (arguments[0].abs() == 1).all():
                raise BadInput(
                    f"adopt: layer {name} gets inputs other than -1 and +1; take their sign, sign(0) = +1."
                )
            outputs[name] = output

        handles.append(network.get_submodule(name).register_forward_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in names:
        watch(name)
    outputs[""] = network(inputs)
    for handle in handles:
        handle.remove()
    return outputs
