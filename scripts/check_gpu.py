"""Check the FAST engine on a CUDA GPU in under 150 seconds: the same codes as the compiled engine, and how fast.

    python scripts/check_gpu.py    # on the machine with the GPU, from the repository's root
    python scripts/check_gpu.py --device cpu --networks vgg-small-quarter --images 2 --batch 1   # the same without one

It needs numpy, torch, numba, h5py, pydantic, safetensors, scikit-learn, pillow and platformdirs; neither ngspice nor
the network. Each section prints its result as a line of JSON as soon as it has it; all of them stand in
`check_gpu.json`, in the folder that $OUT names or else here. A section that fails is reported, and the next one runs.
The exit status is 0 if every section ran and no code differs without a reason.
"""

import argparse
import dataclasses
import functools
import json
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from spicekit import Converter, Dataset, TileSpec, Wires, load_dataset, load_network
from spicekit.engines.converter import Thresholds
from spicekit.engines.fast.model import Codes, ReadModel, fit_thresholds, read_model
from spicekit.engines.fast.rails import RailReads
from spicekit.engines.fast.torch_backend import Form, codes_on
from spicekit.engines.words import Applied, layout_of, unpack
from spicekit.evaluation.tiled import Tiles, on_tiles, tiled_layers
from spicekit.mapping.binsparx import MITIGATIONS, Mitigation
from spicekit.mapping.packed import PackedLayer, apply_inputs, dot_products
from spicekit.mapping.torch_backend import products_on
from spicekit.networks.inference import predict_logits
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import Network
from spicekit.tables.store import find_table

Result = dict[str, Any]

NEAR = 1e-5
"""Of full scale: how close to a threshold a current may lie for its code to be another."""
ALIKE_IMAGES = 2
"""Images of which every layer's dot products are compared."""
CORES = 2
"""Of the processor, which the GPU is compared with."""
CORE_BATCH = 64
PROCESSOR = torch.device("cpu")
NETWORKS = ("vgg-small", "resnet18")
ROWS = (64, 16)
BINSPARX: tuple[Mitigation, ...] = ("none", "both")


@dataclass(frozen=True)
class Check:
    """What is asked for."""

    device: torch.device
    networks: tuple[str, ...]
    images: int
    batch: int
    deadline: float
    """On `time.monotonic`'s clock."""
    forms: list[Form]
    """Of the engine, the quickest first; those that did not do what the compiled engine does are taken out."""

    @property
    def cases(self) -> list[tuple[str, int, Mitigation]]:
        """Networks, rows in a read and BinSparX."""
        return [(name, rows, mitigation) for name in self.networks for rows in ROWS for mitigation in BINSPARX]

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak(self) -> int | None:
        """Bytes that tensors took on the device at most since the last call."""
        if self.device.type != "cuda":
            return None
        most = torch.cuda.max_memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        return most


def main() -> int:
    """Run all sections; the exit status."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("--device", default="cuda")
    asked.add_argument("--networks", nargs="+", default=NETWORKS)
    asked.add_argument("--images", type=int, default=10_000, help="of the long run")
    asked.add_argument("--batch", type=int, default=256, help="images at a time on the device")
    asked.add_argument("--seconds", type=float, default=140.0, help="after which no section starts")
    given = asked.parse_args()
    deadline = time.monotonic() + given.seconds
    forms: list[Form] = ["kernels", "torch"] if given.device.startswith("cuda") else ["torch"]
    check = Check(torch.device(given.device), tuple(given.networks), given.images, given.batch, deadline, forms)
    # What is compared is single precision: the digital layers must not run in fewer bits.
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(CORES)
    numba.set_num_threads(min(CORES, numba.config.NUMBA_NUM_THREADS))
    sections: list[tuple[str, Callable[[Check], Iterator[Result]]]] = [
        ("machine", machine),
        ("identity", identity),
        ("speed", speed),
        ("many", many),
        ("cores", cores),
    ]
    found: dict[str, Any] = {}
    failed = []
    for name, section in sections:
        rows: list[Result] = []
        found[name] = rows
        start = time.monotonic()
        try:
            if check.left <= 0:
                raise TimeoutError("no time left for this section")
            for row in section(check):
                rows.append(row)
                print(f"{name}: {json.dumps(row)}", flush=True)
                _save(found)
        except Exception as error:  # the next section may still tell something
            failed.append(name)
            rows.append({"failed": f"{type(error).__name__}: {error}"})
            print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
        found[f"{name}_s"] = round(time.monotonic() - start, 1)
        _save(found)
    summary = _summary(found, failed)
    found["summary"] = summary
    _save(found)
    print(f"summary: {json.dumps(summary)}", flush=True)
    return 1 if summary["failed"] or summary["unexplained"] else 0


def machine(check: Check) -> Iterator[Result]:
    """What runs here."""
    found: Result = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "threads": numba.get_num_threads(),
    }
    if check.device.type == "cuda":
        card = torch.cuda.get_device_properties(check.device)
        torch.ones(8, device=check.device).sum().item()  # the first call makes the context
        found |= {"gpu": card.name, "memory": card.total_memory, "cuda": torch.version.cuda}
    yield found


def identity(check: Check) -> Iterator[Result]:
    """Dot products of every layer, from the same signs, on the device and in the compiled engine.

    A form that fails or differs is not used in what follows.
    """
    for form in list(check.forms):
        for name, rows, mitigation in check.cases:
            case = {"form": form, "network": name, "rows": rows, "binsparx": mitigation}
            try:
                found = _differences(check, form, name, rows, mitigation)
            except Exception:  # the other form may do
                found = {"failed": traceback.format_exc()}
            yield {**case, **found}
            if ("failed" in found or found["unexplained"]) and form in check.forms:
                check.forms.remove(form)
    if not check.forms:
        raise RuntimeError("no form of the engine does on this device what the compiled one does")


def _differences(check: Check, form: Form, name: str, rows: int, mitigation: Mitigation) -> Result:
    codes = _codes(rows)
    differ = unexplained = compared = 0
    inputs = _layer_inputs(name)
    start = time.monotonic()
    for layer, module in tiled_layers(_tiled(name, rows, mitigation, None)).items():
        packed, signs = module.designed, module.input_levels(inputs[layer])
        applied = apply_inputs(packed, (signs > 0).numpy().view(np.uint8))
        true = dot_products(packed, applied, codes)
        product = products_on(packed, codes_on(check.device, codes, rows=rows, form=form))
        ours = product(signs.to(check.device)).permute(0, 3, 1, 2).cpu().numpy()
        compared += true.size
        differ += int((ours != true).sum())
        if (ours != true).any():
            unexplained += _unexplained(packed, applied, ours - true, rows)
    took = round(time.monotonic() - start, 1)
    return {"dot_products": compared, "differ": differ, "unexplained": unexplained, "took_s": took}


def speed(check: Check) -> Iterator[Result]:
    """Images a second and the memory that they take, of whole networks on tiles and in torch on the same device."""
    images = _repeated(load_dataset("digits", "test"), min(2 * check.batch, check.images))
    for name, rows, mitigation in check.cases:
        network, tiled = _network(name, check.device), _tiled(name, rows, mitigation, check)
        check.peak()
        start = time.monotonic()
        run = functools.partial(predict_logits, dataset=images, batch=check.batch)
        first, *tiles = (_seconds(check, functools.partial(run, tiled)) for _ in range(4))
        memory = check.peak()
        _, software = (_seconds(check, functools.partial(run, network)) for _ in range(2))
        yield {
            "form": check.forms[0],
            "network": name,
            "rows": rows,
            "binsparx": mitigation,
            "images": len(images),
            "first_s": round(first, 3),
            "images_per_s": [round(len(images) / seconds, 1) for seconds in tiles],
            "torch_images_per_s": round(len(images) / software, 1),
            "peak_bytes": memory,
            "took_s": round(time.monotonic() - start, 1),
        }


def many(check: Check) -> Iterator[Result]:
    """A long run: all images, in as much time as there is."""
    images = _repeated(load_dataset("digits", "test"), check.images)
    ends = time.monotonic() + check.left / 2
    for name in check.networks:
        tiled = _tiled(name, 64, "both", check)
        right = done = 0
        check.peak()
        start = time.monotonic()
        while done < len(images) and time.monotonic() < ends:
            last = min(done + 4 * check.batch, len(images))
            logits = predict_logits(tiled, _part(images, done, last), batch=check.batch)
            right += int((logits.argmax(1).numpy() == images.labels[done:last]).sum())
            done = last
        seconds = time.monotonic() - start
        yield {
            "network": name,
            "rows": 64,
            "binsparx": "both",
            "images": done,
            "of": len(images),
            "seconds": round(seconds, 2),
            "images_per_s": round(done / seconds, 1),
            "right": right,
            "peak_bytes": check.peak(),
            "host_peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }


def cores(check: Check) -> Iterator[Result]:
    """Images a second of the compiled engine on two cores here, and how its logits differ from the device's.

    The layers between are torch's own, which rounds otherwise on each device: logits differ in the last places, and
    where a batch norm's result lies at 0, a bit is another.
    """
    images = _repeated(load_dataset("digits", "test"), min(CORE_BATCH, check.images))
    for name, rows, mitigation in check.cases:
        here = _tiled(name, rows, mitigation, None)
        predict_logits(here, images.first(1))  # compiles
        start = time.monotonic()
        true = predict_logits(here, images)
        seconds = time.monotonic() - start
        ours = predict_logits(_tiled(name, rows, mitigation, check), images)
        yield {
            "network": name,
            "rows": rows,
            "binsparx": mitigation,
            "images": len(images),
            "images_per_s": round(len(images) / seconds, 1),
            "predictions_that_differ": int((ours.argmax(1) != true.argmax(1)).sum()),
            "largest_logit_difference": float((ours - true).abs().max() / true.std()),
        }


def _summary(found: dict[str, Any], failed: list[str]) -> Result:
    """What is asked of the engine: codes that differ without a reason, and its speed against two cores."""
    there, here = (
        {(row["network"], row["rows"], row["binsparx"]): row["images_per_s"] for row in found[name] if "network" in row}
        for name in ("speed", "cores")
    )
    ratios = {
        " ".join(map(str, case)): round(float(np.median(rates)) / here[case], 1)
        for case, rates in there.items()
        if case in here
    }
    compared = [row for row in found["identity"] if "differ" in row]
    return {
        "failed": failed
        + [f"{row['form']} {row['network']}" for row in found["identity"] if "failed" in row and "form" in row],
        "dot_products": sum(row["dot_products"] for row in compared),
        "differ": sum(row["differ"] for row in compared),
        "unexplained": sum(row["unexplained"] for row in compared),
        "times_two_cores": ratios,
        "least_times_two_cores": min(ratios.values(), default=None),
        "seconds": {name: found[name] for name in found if name.endswith("_s")},
    }


def _unexplained(packed: PackedLayer, applied: Applied, difference: NDArray[np.float32], rows: int) -> int:
    """How many of the dot products that differ do so by more than their reads next to a threshold allow."""
    model, thresholds = _model(rows), _thresholds(rows)
    assert not isinstance(model, RailReads), "these tiles have ideal rails"
    layout, (words, _, asserted) = layout_of(rows), applied.by_vector()
    image, column, line, place = np.nonzero(difference)
    pixel = (image * difference.shape[2] + line) * difference.shape[3] + place
    found = 0
    for p, c, by in zip(pixel[:1000], column[:1000], difference[difference != 0][:1000], strict=True):
        near = 0
        for group, tiles in enumerate(packed.stored.tiles):
            bits = unpack(words[p, group, :tiles], layout)
            on = bits & unpack(packed.stored.words[group, :tiles, :, c], layout)
            current = model.currents(on, bits, group=group) - model.cells.zeros(asserted[p, group, :tiles])
            apart = np.abs(current[:, None] - thresholds.current).min(axis=1)
            near += int((apart < NEAR * rows * model.cells.lsb).sum())
        found += abs(by) > 4 * thresholds.step * near
    return found + max(len(pixel) - 1000, 0)


def _layer_inputs(name: str) -> dict[str, torch.Tensor]:
    """What each binary layer is given while the software classifies a few images."""
    network = _network(name)
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, given, key=key: seen.__setitem__(key, given[0]))
        for key, layer in binary_layers(network).items()
    ]
    try:
        predict_logits(network, load_dataset("digits", "test").first(ALIKE_IMAGES))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@functools.cache
def _network(name: str, device: torch.device = PROCESSOR) -> Network:
    network = load_network(name)
    assert isinstance(network, Network)
    return network.to(device)


def _tiled(name: str, rows: int, mitigation: Mitigation, check: Check | None) -> torch.nn.Module:
    """The network on tiles, on a check's device in its form, or in the compiled engine."""
    codes = _codes(rows)
    if check is not None:
        codes = codes_on(check.device, codes, rows=rows, form=check.forms[0])
    tiled = on_tiles(_network(name), Tiles(_spec(rows), codes, MITIGATIONS[mitigation]))
    return tiled.to(check.device if check is not None else PROCESSOR)


@functools.cache
def _model(rows: int) -> ReadModel:
    return read_model(_spec(rows), find_table(_spec(rows)))


@functools.cache
def _thresholds(rows: int) -> Thresholds:
    return fit_thresholds(_model(rows), Converter(), None)


@functools.cache
def _codes(rows: int) -> Codes:
    return _model(rows).codes(_thresholds(rows))


def _spec(rows: int) -> TileSpec:
    return TileSpec(cell="8t-sram", rows=64, rows_active=rows, wires=Wires(r_bl=3.2, r_sl=3.2))


def _repeated(dataset: Dataset, count: int) -> Dataset:
    """That many images: the data set's, over and over."""
    place = np.arange(count) % len(dataset)
    return _taken(dataset, place)


def _part(dataset: Dataset, first: int, last: int) -> Dataset:
    return _taken(dataset, np.arange(first, last))


def _taken(dataset: Dataset, place: NDArray[np.int64]) -> Dataset:
    return dataclasses.replace(dataset, images=dataset.images[place], labels=dataset.labels[place])


def _seconds(check: Check, action: Callable[[], object]) -> float:
    check.wait()
    start = time.perf_counter()
    action()
    check.wait()
    return time.perf_counter() - start


def _save(found: dict[str, Any]) -> None:
    folder = Path(os.environ.get("OUT", "."))
    (folder / "check_gpu.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
