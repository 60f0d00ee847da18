"""Recorded decks: an edit of a template shows as a diff.

After a wanted change, `python tests/circuits/test_golden.py` records them anew.
"""

from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.render import Transient, cell_deck, core_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires

FOLDER = Path(__file__).parent / "golden"
SRAM = TileSpec(rows=2, columns=3, rows_active=2, wires=Wires(r_bl=3.2, r_sl=3.2, r_row=3.2, r_col=3.2))
RERAM = SRAM.replace(cell="1t1r")
WEIGHTS = np.array([[0, 0, 1], [1, 0, 0]], np.uint8)
INPUTS = np.array([1, 0], np.uint8)

DECKS = {
    "8t-sram-cell": lambda: cell_deck(SRAM, weight=1),
    "8t-sram-core": lambda: core_deck(SRAM),
    "8t-sram-read-port": lambda: tile_deck(SRAM, WEIGHTS, INPUTS),
    "8t-sram-full": lambda: tile_deck(SRAM, WEIGHTS, INPUTS, detail="full"),
    "8t-sram-transient": lambda: tile_deck(SRAM, WEIGHTS, INPUTS, transient=Transient(stop=1e-9, row_cells=64)),
    "1t1r-cell": lambda: cell_deck(RERAM, weight=1),
    "1t1r-wordline-near": lambda: tile_deck(RERAM.replace(sense_end="near"), WEIGHTS, INPUTS),
    "1t1r-bitline": lambda: tile_deck(RERAM.replace(drive="bitline"), WEIGHTS, INPUTS),
}


def circuit(deck: str) -> str:
    """A deck from its analysis options on: what the templates write, without models and their hashes."""
    return deck[deck.index("* ---- currents good to") :]


@pytest.mark.parametrize("name", DECKS)
def test_deck_is_as_recorded(name: str) -> None:
    assert circuit(DECKS[name]()) == (FOLDER / f"{name}.cir").read_text()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, render in DECKS.items():
        (FOLDER / f"{name}.cir").write_text(circuit(render()))
