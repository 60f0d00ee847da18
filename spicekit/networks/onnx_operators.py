"""What ONNX's operators, and QONNX's for few bits, compute: a table from name to function of torch.

After https://onnx.ai/onnx/operators and https://github.com/fastmachinelearning/qonnx/tree/main/docs. A function takes a
node's inputs, None where one is left out, and its attributes.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Function = Callable[..., Any]

LARGEST = 1 << 28
"""Values of a tensor whose shape a file states: 1 GiB in single precision. Assumed: no layer of a network has more."""


def _pads(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    options: dict[str, Any],
) -> list[int]:
    """Before and after each axis, the last one first, as torch wants them."""
    axes, mode = len(kernel), options.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        given = options.get("pads") or [0] * 2 * axes
        pairs = list(zip(given[:axes], given[axes:], strict=True))
    elif mode == "VALID":
        pairs = [(0, 0)] * axes
    else:
        pairs = []
        for side, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
            total = max((-(-side // stride) - 1) * stride + (k - 1) * dilation + 1 - side, 0)
            less = total // 2
            pairs.append((less, total - less) if mode == "SAME_UPPER" else (total - less, less))
    return [side for pair in reversed(pairs) for side in pair]


def _conv(x: Tensor, w: Tensor, b: Tensor | None = None, *, group: int = 1, **options: Any) -> Tensor:
    axes = w.ndim - 2
    strides, dilations = (options.get(key) or [1] * axes for key in ("strides", "dilations"))
    pads = _pads(x, tuple(w.shape[2:]), strides, dilations, options)
    before, after = pads[::2][::-1], pads[1::2][::-1]
    if before != after:
        x, before = functional.pad(x, pads), [0] * axes
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[axes - 1]
    return convolve(x, w, b, strides, before, dilations, group)


def _conv_transpose(x: Tensor, w: Tensor, b: Tensor | None = None, *, group: int = 1, **options: Any) -> Tensor:
    axes = w.ndim - 2
    strides, dilations = (options.get(key) or [1] * axes for key in ("strides", "dilations"))
    extra, pads = options.get("output_padding") or [0] * axes, options.get("pads") or [0] * 2 * axes
    if pads[:axes] != pads[axes:] or options.get("output_shape") or options.get("auto_pad", "NOTSET") != "NOTSET":
        raise ValueError("transposed convolutions need symmetric pads")
    convolve = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)[axes - 1]
    return convolve(x, w, b, strides, pads[:axes], extra, group, dilations)


def _gemm(a: Tensor, b: Tensor, c: Tensor | None = None, **options: Any) -> Tensor:
    a = a.T if options.get("transA", 0) else a
    out: Tensor = options.get("alpha", 1.0) * functional.linear(a, b if options.get("transB", 0) else b.T)
    return out if c is None else out + options.get("beta", 1.0) * c


def _batch_norm(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, **options: Any) -> Tensor:
    if options.get("training_mode", 0):
        raise ValueError("it is in training mode; export the network in evaluation mode")
    return functional.batch_norm(x, mean, variance, scale, bias, eps=options.get("epsilon", 1e-5))


def _max_pool(x: Tensor, *, kernel_shape: Sequence[int], ceil_mode: int = 0, **options: Any) -> Tensor:
    strides, dilations = (options.get(key) or [1] * len(kernel_shape) for key in ("strides", "dilations"))
    pads = _pads(x, kernel_shape, strides, dilations, options)
    x = functional.pad(x, pads, value=float("-inf")) if any(pads) else x
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[len(kernel_shape) - 1]
    return pool(x, list(kernel_shape), strides, 0, dilations, bool(ceil_mode))


def _average_pool(x: Tensor, *, kernel_shape: Sequence[int], **options: Any) -> Tensor:
    axes = len(kernel_shape)
    strides = options.get("strides") or [1] * axes
    pads = _pads(x, kernel_shape, strides, [1] * axes, options)
    if options.get("ceil_mode", 0):
        raise ValueError("ceil_mode is not supported")
    pool: Any = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[axes - 1]
    sums = pool(functional.pad(x, pads), list(kernel_shape), strides)
    if options.get("count_include_pad", 0) or not any(pads):
        return sums  # type: ignore[no-any-return]
    return sums / pool(functional.pad(torch.ones_like(x), pads), list(kernel_shape), strides)  # type: ignore[no-any-return]


def _pad(x: Tensor, pads: Any = None, value: Any = None, axes: Any = None, *, mode: str = "constant") -> Tensor:
    given = _whole(pads) or [0] * 2 * x.ndim
    which = list(range(x.ndim)) if axes is None else [int(axis) % x.ndim for axis in axes]
    pairs = [(0, 0)] * x.ndim
    for place, axis in enumerate(which):
        pairs[axis] = given[place], given[place + len(which)]
    level = 0.0 if value is None or (isinstance(value, Tensor) and not value.numel()) else float(value)
    mode = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    if mode != "constant":  # torch pads the inner axes alone
        while pairs and pairs[0] == (0, 0) and len(pairs) > max(1, x.ndim - 2):
            pairs.pop(0)
    flat = [side for pair in reversed(pairs) for side in pair]
    return functional.pad(x, flat, mode, level) if mode == "constant" else functional.pad(x, flat, mode)


def _reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    return x.reshape([x.shape[at] if side == 0 and not allowzero else side for at, side in enumerate(shape.tolist())])


def _whole(values: Any) -> list[int] | None:
    """Of an input of later versions, or an attribute of earlier ones."""
    return None if values is None else [int(value) for value in values]


def _squeeze(x: Tensor, axes: Any = None) -> Tensor:
    found = _whole(axes)
    return x.squeeze() if found is None else x.squeeze(tuple(found))


def _unsqueeze(x: Tensor, axes: Any = None) -> Tensor:
    for axis in sorted(_whole(axes) or []):
        x = x.unsqueeze(axis)
    return x


def _reduce(reduce: Callable[..., Tensor]) -> Function:
    def apply(x: Tensor, axes: Any = None, *, keepdims: int = 1, **_options: Any) -> Tensor:
        found = _whole(axes) or list(range(x.ndim))
        return reduce(x, dim=found, keepdim=bool(keepdims))

    return apply


def _slice(x: Tensor, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Tensor:
    begin, end = _whole(starts) or [], _whole(ends) or []
    which = _whole(axes) or list(range(len(begin)))
    cut = [slice(None)] * x.ndim
    for place, axis in enumerate(which):
        step = 1 if steps is None else int(steps[place])
        if step < 1:
            raise ValueError("steps backwards are not supported")
        cut[axis] = slice(begin[place], end[place], step)
    return x[tuple(cut)]


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None, **options: Any) -> Tensor:
    low, high = options.get("min", low), options.get("max", high)
    return x if low is None and high is None else torch.clamp(x, low, high)


def _split(x: Tensor, sizes: Tensor | None = None, *, axis: int = 0, **options: Any) -> tuple[Tensor, ...]:
    given = options.get("split") if sizes is None else sizes.tolist()
    if given is None:
        count = options.get("num_outputs")
        if not count or x.shape[axis] % count:
            raise ValueError("parts of unknown size")
        given = [x.shape[axis] // count] * count
    parts: tuple[Tensor, ...] = torch.split(x, given, axis)
    return parts


_TYPES = {
    1: torch.float32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
}


def _constant(**options: Any) -> Tensor:
    value = next(iter(options.values()))
    return value if isinstance(value, Tensor) else torch.tensor(value)


def _sides(shape: Tensor) -> list[int]:
    sides = list(map(int, shape.tolist()))
    if math.prod(sides) > LARGEST:
        raise ValueError(f"a tensor of {' x '.join(map(str, sides))} values is more than {LARGEST:,}")
    return sides


def _constant_of_shape(shape: Tensor, *, value: Tensor | None = None) -> Tensor:
    value = torch.zeros(1) if value is None else value
    return value.reshape(1).to(shape.device).expand(_sides(shape)).clone()


def _bipolar(x: Tensor, scale: Tensor) -> Tensor:
    """QONNX BipolarQuant: +scale where x >= 0, else -scale."""
    return torch.where(x >= 0, scale, -scale)


def _quant(x: Tensor, scale: Tensor, zero: Tensor, bits: Tensor, **options: Any) -> Tensor:
    """QONNX Quant: a uniform grid."""
    signed, width = options.get("signed", 1), float(bits)
    low = -(2.0 ** (width - 1)) + options.get("narrow", 0) if signed else 0.0
    high = 2.0 ** (width - 1) - 1 if signed else 2.0**width - 1 - options.get("narrow", 0)
    rounds = {"ROUND": torch.round, "CEIL": torch.ceil, "FLOOR": torch.floor, "ROUND_TO_ZERO": torch.trunc}
    rounded = rounds[options.get("rounding_mode", "ROUND")]((x / scale + zero).clamp(low, high))
    return (rounded - zero) * scale


def _multi_threshold(x: Tensor, thresholds: Tensor, **options: Any) -> Tensor:
    """QONNX MultiThreshold: how many of its channel's thresholds a value reaches, scaled."""
    channel = 1 if options.get("data_layout", "NCHW")[1] == "C" else -1
    moved = x.movedim(channel, -1)[..., None] >= thresholds
    counts = moved.sum(-1).to(x.dtype).movedim(-1, channel)
    levels: Tensor = options.get("out_scale", 1.0) * counts + options.get("out_bias", 0.0)
    return levels


_AS_IN_TORCH = (
    *("Abs", "Add", "Ceil", "Div", "Exp", "Floor", "IsNaN", "MatMul", "Mul"),
    *("Neg", "Pow", "Relu", "Round", "Sigmoid", "Sign", "Sqrt", "Sub", "Tanh"),
)
OPERATORS: dict[str, Function] = {
    **{name: getattr(torch, name.lower()) for name in _AS_IN_TORCH},
    **{name: getattr(torch, f"logical_{name.lower()}") for name in ("And", "Not", "Or")},
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "BipolarQuant": _bipolar,
    "Cast": lambda x, *, to, **_: x.to(_TYPES[to]),
    "Clip": _clip,
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Dropout": lambda x, *_, **__: x,
    "Equal": torch.eq,
    "Expand": lambda x, shape: x.expand(np.broadcast_shapes(tuple(x.shape), tuple(_sides(shape)))),
    "Flatten": lambda x, *, axis=1: x.reshape(int(torch.tensor(x.shape[:axis]).prod()), -1),
    "Gather": lambda x, index, *, axis=0: x.index_select(axis, index.reshape(-1)).reshape(
        *x.shape[:axis], *index.shape, *x.shape[axis % x.ndim + 1 :]
    ),
    "GatherElements": lambda x, index, *, axis=0: x.gather(axis, index),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda x: x.amax(tuple(range(2, x.ndim)), keepdim=True),
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "HardSigmoid": lambda x, *, alpha=0.2, beta=0.5: (alpha * x + beta).clamp(0, 1),
    "Identity": lambda x: x,
    "LeakyRelu": lambda x, *, alpha=0.01: functional.leaky_relu(x, alpha),
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "LogSoftmax": lambda x, *, axis=-1: functional.log_softmax(x, axis),
    "Max": lambda *values: functools.reduce(torch.maximum, values),
    "MaxPool": _max_pool,
    "Min": lambda *values: functools.reduce(torch.minimum, values),
    "MultiThreshold": _multi_threshold,
    "PRelu": lambda x, slope: torch.where(x < 0, x * slope, x),
    "Pad": _pad,
    "Quant": _quant,
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Reshape": _reshape,
    "Shape": lambda x, **_: torch.tensor(x.shape),
    "Slice": _slice,
    "Softmax": lambda x, *, axis=-1: functional.softmax(x, axis),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sum": lambda x, *others: x + sum(others),
    "TopK": lambda x, k, *, axis=-1, largest=1, sorted=1: tuple(
        torch.topk(x, int(k), axis, bool(largest), bool(sorted))
    ),
    "Transpose": lambda x, *, perm=None: x.permute(perm or tuple(reversed(range(x.ndim)))),
    "Unsqueeze": _unsqueeze,
    "Where": torch.where,
}
