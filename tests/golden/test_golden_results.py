"""Nothing moves by accident: codes and currents on fixed inputs are those that were recorded (record.py)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

from cases import current_cases, fingerprint, product_cases, shipped_accuracies  # noqa: E402

PRODUCTS = json.loads((FOLDER / "products.json").read_text())
CURRENTS = json.loads((FOLDER / "currents.json").read_text())


@pytest.mark.parametrize(("name", "run"), list(product_cases()), ids=[name for name, _ in product_cases()])
def test_dot_products_are_those_recorded(name, run):
    assert fingerprint(run()) == PRODUCTS[name]


@pytest.mark.parametrize(("name", "run"), list(current_cases()), ids=[name for name, _ in current_cases()])
def test_currents_are_those_recorded(name, run):
    np.testing.assert_allclose(1e6 * run()[0], CURRENTS[name], rtol=1e-9)


def test_accuracies_on_shipped_tables_are_those_recorded():
    assert shipped_accuracies() == json.loads((FOLDER / "shipped.json").read_text())


def test_every_recorded_case_is_run():
    assert PRODUCTS.keys() == {name for name, _ in product_cases()}
    assert CURRENTS.keys() - {"unit"} == {name for name, _ in current_cases()}
    assert len(set(PRODUCTS.values())) > 40  # they tell forms apart
