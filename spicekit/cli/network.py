"""`spicekit train` trains a network; `network` looks into one, `netlist export` into one of its tiles."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

import spicekit as sk
from spicekit.cli.display import (
    Data,
    Folder,
    Json,
    each,
    next_step,
    print_json,
    print_paths,
    print_tables,
    say,
    stage,
    stages,
    verbs,
)
from spicekit.cli.netlist import Detail, Spec, netlist


def train(
    network: Annotated[str, Option(help="vgg-small or resnet18")],
    out: Annotated[Path, Option(file_okay=False, help="Run folder: checkpoint, card, log, curve and state.")],
    data: Data = "digits",
    folder: Folder = None,
    images: Annotated[int | None, Option(min=2, help="Train on the first so many; default: all.")] = None,
    hold_out: Annotated[
        int | None, Option(min=1, help="Judge by the last so many training images, not by the test images.")
    ] = None,
    download: Annotated[bool, Option("--download", help="Fetch CIFAR-10 into it first.")] = False,
    begin: Annotated[
        Path | None, Option(help="Checkpoint, or another run's state, whose weights to begin with.")
    ] = None,
    epochs: Annotated[int | None, Option(help="Default: 30 for digits, 120 for cifar10.")] = None,
    width: Annotated[float | None, Option(help="Factor on the channels of every layer.")] = None,
    bits: Annotated[int | None, Option(help="1, or 4 for a bit-sliced network to compare with.")] = None,
    batch: Annotated[int | None, Option(help="Images in a step.")] = None,
    learning_rate: Annotated[float | None, Option(help="Peak rate of Adam.")] = None,
    growing_epochs: Annotated[int | None, Option(help="Epochs at first with smaller images.")] = None,
    warmup_epochs: Annotated[float | None, Option(help="Epochs at first in which the rate rises to its peak.")] = None,
    precision: Annotated[str | None, Option(help="float32 or bfloat16 (mixed).")] = None,
    seed: Annotated[int | None, Option(help="Initial weights, order, augmentation.")] = None,
    device: Annotated[str, Option(help="cpu, cuda or auto")] = "auto",
    threads: Annotated[int | None, Option(min=1, help="Processor threads; default: all.")] = None,
    spec: Annotated[
        Path | None,
        Option(help="Design, TOML: learn on its tiles; then 3 epochs, a rate of 5e-4 and no warm-up by default."),
    ] = None,
    mitigation: Annotated[str, Option(help="On these tiles, as of evaluate: none, both, order ...")] = "none",
    resume: Annotated[bool, Option("--resume", help="Go on with the run in the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Train a binary network, or resume a run: repeat its command with --resume."""
    import torch

    from spicekit.evaluation.convert import calibration_images
    from spicekit.mapping.binsparx import check_mitigations
    from spicekit.networks import training
    from spicekit.networks.data import fetch_dataset
    from spicekit.networks.models import Network
    from spicekit.networks.runs import recipe_for

    if precision is None and threads is None:
        say(f"fastest here: {training.fastest_options()}")
    if threads is not None:
        torch.set_num_threads(threads)
    options = {
        "begin": str(begin) if begin else None,
        "epochs": epochs,
        "width": width,
        "bits": bits,
        "batch": batch,
        "learning_rate": learning_rate,
        "growing_epochs": growing_epochs,
        "warmup_epochs": warmup_epochs,
        "precision": precision,
        "seed": seed,
    }
    given: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    design = None if spec is None else sk.read_design(spec)
    if design is not None:
        record = {"design": design.model_dump(mode="json"), "mitigation": mitigation}
        given = {"epochs": 3, "learning_rate": 5e-4, "warmup_epochs": 0.0, "tiles": record, **given}
    recipe = recipe_for(network, data, changes=given)
    begun = training.take_run(out, resume=resume)  # refused before data are fetched and read
    if resume and not begun:
        say(f"{out}: holds no run to go on with; this one begins anew")
    if download:
        fetch_dataset(data, folder)
    train_set, test_set = (sk.load_dataset(data, split, folder=folder) for split in ("train", "test"))
    if hold_out is not None:
        kept = len(train_set) - hold_out
        train_set, test_set = train_set.first(kept), train_set.part(slice(max(kept, 0), None))
    train_set = train_set.first(images or len(train_set))

    def place(fresh: Network) -> Network:
        assert design is not None
        few = train_set.first(min(calibration_images(design), len(train_set)))
        tiled = sk.convert(fresh, design, mitigation=check_mitigations([mitigation])[0], calibration=few)
        assert isinstance(tiled, Network)  # convert copies
        return tiled

    saved = f"the state of the last whole epoch is in {out}, repeat the command with --resume to go on"
    with stages(network, kept=saved) as report:

        def show(now: training.Progress) -> None:
            held_out = "" if now.test_accuracy is None else f", held out {now.test_accuracy:.1%}"
            text = f", epoch {now.epoch}/{recipe.epochs}: loss {now.loss:.3f}, {now.accuracy:.1%}{held_out}"
            report("training", now.step, now.steps, note=text)

        card = training.train(
            recipe,
            out,
            train_set=train_set,
            test_set=test_set,
            resume=resume,
            device=device,
            place=None if design is None else place,
            report=show,
        )
    checkpoint = out / training.CHECKPOINT
    if as_json:
        print_json({"checkpoint": str(checkpoint), **card.model_dump(mode="json")})
    else:
        where = "" if spec is None else f", on the tiles of {spec}"
        print(f"{checkpoint}: {card.accuracy:.2%} of {card.test_images:,} held-out images{where}")
    next_step(f"spicekit evaluate --network {checkpoint} --data {data} --spec tile.toml")


network = verbs("What of a network goes on tiles.")


@network.callback()
def _verbs() -> None:
    """What of a network goes on tiles."""


@network.command("inspect")
def inspect(
    file: Annotated[str, Argument(help="An ONNX file, a checkpoint, or a network that ships: vgg-small.")],
    spec: Annotated[
        Path | None, Option(exists=True, dir_okay=False, help="Design, TOML; default: tiles of 64 x 64.")
    ] = None,
    data: Annotated[str, Option(help="Of a network that ships: what it was trained on.")] = "digits",
    as_json: Json = False,
) -> None:
    """Print a network's layers: which go on tiles, how many tiles, cells and reads; what stays digital, and why."""
    from spicekit.mapping.layers import footprint
    from spicekit.networks.checkpoints import read_and_survey
    from spicekit.report.page import text_table

    tile = sk.read_design(spec).tile if spec is not None else sk.TileSpec(wires=sk.Wires(r_bl=0, r_sl=0))
    tiled: list[tuple[str, ...]] = []
    digital: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    with stage(f"{file}: run once to see its layers"):
        survey = read_and_survey(file, data=data)[1]
    for found in survey.found:
        name, layer = found.name or "(the network)", found.layer
        if layer is None:
            digital.append((name, found.shape, found.digital))
            records.append({"layer": name, "shape": found.shape, "digital": found.digital})
            continue
        size = footprint(layer.geometry, layer.out_channels, found.sides, tile, zero_padded=layer.zero_padded)
        counts = {key: layer.bits * found.groups * value for key, value in asdict(size).items()}
        figures = (f"{counts[key]:,}" for key in ("tiles", "cells", "reads", "additions"))
        tiled.append((name, found.shape, *figures))
        records.append({"layer": name, "shape": found.shape, **counts})
    if as_json:
        print_json(records)
        return
    head = ("layer", "operator", "tiles", "cells", "reads\nan image", "border\nsums")
    title = f"{file} on tiles of {tile.rows} x {tile.columns}, {tile.rows_active} rows a read"
    found_digital = text_table("digital", ("layer", "operator", "why"), digital)
    print_tables([table for table in (text_table(title, head, tiled), found_digital) if table.rows])
    next_step(f"spicekit evaluate --network {file} --spec tile.toml")


@netlist.command()
def export(
    network: Annotated[str, Option(help="vgg-small, resnet18, or a checkpoint file.")],
    spec: Spec,
    layer: Annotated[str, Option(help="Binary layer, for instance conv3.")],
    out: Annotated[Path, Option("--out", "-o", file_okay=False, help="Folder for .npy files and a deck a read.")],
    data: Data = "digits",
    folder: Folder = None,
    image: Annotated[int, Option(min=0, help="Of the test split.")] = 0,
    tile: Annotated[int, Option(min=0, help="Along the layer's inputs.")] = 0,
    block: Annotated[int, Option(min=0, help="Of columns, along its outputs.")] = 0,
    row: Annotated[int, Option(min=0, help="Of the output pixel.")] = 0,
    column: Annotated[int, Option(min=0, help="Of the output pixel.")] = 0,
    mitigation: Annotated[str, Option(help="As of evaluate: none, both, order ...")] = "none",
    detail: Detail = "read-port",
    as_json: Json = False,
) -> None:
    """Decks of one tile of a network, with what one image applies to it at one output pixel."""
    from spicekit.circuits.render import check_detail, tile_deck
    from spicekit.engines.tile import expected_currents
    from spicekit.evaluation.vectors import network_case
    from spicekit.files import take_folder, write_array, write_atomically
    from spicekit.mapping.binsparx import MITIGATIONS, check_mitigations

    design = sk.read_design(spec).tile
    (kind,), drawn = check_mitigations([mitigation]), check_detail(detail)
    take_folder(out)
    with stage(f"{network}: what image {image} applies to a tile of {layer}"):
        case = network_case(
            sk.load_network(network, data=data),
            sk.load_dataset(data, "test", folder=folder).only(image),
            design,
            binsparx=MITIGATIONS[kind],
            layer=layer,
            tile=tile,
            block=block,
            position=(row, column),
        )
    write_array(out / "weights.npy", case.weights)
    write_array(out / "inputs.npy", case.bits)
    decks = [out / f"read-{read}.cir" for read in range(len(case.bits))]
    origin: dict[str, str | int] = {"network": network, "layer": layer, "data": data, "image": image}
    origin |= {"pixel_row": row, "pixel_column": column, "input_tile": tile, "output_block": block}
    with stages() as told:
        for read, path in enumerate(each(told, "decks", decks)):
            expected = expected_currents(design, case.weights, case.bits[read])
            own = {**origin, "read": read, "mitigation": mitigation}
            deck = tile_deck(design, case.weights, case.bits[read], detail=drawn, expected=expected, origin=own)
            write_atomically(path, deck)
    print_paths(out / "weights.npy", out / "inputs.npy", *decks, as_json=as_json)
    next_step(f"spicekit netlist run {decks[0]}")
