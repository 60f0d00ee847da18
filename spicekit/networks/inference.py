"""Running a network over a data set."""

import copy
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numba
import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks.data import Dataset, network_inputs
from spicekit.networks.models import Network

BATCH = 64
"""Images at a time: bounds memory."""


@torch.inference_mode()
def predict_logits(
    network: nn.Module,
    dataset: Dataset,
    *,
    batch: int = BATCH,
    batch_per_thread: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Logits (n, classes) float32 of every image, in evaluation mode, on the processor of the network.

    `report` gets the images done and their number. `BadInput` if the network does not take such images, or gives no
    logits, or NaN, of which a class would be made all the same.
    `batch` is the most images at a time. With `batch_per_thread` each thread runs batches of its own from end to end,
    on a copy of the network: for networks that do not care which batch comes first.
    """
    like = like_of(network)
    was_training, tf32 = network.training, torch.backends.cudnn.allow_tf32
    network.eval()
    try:
        if like.is_cuda:  # else convolutions keep ten bits of their inputs' mantissas
            torch.backends.cudnn.allow_tf32 = False
        logits: list[Tensor] = []
        report(0, len(dataset))

        @torch.inference_mode()
        def run(network: nn.Module, start: int) -> Tensor:
            inputs = network_inputs(dataset.part(slice(start, start + batch)))
            if isinstance(network, Network) and not (inputs.min() >= 0 and inputs.max() <= 1):
                raise BadInput(
                    f"{dataset.name}'s images go from {inputs.min():.3g} to {inputs.max():.3g} as the network gets "
                    f"them; this one takes 0 to 1 and normalises by itself: leave out mean and std, and scale floats."
                )
            return logits_of(network(inputs.to(like)), dataset.classes).float().cpu()

        threads = 1 if like.is_cuda or not batch_per_thread else min(torch.get_num_threads(), len(dataset))
        if threads > 1:  # as many images for each thread: else some wait for those with more
            turns = math.ceil(len(dataset) / (threads * batch))
            batch = math.ceil(len(dataset) / (threads * turns))
        starts = range(0, len(dataset), batch)
        with _threads(network, threads) as each:
            for found in each(run, starts):
                logits.append(found)
                report(min(len(logits) * batch, len(dataset)), len(dataset))
    except RuntimeError as error:
        shape = tuple(next(dataset.batches(1)).shape[1:])
        raise BadInput(
            f"the network does not take {dataset.name}'s inputs, (n, {', '.join(map(str, shape))}): {error}"
        ) from error
    finally:
        network.train(was_training)
        if like.is_cuda:
            torch.backends.cudnn.allow_tf32 = tf32
    whole = torch.cat(logits)
    if spoilt := int(whole.isnan().any(dim=1).sum()):
        raise BadInput(
            f"the network's logits are NaN for {spoilt} of {len(whole)} images; find what overflows or divides by 0."
        )
    return whole


@contextmanager
def _threads(network: nn.Module, count: int) -> Iterator[Callable[..., Iterator[Tensor]]]:
    """A `map` on so many threads, on which torch and compiled loops do not spread out.

    Each has a network of its own, but for its parameters: what else a forward pass may change, such as buffers, is not
    shared. Threads that share each layer wait for one another at each, and OpenMP's spin while others compute.
    """
    if count == 1:
        yield lambda run, starts: (run(network, start) for start in starts)
        return
    own, shared = threading.local(), {id(weight): weight for weight in network.parameters()}
    copies = [*(copy.deepcopy(network, dict(shared)) for _ in range(count - 1)), network]
    before = torch.get_num_threads()

    def begin() -> None:
        own.network = copies.pop()
        torch.set_num_threads(1)
        numba.set_num_threads(1)

    pool = ThreadPoolExecutor(count, initializer=begin)
    try:
        yield lambda run, starts: pool.map(lambda start: run(own.network, start), starts)
    finally:
        pool.shutdown(cancel_futures=True)  # whoever is interrupted waits for the batches begun, not for all
        torch.set_num_threads(before)  # of threads that begin later: this one's own is still what it was


def like_of(network: nn.Module) -> Tensor:
    """A tensor on the processor and of the type that a network computes with."""
    tensors = [*network.parameters(), *network.buffers()]
    return next((each for each in tensors if each.is_floating_point()), torch.zeros(()))


def logits_of(output: object, classes: Sequence[str]) -> Tensor:
    """The logits (n, classes) in what a network returns: a tensor, or the first of a tuple or list.

    `BadInput` if there are none, or more than classes that have names: labels would be places in another list. Where
    classes are only numbered, labels need not show all that a network tells apart.
    """
    first = output[0] if isinstance(output, tuple | list) and output else output
    first = getattr(first, "logits", first)
    if not isinstance(first, Tensor) or first.ndim != 2 or first.shape[1] < len(classes):
        got = f"shaped {tuple(first.shape)}" if isinstance(first, Tensor) else f"a {type(first).__name__}"
        raise BadInput(
            f"the network's output is {got}; it must be logits (n, {len(classes)}), or a tuple that begins with them."
        )
    if first.shape[1] > len(classes) and not numbered(classes):
        raise BadInput(
            f"the network tells {first.shape[1]} classes apart and the images have {len(classes)}, {classes[0]!r} to "
            f"{classes[-1]!r}; name all of the network's, in its order, so that labels mean its outputs."
        )
    return first


def numbered(classes: Sequence[str]) -> bool:
    """Whether classes have no names but their numbers.

    >>> numbered(("0", "1")), numbered(("cat", "dog"))
    (True, False)
    """
    return list(classes) == [str(number) for number in range(len(classes))]


def count_right(logits: Tensor, labels: Tensor) -> int:
    """Images of which the largest of the logits (n, classes) is the one of their label (n,)."""
    return int((logits.argmax(1) == labels).sum())


def accuracy(logits: Tensor, dataset: Dataset) -> float:
    """Fraction of the images that are classified rightly, of their logits (n, classes)."""
    return count_right(logits, torch.from_numpy(dataset.labels)) / len(dataset)
