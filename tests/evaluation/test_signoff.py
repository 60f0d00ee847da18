"""Sign-off on small tiles, in ngspice."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import Variation
from spicekit.engines.converter import Converter
from spicekit.evaluation.design import Ablation, Design, Limits
from spicekit.evaluation.evidence import SignOffStatus, evidence_path, sign_off_status
from spicekit.evaluation.signoff import ENGINES, sign_off
from spicekit.evaluation.vectors import Case, cases_for, network_cases, read_shapes
from spicekit.mapping.binsparx import BinSparX
from spicekit.networks.checkpoints import load_network
from spicekit.networks.data import load_dataset

SPEC = TileSpec(rows=16, rows_active=8, columns=4, wires=Wires(r_bl=3.2, r_sl=3.2))


def cases(spec=SPEC):
    return cases_for(spec, 2, rng=np.random.default_rng(0))


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_both_engines_pass_on_tiles_that_are_read_in_parts(tables, cell):
    spec = SPEC.replace(cell=cell)
    result = sign_off(Design(tile=spec), tables[cell], cases(spec), workers=1)
    assert result.passed
    assert not result.faults
    assert {error.engine for error in result.errors} == set(ENGINES)
    assert result.vectors == sum(len(case.bits) for case in cases(spec)) * spec.groups
    reads = sum(error.reads for error in result.errors)
    assert reads == len(ENGINES) * result.vectors * spec.columns


def test_an_error_beyond_a_limit_fails_and_is_named(sram_table):
    strict = Design(tile=SPEC, limits=Limits(exact_worst=1e-12))
    result = sign_off(strict, sram_table, cases()[:1], workers=1)
    assert not result.passed
    assert result.faults[0].startswith("random, 10% ones, exact: worst ")


def test_the_table_of_a_stronger_cell_fails_in_errors_and_in_codes(sram_table):
    stronger = replace(sram_table, current=1.1 * sram_table.current)
    result = sign_off(Design(tile=SPEC), stronger, cases(), workers=1)
    for fault in (
        "adversarial, exact: worst",
        "adversarial, fast: rms",
        "random, 90% ones, fast: codes_differ",
    ):
        assert any(line.startswith(fault) for line in result.faults), fault


def test_vectors_that_ngspice_does_not_finish_fail_the_sign_off(sram_table):
    big = SPEC.replace(rows=64, rows_active=64, columns=64)
    few = [Case("slow", np.ones((64, 64), np.uint8), np.ones((3, 64), np.uint8))]
    result = sign_off(Design(tile=big), sram_table, few, workers=1, timeout=0.05)
    assert not result.passed
    assert result.vectors == len(result.failures) == 3
    assert "simulation failed on 3 of 3 vectors: slow: ngspice took longer" in result.faults[0]
    assert not result.errors


def test_every_block_shape_comes_at_both_ends_of_a_read():
    shapes = {tuple(shape) for shape in read_shapes(8).tolist()}
    assert len(shapes) == 9
    blocks = shapes - {(1, 0) * 4}
    assert blocks == {shape[::-1] for shape in blocks}
    assert {(1, 0, 0, 0, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 0, 0, 0, 0)} < blocks


def test_harvested_vectors_are_those_of_the_network_as_mapped():
    """Where BinSparX is on, no column and no sub-vector has more ones than zeros."""
    network, images = load_network("vgg-small"), load_dataset("digits", "test").first(2)
    spec = SPEC.replace(rows=64, rows_active=64, columns=64)
    ones = {}
    for binsparx in (BinSparX(), BinSparX(static=True, dynamic=True)):
        found = network_cases(network, images, spec, 50, binsparx=binsparx, rng=np.random.default_rng(0))
        assert len(found) == 3
        assert all(case.weights.shape == (64, 64) and case.bits.shape == (50, 64) for case in found)
        ones[found[0].kind] = np.mean([(case.bits @ case.weights).mean() for case in found])
        if binsparx.dynamic:
            assert all((case.bits.sum(axis=1) <= 32).all() for case in found)
            assert all((case.weights.sum(axis=0) <= 32).all() for case in found)
    assert ones["network, BinSparX"] < ones["network"]


@pytest.fixture
def signed(sram_table, tmp_path):
    """A store with the evidence of `Design(tile=SPEC)`; the function rewrites keys of it."""
    result = sign_off(Design(tile=SPEC), sram_table, cases()[:1], workers=1)

    def keep(**changes):
        evidence_path(tmp_path, SPEC).write_text(json.dumps({**json.loads(result.to_json()), **changes}))
        return result

    keep()
    return keep


def outside(design, table, store):
    return sign_off_status(design, table, store=store).outside


def test_evidence_covers_one_tile_and_one_table(signed, sram_table, tmp_path):
    design = Design(tile=SPEC)
    assert outside(design, sram_table, tmp_path / "empty") == "no sign-off of this tile"
    assert outside(design, sram_table, tmp_path) == ""
    assert outside(Design(tile=SPEC.replace(columns=5)), sram_table, tmp_path)
    other = replace(sram_table, current=1.1 * sram_table.current)
    assert "another I-V table" in outside(design, other, tmp_path)
    for content in ("{", "[]", "{}"):
        evidence_path(tmp_path, SPEC).write_text(content)
        assert "not a readable sign-off" in outside(design, sram_table, tmp_path)


def test_evidence_covers_one_scale_of_the_converters_and_any_flaws(signed, sram_table, tmp_path):
    noisy = Design(tile=SPEC, converter=Converter(noise=0.5))
    assert outside(noisy, sram_table, tmp_path) == ""
    coarse = Design(tile=SPEC, converter=Converter(bits=3, reference="linear"))
    assert outside(coarse, sram_table, tmp_path).endswith("of another converter: bits, reference")


def test_evidence_covers_nominal_cells_alone(signed, sram_table, tmp_path):
    stuck = Design(tile=SPEC, variation=Variation(stuck_at_0=0.1))  # cells like any other, with other bits
    assert outside(stuck, sram_table, tmp_path) == ""
    for change in ({"variation": Variation(mismatch=1.0)}, {"ablation": Ablation(linear_cells=True)}):
        assert "neither mismatch nor linear cells" in outside(Design(tile=SPEC, **change), sram_table, tmp_path)


def test_evidence_is_held_to_the_limits_of_now(signed, sram_table, tmp_path):
    """Tighter ones void it where it does not keep them, and are named; looser ones revive what had failed."""
    worst = max(error.worst for error in signed().errors if error.engine == "fast")
    for factor, reason in ((1.01, ""), (0.99, f"fast: worst {worst:.3g}, limit {0.99 * worst:g}")):
        design = Design(tile=SPEC, limits=Limits(fast_worst=factor * worst))
        assert outside(design, sram_table, tmp_path)[-len(reason) :] == reason
        assert bool(outside(design, sram_table, tmp_path)) == bool(reason)


def test_evidence_is_void_once_the_fast_engine_reads_otherwise(signed, sram_table, tmp_path):
    """Whatever moves its reads: another form of the surrogate, another fit."""
    reads = signed().fast_reads
    assert len(reads) == len(read_shapes(SPEC.rows_active))
    signed(fast_reads=[reads[0] + 1e-9, *reads[1:]])
    assert outside(Design(tile=SPEC), sram_table, tmp_path) == ""
    signed(fast_reads=[*reads[:-1], reads[-1] + 0.02])
    reason = outside(Design(tile=SPEC), sram_table, tmp_path)
    assert reason.endswith("the fast engine has changed since: reads moved by up to 0.02 LSB")


def test_evidence_says_whether_it_saw_a_network(signed, sram_table, tmp_path):
    assert not sign_off_status(Design(tile=SPEC), sram_table, store=tmp_path).network
    of_network = signed().errors[0].model_copy(update={"kind": "network, BinSparX"})
    signed(errors=[of_network.model_dump()])
    assert sign_off_status(Design(tile=SPEC), sram_table, store=tmp_path) == SignOffStatus(outside="", network=True)
