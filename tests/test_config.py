"""What a configuration file may say, and what is said where it does not."""

import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.config import Config, parse
from spicekit.engines.converter import Converter
from spicekit.errors import BadInput
from spicekit.evaluation.design import Design, read_design
from spicekit.study.plan import read_study
from spicekit.tables.characterise import Plan, read_plan

WIRES = {"r_bl": 3.2, "r_sl": 3.2}


class Mixed(Config):
    places: tuple[int, ...] = ()
    name: str = ""
    on: bool = False
    volts: float = 0.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("places", ["1"]),
        ("places", [1.0]),
        ("places", [True]),
        ("name", 1),
        ("on", 1),
        ("on", "yes"),
        ("volts", "0.7"),
        ("volts", True),
        ("volts", float("nan")),
    ],
)
def test_a_value_of_another_type_is_refused_and_named(key, value):
    with pytest.raises(BadInput, match=f"file: '{key}.*should be"):
        parse(Mixed, {key: value}, source="file")


def test_a_list_stands_for_a_tuple_and_a_whole_number_for_a_float():
    record = parse(Mixed, {"places": [1, 2], "volts": 1}, source="file")
    assert record == Mixed(places=(1, 2), volts=1.0)
    assert isinstance(record.volts, float)


def test_a_date_is_no_value():
    import datetime

    with pytest.raises(BadInput, match="dates and times are no values"):
        parse(Mixed, {"name": datetime.date(2020, 1, 1)}, source="file")


@pytest.mark.parametrize("digits", ["0x" + 4000 * "F", "[0b" + 15_000 * "1" + "]"])
def test_a_number_of_thousands_of_digits_is_refused(digits):
    with pytest.raises(BadInput, match="too many digits"):
        Mixed.from_toml(f"places = {digits}\n")


@pytest.mark.parametrize("name", ["mine/\N{GRINNING FACE}.toml", 'a "quoted" \\ name', "tab\tand\x7f", "\u00e9"])
def test_any_text_comes_back_from_toml(name):
    made = Mixed(name=name)
    assert Mixed.from_toml(made.to_toml()) == made


@pytest.mark.parametrize("read", [Mixed.from_toml, Mixed.from_json])
def test_text_that_no_file_can_hold_is_refused(read):
    with pytest.raises(BadInput, match=r"is not valid TOML|Invalid JSON"):
        read('name = "\ud800"' if read == Mixed.from_toml else '{"name": "\ud800"}')


def test_a_design_comes_back_from_json():
    design = Design(tile=TileSpec(wires=Wires(layer="M2", pitch_nm=108)), converter=Converter(full_scale=16))
    assert parse(Design, design.model_dump(mode="json"), source="record") == design


@pytest.mark.parametrize(("key", "value"), [("rows", "64"), ("rows_active", True), ("v_read", "0.35")])
def test_a_tile_does_not_guess_numbers(key, value):
    with pytest.raises(BadInput, match=f"'{key}' = {value!r}: Input should be a valid"):
        Design.from_tables({"tile": {key: value}, "wires": WIRES}, source="tile.toml")


def test_one_fault_in_a_list_is_one_fault():
    with pytest.raises(BadInput) as error:
        parse(Plan, {"grid": [{"process": ["hot"]}]}, source="plan.toml")
    assert str(error.value) == ("plan.toml: 'grid.0.process.0' = 'hot': Input should be 'tt', 'ff', 'ss', 'fs' or 'sf'")
    with pytest.raises(BadInput, match=r"^plan.toml: 'grid.0.vdd' = \[\]: [^;]*$"):
        parse(Plan, {"grid": [{"vdd": []}]}, source="plan.toml")


@pytest.mark.parametrize("scale", [1e-9, 0.5, 257.0, 1e9])
def test_a_full_scale_that_no_tile_has_is_refused_with_its_reason(scale):
    with pytest.raises(BadInput, match=r"full_scale = .*pass 1 to 256 ON cells: one cell would saturate"):
        Design.from_tables({"wires": WIRES, "converter": {"full_scale": scale}}, source="tile.toml")


@pytest.mark.parametrize("scale", [1.0, 16, 256])
def test_any_scale_that_a_tile_can_have_is_taken(scale):
    design = Design.from_tables({"wires": WIRES, "converter": {"full_scale": scale}}, source="tile.toml")
    assert design.converter.full_scale == scale


MISTYPED = """
[tile]
rows = 16
row_active = 16
[wires]
r_bl = 3.2
r_sl = 3.2
[read]
times = 1e-9
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MISTYPED.replace("times", "time"), "line 4: unknown key 'row_active': did you mean 'rows_active'"),
        (MISTYPED.replace("row_", "rows_"), r"\[read\]: line 9: unknown key 'times': did you mean 'time'"),
        ("[tile]\n[wire]\nr_bl = 3", "line 2: unknown key 'wire': did you mean 'wires'"),
        (
            "[wires]\nr_bl = 3\nr_sl = 3\n[convertor]\nbits = 4",
            "line 4: unknown key 'convertor': did you mean 'converter'",
        ),
        (
            "[tile]\nrows = 63\nrows_active = 64\n[wires]\nr_bl = 3\nr_sl = 3",
            ": rows_active = 64 must divide rows = 63",
        ),
        ("[wires]\nr_bl = 3\nr_sl = '3'", "line 3: 'wires.r_sl' = '3': Input should be a valid number"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line_and_the_nearest_right_name(tmp_path, text, said):
    (tmp_path / "tile.toml").write_text(text)
    with pytest.raises(BadInput, match=f"tile.toml.*{said}") as refusal:
        read_design(tmp_path / "tile.toml")
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[base]\nrun = {network = "vgg-small", images = -1}\n', "line 2: 'images' = -1"),
        ('[base]\nwires = {r_bl = 3, r_sl = 3}\n[[grid]]\n"run.images" = [8, -1]\n', "line 4: 'images' = -1"),
    ],
)
def test_what_is_wrong_in_a_study_is_told_with_its_line(tmp_path, text, said):
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(BadInput, match=rf"study.toml \[run\]: {said}"):
        read_study(tmp_path / "study.toml")


def test_the_line_in_a_list_of_tables_is_that_of_its_place(tmp_path):
    (tmp_path / "plan.toml").write_text("[[grid]]\nvdd = [0.7]\n[[grid]]\nvdd = []\n")
    with pytest.raises(BadInput, match=r"line 4: 'grid\.1\.vdd'"):
        read_plan(tmp_path / "plan.toml")
