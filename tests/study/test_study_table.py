"""Tables of a study."""

import json
import sys
from pathlib import Path

from spicekit.evaluation.costs import Figures
from spicekit.report.study_findings import accuracy_table

sys.path[:0] = [str(Path(__file__).parents[2] / "scripts")]
from paper_tables import costs_table, layers_table, markdown, results_table  # noqa: E402


def row(rows_active: int, mitigation: str, ones: float):
    return {
        "tile.rows": 64,
        "tile.rows_active": rows_active,
        "run.mitigation": mitigation,
        "images": 500,
        "accuracy": 0.9,
        "software_accuracy": 1.0,
        "partial_sum": ones,
        "nf": 0.123,
        "energy": 2e-6,
        "layers": json.dumps({"conv2": {"partial_sum": 2 * ones}, "conv3": {"partial_sum": 4.0}}),
        "fault": "",
    }


ROWS = [row(16, "none", 4.0), row(16, "both", 2.0), row(64, "none", 10.0), row(64, "both", 9.0)]


def test_a_table_shows_what_varies_and_the_results():
    lines = results_table(ROWS).splitlines()
    assert lines[0].startswith("| tile.rows_active | run.mitigation | images | software, % | tiles, % | ")
    assert lines[2] == "| 16 | none | 500 | 100.0 | 90.0 | 4.00 | 12.3 | 2.00 |"
    assert len(lines) == 6


def test_accuracies_stand_side_by_side():
    rows = [dict(each, accuracy=0.1 * place) for place, each in enumerate(ROWS)]
    lines = markdown(accuracy_table(rows[:3])).splitlines()
    assert lines[0] == "| tile.rows_active | none | both |"
    assert lines[2:] == ["| 16 | 0.0 | 10.0 |", "| 64 | 20.0 |  |"]


def test_dies_are_pooled():
    dies = [dict(ROWS[0], accuracy=accuracy) for accuracy in (0.5, 0.6, 0.7)]
    rows = [dict(die, **{"variation.seed": seed}) for seed, die in enumerate(dies)]
    lines = markdown(accuracy_table([*rows, dict(rows[0], **{"tile.rows": 32})], pooled="variation.seed")).splitlines()
    assert lines[0] == "| tile.rows | none |"
    assert lines[2:] == ["| 64 | 60.0 +- 10.0 (3) |", "| 32 | 50.0 |"]


def test_a_failed_point_says_why():
    failed = {key: value for key, value in row(32, "none", 0.0).items() if "." in key}
    table = results_table([*ROWS, {**failed, "fault": "NotConverged: x"}])
    assert table.splitlines()[-1] == "| 32 | none | NotConverged: x |  |  |  |  |  |"


def test_layers_are_held_against_the_point_that_differs_in_the_mitigation_alone():
    lines = layers_table(ROWS).splitlines()
    assert lines[0] == "| tile.rows_active | run.mitigation | conv2 | conv3 | all |"
    assert lines[2:] == [
        "| 16 | both | -50.0 % | +0.0 % | -50.0 % |",
        "| 64 | both | -10.0 % | +0.0 % | -10.0 % |",
    ]


def test_costs_are_held_against_the_point_that_differs_in_the_mitigation_alone():
    plain = Figures.of({"bit lines": 1e-6, "converter": 3e-6}, 2e-6, {"cells": 4e-6})
    flipped = Figures.of({"bit lines": 0.5e-6, "converter": 3e-6, "correction": 0.1e-6}, 2e-6, {"cells": 5e-6})
    lines = costs_table(ROWS, [plain, flipped, flipped, plain]).splitlines()
    assert lines[2] == "| 16 | none | 4 | 25.0 % | 0.0 % |  | 2 |  | 4 |  |"
    assert lines[3] == "| 16 | both | 3.6 | 13.9 % | 2.8 % | -10.0 % | 2 | +0.0 % | 5 | +25.0 % |"
    assert lines[5] == "| 64 | both | 4 | 25.0 % | 0.0 % | +11.1 % | 2 | +0.0 % | 4 | -20.0 % |"
