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


def count_right(logits: Tensor, labels: Tensor) -> int:
    """Images of which the largest of the logits (n, classes) is the one of their label (n,)."""
    return int((logits.argmax(1) == labels).sum())


def accuracy(logits: Tensor, dataset: Dataset) -> float:
    """Fraction of the images that are classified rightly, of their logits (n, classes)."""
    return count_right(logits, torch.from_numpy(dataset.labels)) / len(dataset)
