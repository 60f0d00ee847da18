"""`import spicekit as sk`: what it offers, and that it is quick."""

import ast
import json
import pickle
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray

import spicekit as sk
from spicekit.circuits.spec import TileSpec
from spicekit.engines.exact.ladder import residual_limit
from spicekit.evaluation.records import Demo, PlacedEvaluation, TileRun
from spicekit.networks.models import Architecture, build
from spicekit.results import Record, units_of
from spicekit.study.plan import Study

ROOT = Path(__file__).parents[1]
STUB = Path(sk.__file__).with_suffix(".pyi")
WIRES = sk.Wires(r_bl=3.2, r_sl=2.0)


def test_importing_it_loads_nothing_else():
    code = "import sys; before = set(sys.modules); import spicekit; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["spicekit"]


def test_every_name_of_the_stub_is_there_and_documented():
    names = [
        alias.asname
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted([*names, "__version__"]) == sk.__all__
    assert set(names) <= set(dir(sk))
    for name in names:
        assert getattr(sk, name).__doc__, name


def test_every_name_has_an_example_that_the_suite_runs():
    lacking = [name for name in sk.__all__ if name != "__version__" and ">>>" not in getattr(sk, name).__doc__]
    assert lacking == []


def test_every_name_that_a_page_uses_is_there():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "spicekit/results.py"]
    used = {name for page in pages for name in re.findall(r"\bsk\.(\w+)", page.read_text())}
    assert len(used) > 15
    assert used - set(dir(sk)) == set()


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="'spicekit' has no attribute 'nonsense'"):
        sk.nonsense  # noqa: B018


@pytest.mark.parametrize("bits", [np.int64, np.uint8, bool, np.int8, list])
def test_a_tile_takes_bits_of_any_kind(tables, bits):
    spec = TileSpec(rows=8, columns=3, rows_active=4, wires=WIRES)
    weights = np.random.default_rng(0).integers(0, 2, (8, 3))
    vector = np.array([1, 0, 1, 1, 0, 1, 1, 0])
    plain = sk.Tile(spec, weights, table=tables["8t-sram"]).currents(vector)
    cast = (lambda array: array.tolist()) if bits is list else (lambda array: array.astype(bits))
    found = sk.Tile(spec, cast(weights), table=tables["8t-sram"]).currents(cast(vector))
    assert isinstance(found, xarray.DataArray)
    assert found.dims == ("vector", "read", "column")
    assert found.shape == (1, 2, 3)
    assert found.attrs["units"] == "A"
    assert found.attrs["lsb"] > 0
    assert json.loads(found.attrs["provenance"])["spec"]["rows"] == 8
    assert (found == plain).all()


@pytest.mark.parametrize("bits", [[[2, 0]], [[0.5, 1.0]], [["1", "0"]], [[-1, 1]], [[1, 0], [1]]])
def test_what_is_no_bit_is_refused(tables, bits):
    spec = TileSpec(rows=1, columns=2, wires=WIRES)
    with pytest.raises(sk.BadInput, match="weights: expected"):
        sk.Tile(spec, bits, table=tables["8t-sram"])


def test_a_vector_of_another_length_is_refused_with_both(tables):
    tile = sk.Tile(TileSpec(rows=4, columns=1, wires=WIRES), np.ones((4, 1), int), table=tables["8t-sram"])
    with pytest.raises(sk.BadInput, match=r"Tile of 4 rows got bits shaped \(3,\); pass \(b, 4\)"):
        tile.currents([1, 0, 1])
    with pytest.raises(sk.BadInput, match="engine 'EXACT'"):
        tile.currents([1, 0, 1, 1], engine="EXACT")


@pytest.mark.parametrize("sense_end", ["near", "far"])
@pytest.mark.parametrize(("cell", "drive"), [("8t-sram", "wordline"), ("1t1r", "wordline"), ("1t1r", "bitline")])
def test_voltages_and_currents_inside_obey_kirchhoff_and_add_up_to_the_engines(tables, cell, drive, sense_end):
    """Every cell carries what its I-V table says at its own terminals; every segment loses r times what it carries."""
    from spicekit.tables.table import interpolate

    wires = sk.Wires(r_bl=30.0, r_sl=20.0, r_row=30.0, r_col=20.0, r_driver=100.0, r_sink=50.0)
    spec = TileSpec(cell=cell, drive=drive, sense_end=sense_end, rows=8, columns=3, wires=wires)
    rng = np.random.default_rng(1)
    weights, bits = rng.integers(0, 2, (8, 3)), rng.integers(0, 2, (2, 8))
    table = tables[cell]
    tile = sk.Tile(spec, weights, table=table)
    inside = tile.solve(bits)
    engine = tile.currents(bits)
    assert np.allclose(inside.current, engine, rtol=1e-5, atol=1e-12)
    for vector in range(2):
        one = inside.isel(vector=vector, read=0)
        state = 2 * weights + (bits[vector][:, None] if drive == "wordline" else 1)
        own = interpolate(table, state.ravel(), one.v_bl.values.ravel(), one.v_sl.values.ravel())
        assert np.abs(own - one.cell_current.values.ravel()).max() < 10 * residual_limit(table)
        current = one.cell_current.values
        if drive == "wordline":
            below = current[::-1].cumsum(0)[::-1]
            assert np.allclose(-np.diff(one.v_bl, axis=0), 30 * below[1:], atol=1e-9)
            assert np.allclose(spec.v_read - one.v_bl[0], 100 * below[0], atol=1e-9)
            end = one.v_sl[-1 if sense_end == "far" else 0]
        else:
            behind = current[:, ::-1].cumsum(1)[:, ::-1]
            assert np.allclose(-np.diff(one.v_bl, axis=1), 30 * behind[:, 1:], atol=1e-9)
            end = one.v_sl[-1 if sense_end == "far" else 0]
        assert np.allclose(end, 50 * current.sum(0), atol=1e-9)


def test_ideal_wires_leave_no_drop(tables):
    wires = sk.Wires(r_bl=0.0, r_sl=0.0, r_driver=0.0, r_sink=0.0)
    inside = sk.Tile(TileSpec(rows=4, columns=2, wires=wires), np.ones((4, 2), int), table=tables["8t-sram"]).solve(
        [1, 1, 0, 1]
    )
    assert (inside.v_bl == 0.35).all()
    assert (inside.v_sl == 0).all()


def test_a_table_has_axes_and_units(sram_table):
    array = sram_table.to_xarray()
    assert array.dims == ("w", "a", "v_bl", "v_sl")
    assert array.attrs["units"] == "A"
    assert array.v_bl.attrs["units"] == "V"
    assert float(array.sel(w=1, a=1, v_sl=0.0).max()) == sram_table.current[1, 1, :, 0].max()
    assert len(sram_table.plot().lines) == 4


@pytest.fixture(scope="module")
def evaluated(tables):
    digits, train = sk.load_dataset("digits", "test").first(6), sk.load_dataset("digits", "train").first(16)
    network = build(Architecture(name="vgg-small", width=0.0625)).eval()
    design = sk.design(r_bl=3.2, r_sl=3.2, rows_active=16, probe_images=4)
    return sk.evaluate(network, digits, design, tables["8t-sram"], calibration=train, energy=False)


def test_a_result_is_read_back_as_it_was_written(evaluated, tmp_path):
    evaluated.save(tmp_path / "evaluation.json")
    again = sk.load(tmp_path / "evaluation.json")
    assert type(again) is sk.Evaluation
    assert again == evaluated
    assert again.provenance["weights_sha256"]
    frame = again.to_pandas()
    assert list(frame["mitigation"]) == ["none", "both"]
    assert frame.attrs["units"]["current"] == "A"
    assert "current, A" in again._repr_html_()
    assert len(again.plot().patches) == 3


@pytest.mark.parametrize("path", [None, 3, b"bytes", "a\0b"])
def test_what_is_no_path_is_refused_in_one_sentence(path):
    for read in (
        sk.load,
        sk.read_design,
        lambda odd: sk.sweep(odd, "out"),
        lambda odd: sk.sweep(Study(points=()), odd),
    ):
        with pytest.raises(sk.BadInput, match="expected a path, got"):
            read(path)


def test_where_a_study_runs_and_how_cells_vary_are_records():
    study = Study(points=())
    with pytest.raises(sk.BadInput, match=r"expected a spicekit\.study\.cluster\.Cluster, got 'slurm'"):
        sk.sweep(study, "out", cluster="slurm")
    with pytest.raises(sk.BadInput, match=r"cluster\.Scheduler, got 'tcp://here:1'"):
        sk.sweep(study, "out", scheduler="tcp://here:1")
    with pytest.raises(sk.BadInput, match=r"expected a Variation, got 0\.5"):
        sk.Tile(sk.design(rows=2, columns=2, layer="M2", pitch_nm=108), np.eye(2, dtype=int), variation=0.5)


def test_standard_errors_are_those_of_the_images(evaluated):
    """Of means over images: none of one image; a quarter of the images doubles them, about."""
    run = evaluated.runs[0]
    assert 0 < run.current_error < 0.1 * run.current
    assert 0 < run.partial_sum_error < 0.2 * run.partial_sum
    single = evaluated.with_design(evaluated.design.replace(read=evaluated.design.read.replace(probe_images=1)))
    assert single.runs[0].current_error is None


def test_another_converter_runs_neither_software_nor_ideal_tiles(evaluated, monkeypatch):
    def forbidden(*arguments, **options):
        raise AssertionError("ran again")

    monkeypatch.setattr("spicekit.evaluation.evaluate.software_and_ideal", forbidden)
    other = evaluated.with_converter(bits=3)
    assert other.design.converter.bits == 3
    assert other.software == evaluated.software
    assert other.runs[0].current == evaluated.runs[0].current
    with pytest.raises(AssertionError, match="ran again"):
        evaluated.with_design(evaluated.design.replace(tile={**evaluated.design.tile.model_dump(), "rows": 32}))


def test_a_result_from_a_file_cannot_run_again(evaluated, tmp_path):
    evaluated.save(tmp_path / "evaluation.json")
    with pytest.raises(sk.BadInput, match=r"read from a file; call spicekit\.evaluate"):
        sk.load(tmp_path / "evaluation.json").with_converter(bits=3)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"accuracy_software": 1, "runs": []}', "3"])
def test_what_is_no_result_is_refused_by_name(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(sk.BadInput, match=r"x\.json"):
        sk.load(tmp_path / "x.json")


def test_the_session_of_the_page_runs_as_it_stands(tmp_path, monkeypatch):
    """With what it says that it prints."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/python.md").read_text()
    session, output = re.findall(r"```(?:python|text)\n(.*?)```", page, re.DOTALL)[:2]
    done = subprocess.run([sys.executable, "-c", session], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == output


def test_the_page_of_result_files_is_that_of_the_models():
    made = runpy.run_path(str(ROOT / "scripts/results_page.py"))["results_page"]()
    assert (ROOT / "docs/results.md").read_text() == made


def test_every_field_of_a_result_says_what_it_means():
    import spicekit.evaluation.records
    import spicekit.study.results  # noqa: F401

    def below(kind):
        return {kind}.union(*map(below, kind.__subclasses__()))

    records = below(Record) - {Record}
    assert len(records) > 15
    fields = {(one.__name__, name): field for one in records for name, field in one.model_fields.items()}
    assert [place for place, field in fields.items() if not field.description] == []
    assert units_of(sk.Evaluation, TileRun).items() >= {"current": "A", "energy": "J", "accuracy": "1"}.items()


def test_a_converted_network_is_pickled_with_what_it_stands_on(tables):
    network = build(Architecture(name="vgg-small", width=0.0625)).eval()
    tiled = sk.convert(network, sk.design(r_bl=3.2, r_sl=3.2, rows_active=16), table=tables["8t-sram"])
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(pickle.loads(pickle.dumps(tiled))(images), tiled(images))


def test_no_images_give_no_products(tables):
    design = sk.design(rows=16, columns=4, r_bl=3.2, r_sl=3.2)
    for layer, shape in ((sk.BinaryConv2d(2, 3), (0, 2, 5, 4)), (sk.BinaryLinear(7, 3), (0, 7))):
        tiled = sk.convert(torch.nn.Sequential(layer), design, table=tables["8t-sram"])
        assert tiled(torch.ones(shape)).shape == layer(torch.ones(shape)).shape


WHOLE = {"r_bl": 3.2, "r_sl": 3.2}
SMALL = torch.nn.Sequential(torch.nn.Flatten(), sk.BinaryLinear(3072, 10)).eval()
REFUSED = {
    "a table that is a number": (lambda: sk.design(**WHOLE, converter=5), "pass a Converter or a mapping"),
    "a field twice": (
        lambda: sk.design(**WHOLE, converter=sk.Converter(bits=5), bits=4),
        "'bits' of converter is given twice",
    ),
    "a wire twice": (
        lambda: sk.design(tile=TileSpec(wires=WIRES), r_bl=1.0),
        "'r_bl' of wires is given twice",
    ),
    "a spec changed in place": (
        lambda: setattr(WIRES, "r_bl", 1.0),
        r"is not changed in place; make another: .replace\(r_bl=",
    ),
    "a field taken away": (lambda: delattr(WIRES, "r_bl"), "is not changed in place"),
    "TOML that is no text": (lambda: sk.Design.from_toml(3), "TOML: expected text, got int"),
    "JSON that is no text": (lambda: sk.Design.from_json(None), "JSON: expected text, got NoneType"),
    "a folder for a design": (lambda: sk.read_design("/"), "no regular file"),
    "a design that is none": (lambda: sk.convert(SMALL, "M2"), "expected a Design or a TileSpec, got str"),
    "a table of no spec": (lambda: sk.load_table(3), "expected a Design or a TileSpec, got int"),
    "a table by name": (
        lambda: sk.Tile(sk.design(rows=1, columns=1, **WHOLE), [[1]], table="8t"),
        "expected an IVTable",
    ),
    "a network by name": (
        lambda: sk.convert("vgg-small", sk.design(**WHOLE)),
        "expected a network, a torch.nn.Module, got str",
    ),
    "a network without signs": (
        lambda: sk.convert(torch.nn.Linear(3, 2), sk.design(**WHOLE)),
        "no layer for tiles",
    ),
    "energy of none": (
        lambda: sk.energy(torch.nn.Linear(3, 2), None, sk.design(**WHOLE)),
        "no layer for tiles",
    ),
    "images by name": (lambda: sk.evaluate(SMALL, "digits", sk.design(**WHOLE)), "as_dataset"),
    "no vectors": (lambda: sk.sign_off(sk.design(**WHOLE), vectors=0), "pass 1 at least"),
    "adopting a name": (lambda: sk.adopt("x", torch.ones(1)), r"expected a torch\.nn\.Module, got str"),
    "an example that is no batch": (lambda: sk.adopt(SMALL, [1, 2]), "the example is a list"),
    "calibrating a design": (lambda: sk.calibrate(sk.design(**WHOLE)), "expected a TileSpec"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_in_our_words(what):
    call, said = REFUSED[what]
    with pytest.raises(sk.BadInput, match=said):
        call()


def test_a_path_stands_for_text_and_an_array_scalar_for_a_number():
    assert sk.Device(nmos=Path("nmos-sram")) == sk.Device()
    assert sk.Converter(bits=np.int16(4), full_scale=np.float32(15)) == sk.Converter(bits=4, full_scale=15.0)


def test_a_design_may_be_a_tile_alone_and_images_of_any_kind(evaluated, tables):
    digits = sk.load_dataset("digits", "test").first(2)
    spec = TileSpec(rows=16, columns=4, wires=WIRES)
    pair = digits.images, digits.labels
    one, other = (
        sk.evaluate(SMALL, images, what, tables["8t-sram"], mitigations=["none"])
        for images, what in ((digits, spec), (pair, sk.Design(tile=spec)))
    )
    assert one.runs == other.runs


def test_a_class_that_no_label_shows_may_be_told(tables):
    """Accuracy counts all that the network tells apart, not the labels at hand alone."""
    head = sk.BinaryLinear(4, 3)
    head.weight.data = torch.tensor([[1.0, 1, 1, 1], [-1, -1, -1, -1], [1, 1, -1, -1]])
    images = np.array([[1, 1, -1, -1], [1, 1, 1, 1]], np.float32)
    design = sk.design(rows=4, columns=4, r_bl=0.0, r_sl=0.0, r_driver=0.0, r_sink=0.0)
    result = sk.evaluate(torch.nn.Sequential(head).eval(), (images, np.array([0, 0])), design, tables["8t-sram"])
    assert result.software == result.runs[0].accuracy == 0.5
    assert result.runs[0].predictions == (2, 0)
    assert result.classes == ("0", "1", "2")


def test_a_pickled_result_is_like_one_from_a_file(evaluated):
    again = pickle.loads(pickle.dumps(evaluated))
    assert again == evaluated
    with pytest.raises(sk.BadInput, match="read from a file"):
        again.with_converter(bits=3)
    with pytest.raises(sk.BadInput, match="not changed in place"):
        again.images = 3


def test_a_result_that_cannot_be_written_is_refused(evaluated, tmp_path):
    with pytest.raises(sk.BadInput, match="cannot be written"):
        evaluated.save(tmp_path / "none" / "x.json")


def test_a_demo_is_drawn_with_a_bar_for_software_and_each_run(evaluated):
    fields = {name: getattr(evaluated, name) for name in sk.Evaluation.model_fields}
    placed = [PlacedEvaluation(**fields, network="vgg-small", point=point) for point in ("mild", "heavy")]
    demo = Demo(evaluations=tuple(placed), provenance=evaluated.provenance)
    assert len(demo.plot().patches) == 2 * (1 + len(evaluated.runs))
