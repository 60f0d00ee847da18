"""Networks in ONNX files, QONNX's operators for few bits included: a table from operator to function of torch.

A file brings numbers and names, no code. Each node becomes a module under its name, so that layers are found, and
reported, by the names that the exporter gave.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks.onnx_operators import OPERATORS


class OnnxNetwork(nn.Module):
    """The graph of an ONNX file."""

    def __init__(
        self,
        nodes: Sequence[tuple[str, "Operator", list[str], list[str]]],
        constants: dict[str, Tensor],
        *,
        takes: str,
        gives: str,
        shape: tuple[int | None, ...],
    ) -> None:
        super().__init__()
        self.takes, self.gives, self.shape = takes, gives, shape
        self.wiring = []
        """Module, inputs and outputs of each node, in order."""
        for name, operator, inputs, outputs in nodes:
            own = _free(name or operator.kind, vars(self)["_modules"])
            self.add_module(own, operator)
            self.wiring.append((own, inputs, outputs))
        self.constants = {}
        """Name of the buffer of each constant."""
        for name, value in constants.items():
            self.constants[name] = _free(name, {**vars(self)["_modules"], **vars(self)["_buffers"]})
            self.register_buffer(self.constants[name], value)

    def forward(self, images: Tensor) -> Tensor:
        """The first output, of images (n, c, h, w), or of what else the file declares."""
        batch, inner = self.shape[0], self.shape[1:]
        if len(inner) == images.ndim - 1 == 3 and inner != images.shape[1:] and _fits(inner, images.movedim(1, -1)):
            images = images.movedim(1, -1)  # as Keras has them
        if not _fits(inner, images):
            raise BadInput(
                f"the network takes (n, {', '.join(str(side or 'any') for side in inner)}), "
                f"got {tuple(images.shape)}; pass images of that size."
            )
        if batch is None or batch == len(images):
            return self._run(images)
        if len(images) % batch:
            raise BadInput(f"the network was exported for batches of {batch}; export it with a free batch size.")
        return torch.cat([self._run(images[at : at + batch]) for at in range(0, len(images), batch)])

    def _run(self, images: Tensor) -> Tensor:
        values: dict[str, Any] = {name: getattr(self, buffer) for name, buffer in self.constants.items()}
        values |= {"": None, self.takes: images}
        try:
            for name, inputs, outputs in self.wiring:
                results = self.get_submodule(name)(*(values[each] for each in inputs))
                given = results if isinstance(results, tuple) else (results,)
                values.update(zip(outputs, given, strict=False))
            result: Tensor = values[self.gives]
        except KeyError as error:
            raise BadInput(f"the network: {error} is an output that its operator does not give.") from error
        return result


class Operator(nn.Module):
    """One node."""

    def __init__(self, kind: str, where: str, attributes: dict[str, Any]) -> None:
        super().__init__()
        self.kind, self.where, self.attributes = kind, where, attributes

    def forward(self, *inputs: Any) -> Any:
        """What the operator makes of its inputs."""
        try:
            return OPERATORS[self.kind](*inputs, **self.attributes)
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{self.where}: cannot be computed as it stands ({error}).") from error

    def extra_repr(self) -> str:
        """What `print(network)` shows."""
        return ", ".join([self.kind, *(f"{key}={value}" for key, value in self.attributes.items())])


def read_onnx(path: Path) -> OnnxNetwork:
    """The network in a file, in evaluation mode.

    Raises
    ------
    BadInput
        If it is no ONNX file, refers to other files, has several inputs, or a node whose operator is not known.
    ImportError
        Without the package `onnx`.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
        graph = model.graph
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
            raise BadInput(
                f"{path}: keeps tensors in other files; save it as one (below 2 GB): "
                f"torch.onnx.export(..., external_data=False), or onnx.save."
            )
        constants = {each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy()) for each in graph.initializer}
        nodes = []
        for place, node in enumerate(graph.node):
            where = f"{path}: node {node.name or place} ({node.op_type})"
            attributes = {each.name: _attribute(each, where) for each in node.attribute if each.name != "domain"}
            operator = Operator(node.op_type, where, attributes)
            nodes.append((node.name, operator, list(node.input), list(node.output)))
        ends = [each.name for each in (*graph.input, *graph.output, *graph.initializer)]
        names = [*ends, *(text for name, one, ins, outs in nodes for text in (name, one.kind, *ins, *outs))]
        if odd := next((name for name in names if not isinstance(name, str)), None):
            raise ValueError(f"{odd!r} is no name in UTF-8")
    except BadInput:
        raise
    except Exception as error:  # protobuf and onnx fail in many ways on damaged files
        raise BadInput(f"{path}: is no readable ONNX file ({error}).") from error
    if unknown := [operator for _, operator, _, _ in nodes if operator.kind not in OPERATORS]:
        others = sorted({operator.kind for operator in unknown} - {unknown[0].kind})
        also = f", nor are {', '.join(others)}" if others else ""
        raise BadInput(
            f"{unknown[0].where}: this operator is not known{also}; known are {', '.join(sorted(OPERATORS))}."
        )
    free = [each for each in graph.input if each.name not in constants]
    if len(free) != 1 or not graph.output:
        raise BadInput(f"{path}: has {len(free)} inputs and {len(graph.output)} outputs; one of each is needed.")
    sides = tuple(side.dim_value or None for side in free[0].type.tensor_type.shape.dim)
    known, gives = {"", free[0].name, *constants}, graph.output[0].name
    for _, operator, inputs, outputs in nodes:
        if gone := set(inputs) - known:
            raise BadInput(f"{operator.where}: no node before it gives its input {sorted(gone)[0]!r}.")
        known.update(outputs)
    if gives not in known:
        raise BadInput(f"{path}: no node gives its output {gives!r}.")
    return OnnxNetwork(nodes, constants, takes=free[0].name, gives=gives, shape=sides or (None,)).eval()


def _fits(declared: tuple[int | None, ...], images: Tensor) -> bool:
    return len(declared) == images.ndim - 1 and all(
        side in (None, own) for side, own in zip(declared, images.shape[1:], strict=True)
    )


def _free(name: str, taken: dict[str, Any]) -> str:
    """A name that a module may have, like the given one and not taken."""
    own = re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_") or "node"
    if own in taken or hasattr(nn.Module, own) or own in ("takes", "gives", "shape", "wiring", "constants"):
        own = next(f"{own}_{place}" for place in range(1, len(taken) + 2) if f"{own}_{place}" not in taken)
    return own


def _attribute(attribute: Any, where: str) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return torch.from_numpy(onnx.numpy_helper.to_array(value).copy())
    if isinstance(value, onnx.GraphProto | onnx.SparseTensorProto):
        raise BadInput(f"{where}: holds a graph or a sparse tensor, which is not supported.")
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
