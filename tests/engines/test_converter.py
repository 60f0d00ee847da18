"""Thresholds of the column converter."""

import dataclasses

import numpy as np
import pytest

from spicekit.engines.converter import Converter, LayerReads, convert, set_thresholds
from spicekit.errors import BadInput

LSB = 2e-5
FOR_CODES = Converter(bits=4, reference="linear_codes")


def reads(bend: float = 0.0, offset: float = 0.0):
    """Currents that fall behind their counts by a parabola, as IR drop makes them."""
    count = np.repeat(np.arange(17), 5)
    current = LSB * (count * (1 - bend * count) + offset)
    return LayerReads(current, count, np.ones(len(count)))


def codes(converter: Converter, measured: LayerReads) -> np.ndarray:
    return convert(set_thresholds(converter, [measured], rows=16, lsb=LSB), measured.current)


@pytest.mark.parametrize("reference", ["unit", "linear", "per_level"])
def test_an_ideal_column_gives_its_counts(reference):
    measured = reads()
    assert (codes(Converter(reference=reference), measured) == measured.count).all()


def test_unit_misses_what_ir_drop_takes():
    measured = reads(bend=0.01)
    assert (codes(Converter(), measured) < measured.count).any()


def test_linear_corrects_gain_and_offset():
    measured = reads(offset=0.8)
    measured = dataclasses.replace(measured, current=0.7 * measured.current)
    assert (codes(Converter(reference="linear"), measured) == measured.count).all()


def test_per_level_corrects_a_bent_curve_that_a_line_cannot():
    measured = reads(bend=0.02)
    assert (codes(Converter(reference="linear"), measured) != measured.count).any()
    assert (codes(Converter(reference="per_level"), measured) == measured.count).all()


def test_a_converter_of_four_bits_saturates_at_fifteen():
    thresholds = set_thresholds(Converter(bits=4, full_scale=15), [], rows=16, lsb=LSB)
    assert convert(thresholds, np.array([-LSB, 15 * LSB, 16 * LSB])).tolist() == [0, 15, 15]


def test_coarse_steps_stand_for_several_partial_sums():
    thresholds = set_thresholds(Converter(bits=3, full_scale=14), [], rows=16, lsb=LSB)
    assert thresholds.step == 2.0
    assert convert(thresholds, LSB * np.array([0, 0.9, 1.1, 2, 13.1])).tolist() == [0, 0, 1, 1, 7]


def test_a_fit_needs_three_levels():
    alike = LayerReads(np.zeros(4), np.zeros(4, int), np.ones(4))
    with pytest.raises(BadInput, match="needs 3 at least"):
        set_thresholds(Converter(reference="linear"), [alike], rows=16, lsb=LSB)


def layer_reads(slope, *, counts, weights, reads, spread=0.0):
    """Currents that lag behind the number of ON cells, more where there are more."""
    counts = np.asarray(counts)
    current = LSB * (counts - slope * counts**2)
    return LayerReads(current, counts, np.asarray(weights, float), LSB * spread * counts, reads)


def test_a_line_for_codes_makes_no_error_where_a_line_makes_none():
    layers = [
        layer_reads(0.0, counts=[0, 1, 5], weights=[3, 2, 1], reads=72),
        layer_reads(0.01, counts=[2, 3, 9], weights=[1, 1, 4], reads=9),
    ]
    thresholds = set_thresholds(FOR_CODES, layers, rows=15, lsb=LSB)
    for layer in layers:
        assert (convert(thresholds, layer.current) == layer.count).all()


def test_a_line_for_codes_is_a_line_whoever_asks_for_it():
    """Sign-off, which has reads but no sums of them, was given one threshold for each level."""
    bent, gaps = reads(bend=0.02), {}
    for reference in ("linear_codes", "per_level"):
        found = set_thresholds(Converter(bits=4, reference=reference), [bent], rows=15, lsb=LSB)
        gaps[reference] = np.diff(found.current) / LSB
    assert np.ptp(gaps["linear_codes"]) < 1e-9
    assert np.ptp(gaps["per_level"]) > 0.1


def test_a_line_for_codes_has_the_least_error_of_dot_products_among_lines():
    layers = [
        layer_reads(0.02, counts=np.arange(9), weights=np.arange(9, 0, -1), reads=72, spread=0.03),
        layer_reads(0.02, counts=np.arange(3, 14), weights=np.arange(12, 1, -1), reads=144, spread=0.03),
    ]
    rng = np.random.default_rng(0)
    drawn = [layer.current[:, None] + layer.spread[:, None] * rng.standard_normal((1, 4000)) for layer in layers]

    def error(thresholds):
        total = 0.0
        for layer, current in zip(layers, drawn, strict=True):
            share = layer.weight / layer.weight.sum()
            e = np.searchsorted(thresholds, current, side="right") - layer.count[:, None]
            mean = share @ e.mean(axis=1)
            total += layer.reads * mean**2 + share @ (e**2).mean(axis=1) - mean**2
        return total

    found = error(set_thresholds(FOR_CODES, layers, rows=15, lsb=LSB).current)
    middles = np.arange(15) + 0.5
    others = [
        error(LSB * (offset + gain * middles))
        for gain in np.arange(0.6, 1.0, 0.02)
        for offset in np.arange(-0.4, 0.9, 0.1)
    ]
    squares = set_thresholds(Converter(bits=4, reference="linear"), layers, rows=15, lsb=LSB)
    assert found <= 1.02 * min(others)  # a finite sample was drawn
    assert found < 0.8 * error(squares.current)


@pytest.mark.parametrize("reference", ["linear", "per_level", "linear_codes"])
def test_currents_that_fall_where_more_cells_are_on_are_refused(reference):
    """As of wires so heavy that a column's zeros take what its ones would: thresholds fell, and every code was 15."""
    count, weight = np.arange(9), np.ones(9)
    current = LSB * (9.0 - count)
    layer = LayerReads(current, count, weight, reads=9)
    with pytest.raises(BadInput, match="no more current where more cells are ON"):
        set_thresholds(Converter(bits=4, reference=reference), [layer], rows=15, lsb=LSB)


def test_reads_that_are_all_alike_fit_no_line():
    alike = layer_reads(0.0, counts=[4], weights=[1], reads=3)
    with pytest.raises(BadInput, match=r"partial sums \[4\]; a fit needs 3"):
        set_thresholds(Converter(reference="linear_codes"), [alike], rows=15, lsb=LSB)
