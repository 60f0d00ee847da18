"""A network on a design point: accuracy, and what its reads carry, with and without BinSparX.

Four runs of the same network over the same images: in software; on ideal tiles, which must give the same logits bit for
bit; on the real tiles; on the real tiles with BinSparX. Partial sums and currents are those of the reads that the
software's own activations cause, counted on some of the images: a network that the tiles have brought down reads
something else, and would compare with nothing.
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.mismatch import RMS_LIMIT
from spicekit.engines.fast.model import read_model
from spicekit.errors import BadInput
from spicekit.evaluation.convert import TiledNetwork, software_and_ideal, tile_network
from spicekit.evaluation.design import Design, as_design
from spicekit.evaluation.evidence import check_comparable, check_solvable, sign_off_status, spice_evidence
from spicekit.evaluation.evidence import fidelity as compare
from spicekit.evaluation.network_costs import energy as network_energy
from spicekit.evaluation.network_costs import measure_read, with_read_time
from spicekit.evaluation.reads import (
    ReadCounts,
    added,
    cells_read,
    code_errors,
    probed,
    read_statistics,
    weights_hash,
)
from spicekit.evaluation.records import Demo, Evaluation, PlacedEvaluation, TileRun, restored
from spicekit.mapping.binsparx import Mitigation, check_mitigations
from spicekit.networks.adopt import check_binary
from spicekit.networks.checkpoints import load_network
from spicekit.networks.data import Data, Dataset, as_dataset, load_dataset, require_apart
from spicekit.networks.inference import accuracy, numbered, predict_logits
from spicekit.provenance import provenance
from spicekit.results import Report, prefixed, silent
from spicekit.tables.calibrate import calibrate
from spicekit.tables.characterise import Characterisation
from spicekit.tables.settling import settling
from spicekit.tables.store import find_table, table_for
from spicekit.tables.table import IVTable
from spicekit.units import engineering


def evaluate(
    network: nn.Module,
    dataset: Data,
    design: Design,
    table: IVTable | None = None,
    *,
    calibration: Data | None = None,
    mitigations: Sequence[Mitigation] = ("none", "both"),
    known: tuple[float, float] | None = None,
    counts: ReadCounts | None = None,
    energy: bool = False,
    settle: bool = False,
    fidelity: int = 0,
    spice: int = 0,
    store: Path | None = None,
    report: Report = silent,
) -> Evaluation:
    """All four runs of a network at a design point.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    dataset : Dataset, pair of arrays, torch Dataset, DataLoader or callable
        To be classified: whatever `as_dataset` takes.
    design : Design
    table : IVTable, optional
        Of the design's cell and corner; by default the one that the stores have.
    calibration : as `dataset`, optional
        As in `convert`.
    mitigations : sequence of Mitigation
        Runs on the real tiles, in the order of docs/mitigations.md; the first is what the others are compared with.
    known : (float, float), optional
        Accuracy in software and on ideal tiles, where they are known from another design point of the same rows.
    counts : ReadCounts, optional
        What tiles read, where other designs have counted it: they are asked, and added to.
    energy : bool
        Also energy, time and area of the whole circuit; a read lasts as long as a SPICE transient and the converter
        take.
    settle : bool
        Take the read time from a SPICE transient of the tile's worst column.
    fidelity : int
        Also run so many images through the exact engine: seconds for each.
    spice : int
        Also draw so many column reads of this evaluation, and half as many near a threshold, and run them in ngspice.
    store : Path, optional
        Folder of I-V tables and sign-offs; by default the user's, then those that ship.
    report : function, optional
        Called with what is about to be done, and with the images done of it and their number.

    Raises
    ------
    NotExact
        If the logits on ideal tiles, with or without BinSparX, are not those of the software.
    BadInput
        If the design does not fit the network, or what is asked for does not go together.

    Examples
    --------
    >>> import spicekit as sk
    >>> network, images = sk.load_network("vgg-small-quarter"), sk.load_dataset("digits", "test").first(8)
    >>> result = sk.evaluate(network, images, sk.design(layer="M2", pitch_nm=108, rows_active=16))
    >>> [(run.mitigation, run.accuracy > 0.8) for run in result.runs]
    [('none', False), ('both', True)]
    """
    network = check_binary(network)
    design, dataset = as_design(design), as_dataset(dataset)
    if calibration is not None:
        names = None if numbered(dataset.classes) else dataset.classes
        calibration = as_dataset(calibration, classes=names, split="train")
    mitigations = check_mitigations(mitigations)
    if known is not None and not all(0 <= share <= 1 for share in known):
        raise BadInput(f"evaluate: known = {known}; pass accuracies in software and on ideal tiles, 0 to 1.")
    if settle and energy:
        raise BadInput("evaluate: settle and energy both set the read time; ask for one of them.")
    if fidelity:
        check_comparable(design)
    if spice:
        check_solvable(design)
    few = dataset.first(fidelity) if fidelity else dataset
    require_apart(dataset, calibration)
    table = table_for(design.tile, table, store=store)
    circuit = measure_read(design.tile) if energy else None
    if circuit is not None:
        design = with_read_time(design, circuit)
    if settle:
        design = design.replace(read=design.read.replace(time=settling(design.tile, "worst").time))
    if known is None:
        with ThreadPoolExecutor(1) as beside:  # a surrogate that is not there yet takes seconds
            surrogate = beside.submit(read_model, design.tile, cells_read(design, table))
            known = software_and_ideal(network, dataset, design.tile, mitigations=(*mitigations, "both"), report=report)
            surrogate.result()
    counts = counts or ReadCounts(network)
    runs: list[TileRun] = []
    compared, evidence = {}, {}
    for mitigation in mitigations:
        report(f"real tiles, BinSparX {mitigation}")
        fitted_to = None
        if calibration is not None and design.converter.reference != "unit":
            fitted_to = counts.of(probed(calibration, design), design, table, mitigation=mitigation)
        tiled = tile_network(network, design, table, mitigation=mitigation, calibration=calibration, counted=fitted_to)
        run = run_on_tiles(tiled, dataset, counts=counts, report=report)
        first = runs[0] if runs else run
        changes = {
            "partial_sum_reduction": 1 - run.partial_sum / first.partial_sum if first.partial_sum else 0.0,
            "energy_change": run.energy / first.energy - 1,
        }
        runs.append(run.model_copy(update=changes))
        if fidelity:
            report(f"exact engine, BinSparX {mitigation}")
            compared[mitigation] = compare(tiled, few)
        if spice:
            report(f"ngspice, {spice} reads and more, BinSparX {mitigation}")
            evidence[mitigation] = spice_evidence(tiled, dataset, reads=spice, rng=np.random.default_rng(0))
    costs = None
    if circuit is not None:
        report("energy, time and area")
        currents = {run.mitigation: {name: layer.current for name, layer in run.layers.items()} for run in runs}
        costs = network_energy(
            network, dataset, design, mitigations=mitigations, table=table, circuit=circuit, currents=currents
        )
    status = sign_off_status(design, table, store=store)
    told = range(len(dataset.classes), 1 + max(max(run.predictions) for run in runs))
    dataset = dataclasses.replace(dataset, classes=(*dataset.classes, *map(str, told)))
    result = Evaluation(
        design=design,
        images=len(dataset),
        accuracy_software=known[0],
        accuracy_ideal=known[1],
        runs=tuple(runs),
        assumptions=_assumptions(design),
        classes=dataset.classes,
        labels=tuple(np.asarray(dataset.labels, int).tolist()),
        restored=restored(dataset, runs[0].predictions, runs[-1].predictions),
        fidelity=compared,
        spice=evidence,
        costs=costs,
        signed_off=not status.outside,
        signed_off_with_network=status.network,
        sign_off_fault=status.outside,
        provenance=provenance(
            {
                "network": type(network).__name__,
                "weights_sha256": weights_hash(network),
                "data": dataset.source,
                "images_sha256": dataset.sha256,
                "table": table.sha256,
                "table_origin": table.origin,
            }
        ),
    )

    options: dict[str, Any] = {
        **{"calibration": calibration, "mitigations": mitigations, "counts": counts, "store": store},
        **{"energy": energy, "settle": settle, "fidelity": fidelity, "spice": spice, "report": report},
    }

    def again(other: Design, like: Evaluation) -> Evaluation:
        tiles = other.tile, like.design.tile
        sizes = {(tile.rows, tile.columns, tile.rows_active) for tile in tiles}
        alike = len(sizes) == 1 and weights_hash(network) == like.provenance["weights_sha256"]
        known = (like.software, like.ideal) if alike else None
        conditions = [Characterisation(tile).conditions for tile in tiles]
        same = table if conditions[0] == conditions[1] else None
        return evaluate(network, dataset, other, same, known=known, **options)

    result._again = again
    return result


def run_on_tiles(tiled: TiledNetwork, dataset: Dataset, *, counts: ReadCounts, report: Report = silent) -> TileRun:
    """Classify a dataset on tiles; what the reads carry is counted on its first images, or taken from `counts`."""
    design, mitigation = tiled.design, tiled.mitigation
    few = probed(dataset, design)
    counted = counts.of(few, design, tiled.table, mitigation=mitigation, image_by_image=True)
    stage = f"real tiles, BinSparX {mitigation}"
    alike = not design.converter.noise  # else each image has its own place
    logits = predict_logits(tiled.network, dataset, batch_per_thread=alike, report=partial(report, stage))
    layers = {name: read_statistics([tally], tiled.model, design, images=len(few)) for name, tally in counted.items()}
    whole = read_statistics(counted.values(), tiled.model, design, images=len(few))
    return TileRun(
        mitigation=mitigation,
        accuracy=accuracy(logits, dataset),
        layers=layers,
        predictions=tuple(logits.argmax(1).tolist()),
        partial_sums=tuple((added(counted.values()).reads / len(few)).tolist()),
        code_errors=code_errors(tiled, dataset),
        **whole.model_dump(exclude={"nf"}),
    )


_VOLTAGES = (
    "reads discharge their lines: currents are means, C V / t, of the drop V that a converter sees; energy recharges "
    "the lines from V_read"
)


def _assumptions(design: Design) -> tuple[str, ...]:
    railed = (
        "shared rails: to first order in what they carry; what is lost in them is in the bit lines' energy, and "
        "software's activations load them where currents are counted"
    )
    varied = (
        f"mismatch: {design.variation.mismatch:g} times the standard deviations of card and preset, to first order, "
        f"within {RMS_LIMIT} LSB rms of the exact engine; currents and energies are those of nominal cells"
    )
    return (
        f"read time {engineering(design.read_time, 's')} for every read",
        "energy: V_read * I * t of the bit lines; converter, word lines and popcounts not counted",
        f"partial sums and currents: the software's activations, first {design.read.probe_images} images",
        *([varied] if design.variation.mismatch else []),
        *([_VOLTAGES] if design.tile.discharge else []),
        *([railed] if design.tile.wires.railed else []),
    )


DEMO_NETWORKS = ("vgg-small", "resnet18")
# 16 rows in a read. Mild: straps three times as wide as a minimum M6 wire (11.9 ohm/um), 0.43 ohm for an 8T cell of
# 108 nm (2 CPP), and 10 ohm at both ends (assumed). Heavy: a minimum M2 wire, 3.2 ohm, and 100 ohm (assumed).
DEMO_POINTS = {
    "mild": Design(tile=TileSpec(rows_active=16, wires=Wires(r_bl=0.43, r_sl=0.43, r_driver=10, r_sink=10))),
    "heavy": Design(tile=TileSpec(rows_active=16, wires=Wires(layer="M2", pitch_nm=108, r_driver=100, r_sink=100))),
}


def run_demo(store: Path, *, report: Report = silent) -> Demo:
    """Both networks at both design points, with I-V tables swept afresh into `store`."""
    specs = [point.tile for point in DEMO_POINTS.values()]
    report("8T-SRAM cell: I-V sweeps in ngspice")
    calibrate([Characterisation(specs[0])], store, force=True)
    table = find_table(specs[0], store=store)
    test, train = load_dataset("digits", "test"), load_dataset("digits", "train")
    results = []
    for name in DEMO_NETWORKS:
        network = load_network(name, data="digits")
        known = software_and_ideal(network, test, specs[0], report=prefixed(report, name))
        for point, design in DEMO_POINTS.items():
            result = evaluate(
                network,
                test,
                design,
                table,
                calibration=train,
                known=known,
                store=store,
                report=prefixed(report, f"{name}, {point}"),
            )
            fields = {name: getattr(result, name) for name in Evaluation.model_fields}
            results.append(PlacedEvaluation(**fields, network=name, point=point))
    return Demo(evaluations=tuple(results), provenance=provenance())
