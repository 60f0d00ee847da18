"""Running a network over a data set."""

import torch
from torch import Tensor, nn

from spicekit.networks.data import Dataset, network_inputs


@torch.inference_mode()
def predict_logits(network: nn.Module, dataset: Dataset, *, batch: int = 64) -> Tensor:
    """Logits (n, classes) float32 of every image, in evaluation mode, on the processor of the network."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    try:
        logits = [
            network(network_inputs(dataset.images[start : start + batch]).to(device)).float().cpu()
            for start in range(0, len(dataset), batch)
        ]
    finally:
        network.train(was_training)
    return torch.cat(logits)


def accuracy(network: nn.Module, dataset: Dataset) -> float:
    """Fraction of the images whose largest logit is the one of their label."""
    predicted = predict_logits(network, dataset).argmax(1)
    return float((predicted == torch.from_numpy(dataset.labels)).float().mean())
