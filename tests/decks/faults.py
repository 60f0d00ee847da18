"""Faults planted by hand in a full tile deck that checks itself, each a text and what takes its place.

`table()` prints which of them the check, a run and the verification find:
`python tests/decks/faults.py`.
"""

import re

import numpy as np

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.check import check
from spicekit.decks.compare import verify
from spicekit.decks.run import run_deck
from spicekit.decks.source import parse_deck
from spicekit.engines.tile import expected_currents
from spicekit.errors import SpicekitError

SPEC = TileSpec(rows=8, columns=4, rows_active=8, wires=Wires(r_bl=3.2, r_sl=3.2))
WEIGHTS = np.random.default_rng(7).integers(0, 2, (8, 4), dtype=np.uint8)
INPUTS = np.array([1, 0, 1, 1, 0, 1, 0, 1], np.uint8)
ON, OFF = int(np.argmax(WEIGHTS[0])), int(np.argmin(WEIGHTS[0]))  # columns of row 0, which is asserted
IDLE = int(np.argmax(WEIGHTS[1]))  # of row 1, which is not


def good() -> str:
    """The deck without a fault."""
    expected = expected_currents(SPEC, WEIGHTS, INPUTS)
    return tile_deck(SPEC, WEIGHTS, INPUTS, detail="full", expected=expected)


def cell(row: int, column: int) -> str:
    """The line of a cell, as a pattern with groups: name, bit line, word line, source line, the rest."""
    return rf"(Xc_{row}_{column}) (\S+) (\S+) (\S+) (.*)"


# Pattern, and what takes the place of its first match.
FAULTS: dict[str, tuple[str, str]] = {
    "a resistance said twice": (r"(Rbl_6_1 .*)", r"\1 r=5000"),
    "a model before its namesake": (
        r"\.model (nmos_sram_tt) nmos",
        r".model \1 nmos (level=14 vth0=0.3)\n.model \1 nmos",
    ),
    "bit and source line of a cell swapped": (cell(0, ON), r"\1 \4 \3 \2 \5"),
    "bit and source line of an idle cell swapped": (cell(1, IDLE), r"\1 \4 \3 \2 \5"),
    "word lines of two rows swapped": (
        r"Vwl_0 wl_0 ((?s:.*?))\nVwl_1 wl_1 (.*)",
        r"Vwl_0 wl_1 \1\nVwl_1 wl_0 \2",
    ),
    "weight flipped": (cell(0, ON)[:-4] + r"(.*)cell_1", r"\1 \2 \3 \4 \5cell_0"),
    "idle weight flipped": (cell(1, IDLE)[:-4] + r"(.*)cell_1", r"\1 \2 \3 \4 \5cell_0"),
    "input flipped": (r"(Vwl_0 wl_0 0 dc) 0\.7", r"\1 0"),
    "cell missing": (cell(0, ON) + r"\n", ""),
    "idle cell missing": (cell(1, IDLE) + r"\n", ""),
    "cell twice": (cell(0, ON), r"\1 \2 \3 \4 \5\nXextra \2 \3 \4 \5"),
    "cell four times by its multiplier": (cell(0, ON), r"\1 \2 \3 \4 \5 m=4"),
    "bulk of the read port at its source": (r"(Maccess rbl rwl mid) 0", r"\1 mid"),
    "bulk of a pull-up at ground": (r"(Mup q qb vdd) vdd", r"\1 0"),
    "drain and source of the storage transistor swapped": (r"Mstorage mid q rsl", "Mstorage rsl q mid"),
    "read transistor of one fin": (r"(Maccess .* m=)2", r"\g<1>1"),
    "pull-down weaker": (r"(Mdown .* m=)2", r"\g<1>1"),
    "pull-up missing": (r"Mupb .*\n", ""),
    "stored bit inverted by its start": (r"(Mdown .*) off", r"\1"),
    "segment doubled": (r"Rbl_3_1 (\S+ \S+) 3\.2", r"Rbl_3_1 \1 6.4"),
    "segment twice in parallel": (r"Rbl_3_1 (\S+ \S+) 3\.2", r"Rbl_3_1 \1 3.2\nRdouble \1 3.2"),
    "segment missing": (r"Rsl_3_1 .*\n", ""),
    "segment shorted": (r"Rsl_3_1 (\S+ \S+) 3\.2", r"Rsl_3_1 \1 1e-6"),
    "driver at the wrong end": (r"(Rdrv_1 vread) b_0_1", r"\1 b_7_1"),
    "sense at the wrong end": (r"(Rsink_1 out_1) s_7_1", r"\1 s_0_1"),
    "sink resistance": (r"(Rsink_2 .*) 100\.0", r"\1 120"),
    "two columns swapped": (
        r"Vsense_1 out_1 ((?s:.*?))\nVsense_2 out_2",
        r"Vsense_1 out_2 \1\nVsense_2 out_1",
    ),
    "sense source the other way": (r"Vsense_1 out_1 0", "Vsense_1 0 out_1"),
    "bridge between bit lines": (r"\nVread", r"\nRbridge b_2_1 b_2_2 50\nVread"),
    "leak to ground": (r"\nVread", r"\nRleak b_2_1 0 1e6\nVread"),
    "capacitor added": (r"\nVread", r"\nCpad b_2_1 0 1e-15\nVread"),
    "supply fed twice": (r"(Vvdd_1 vdd_1 0 dc 0\.7)", r"\1\nVfeed feed 0 dc 0.7\nRfeed feed vdd_1 1e-3"),
    "supply of another column": (cell(0, ON)[:-4] + r"(.* )vdd_\d", rf"\1 \2 \3 \4 \5vdd_{OFF}"),
    "read voltage": (r"(Vread vread 0 dc) 0\.35", r"\1 0.36"),
    "write word line asserted": (r"(Vwwl_0 wwl_0 0 dc) 0", r"\1 0.7"),
    "bit line not precharged": (r"(Vwbl_1 wbl_1 0 dc) 0\.7", r"\1 0"),
    "temperature": (r"\.temp 25\.0", ".temp 85"),
    "tolerances of the simulator": (r"reltol=1e-6", "reltol=1e-2"),
    "parameter of a card": (r"(\.model nmos_sram_tt(?s:.*?)vth0=)(\S+)", r"\g<1>0.3"),
    "another card under the right name": (
        r"(\.model nmos_sram_tt nmos)(?s:.*?)\n\n",
        r"\1 level=1 vto=0.2 kp=1e-4\n\n",
    ),
    "initial voltage": (r"\nVread", r"\n.nodeset v(xc_0_0.q)=0.35\nVread"),
    "currents of another column printed": (r"print i\(vsense_1\)", "print i(vsense_2)"),
    "altered in the control section": (r"\nop\n", r"\nalter Rbl_0_0 = 10\nop\n"),
    "altered after the fact": (r"\nlet failures = 0\n", r"\nalter Vread dc = 0.3\nlet failures = 0\n"),
    "tolerance of an ampere": (r"(?s)^(.*)\Z", r"\1"),  # made below: it stands in many places
    "expected current edited in the header": (r'("current" = \[)\S+?,', r"\g<1>1e-5,"),
    "expected current edited in the commands": (r"(abs\(i\(vsense_0\) - )\S+(\) >)", r"\1(i(vsense_0))\2"),
    "verdict without a test": (r"(?s)let failures = 0\n.*?\necho \"PASS", 'echo "PASS'),
    "hash of the weights edited": (r'(weights_sha256" = ")....', r"\1beef"),
    "hash of a card edited": (r'(models_sha256\](?s:.*?)" = ")....', r"\1beef"),
    "spec in the header edited": (r'("r_sink" = )100\.0', r"\g<1>50.0"),
    "two weights exchanged in a row": (
        rf"(Xc_0_{ON} .*)cell_1((?s:.*?))(Xc_0_{OFF} .*)cell_0|(Xc_0_{OFF} .*)cell_0((?s:.*?))(Xc_0_{ON} .*)cell_1",
        r"\1\4cell_0\2\5\3\6cell_1",
    ),
    "word line of a row two": (cell(2, 0), r"\1 \2 wl_1 \4 \5"),
    "write bit lines of a column exchanged": (r"(Xc_4_2 \S+ \S+ \S+ )(\S+) (\S+) (\S+)", r"\1\2 \4 \3"),
    "cells of two columns exchanged": (r"(Xc_4_1 )b_4_1((?s:.*?)Xc_4_2 )b_4_2", r"\1b_4_2\2b_4_1"),
    "threshold shifted for one transistor": (r"(Mstorage .*)", r"\1 delvto=0.05"),
    "mobility of one transistor": (r"(Maccess .*)", r"\1 mulu0=0.9"),
    "sources and drains with area": (r"(Maccess .*)", r"\1 ad=1e-14"),
    "temperature of one transistor": (r"(Maccess .*)", r"\1 dtemp=10"),
    "width by a part in a thousand": (r"(Mdown .*w=)\S+", r"\g<1>7.057e-08"),
    "resistor with a temperature coefficient": (r"(Rbl_5_2 .*)", r"\1 tc1=0.004"),
    "resistance at another frequency": (r"(Rbl_5_2 .*)", r"\1 ac=100"),
    "multiplier of a wire": (r"(Rsl_5_2 .*)", r"\1 m=2"),
    "name of a parameter redefined": (r"\nVread", "\n.param temper=85\n.options tnom=85\nVread"),
    "scale of all lengths": (r"\nVread", "\n.options scale=0.9\nVread"),
    "shunts at all nodes": (r"\nVread", "\n.options rshunt=1e9\nVread"),
    "smallest conductance": (r"gmin=\S+", "gmin=1e-9"),
    "supply that is not direct": (r"(Vvdd_0 vdd_0 0) dc 0\.7", r"\1 dc 0.7 ac 1"),
    "supply in steps": (r"(Vvdd_0 vdd_0 0) dc 0\.7", r"\1 pulse(0.7 0 1n 1n 1n 1n)"),
    "sense by a resistor of nothing": (r"Vsense_3 out_3 0 .*", "Vsense_3 out_3 0 dc 1e-6"),
    "card altered in the control section": (r"\nop\n", "\naltermod nmos_sram_tt u0 = 0.02\nop\n"),
    "temperature in the control section": (r"\nop\n", "\nset temp=85\nop\n"),
    "a second operating point": (r"\nop\n", "\nop\nop\n"),
    "currents written over": (
        r"\nlet failures = 0\n",
        "\necho i(vsense_0) = 1 > currents.txt\nlet failures = 0\n",
    ),
    "status of success": (r"quit 1", "quit 0"),
    "global supply": (r"\nVread", "\n.global q\nVread"),
    "inductor in a wire": (r"Rbl_2_2 (\S+) (\S+) 3\.2", r"Rbl_2_2 \1 ind 3.2\nLbl ind \2 1e-12"),
    "resistance drawn anew by every run": (r"(Rbl_5_2 \S+ \S+) (\S+)", r"\1 {\2 + (aunif(0, 1) > 0.99)}"),
    "resistance by a law": (r"(Rbl_5_2 \S+ \S+) (\S+)", r"\1 r='\2 * (1 + v(b_0_0))'"),
    "next line drawn into this one by a remark": (r"(Xc_4_1 .*)", r"\1 ; a remark \\\\"),
    "inner nodes joined by a longer word": (r"\nVread", "\n.globals mid\nVread"),
    "tolerances by a shorter word": (r"\nVread", "\n.opt reltol=1e-2\nVread"),
    "card inside a subcircuit": (r"\n\.ends", "\n.model nmos_sram_tt nmos level=1 vto=0.2\n.ends"),
    "cell under a condition": (r"(Xc_1_1 .*)", r".if (0)\n\1\n.endif"),
    "command in a remark": (r"\nVread", "\n*# alter vread dc=0.3\nVread"),
    "commands behind the end": (r"\n\.end\n", "\n.end\n.control\nalter vread dc=0.3\n.endc\n"),
    "file that may change": (r"\nVread", "\n.include more.cir\nVread"),
    "output added": (r"\nVread", "\n.save v(b_0_0)\nVread"),
    "temperature missing": (r"\.temp 25\.0\n", ""),
    "multiplier by a part in ten thousand": (r"(Maccess .*m=)2", r"\g<1>2.0002"),
    "node that looks like ground": (r"Vsense_1 out_1 0", "Vsense_1 out_1 00"),
    "letter that looks like another": (r"(Rbl_3_1 )b_3_1", "\\1\u0431_3_1"),
    "names of two cells exchanged": (r"Xc_0_1 ((?s:.*?))\nXc_0_2 ", r"Xc_0_2 \1\nXc_0_1 "),
    "cell defined again": (r"\nVread", "\n.subckt cell_1 a b c d e f g\nR1 a c 1e4\n.ends\nVread"),
    "smallest conductance said twice": (r"\nVread", "\n.options gmin=1e-12 gmin=1e-9\nVread"),
    "function of the commands defined": (r"\nop\n", "\ndefine abs(x) 0\nop\n"),
    "bin beside a card": (
        r"\.model (nmos_sram_tt) nmos",
        r".model \1.1 nmos (level=14 vth0=0.3 lmin=1e-9 lmax=1 wmin=1e-9 wmax=1)\n.model \1 nmos",
    ),
    "value before a remark": (r"(Rbl_5_2 \S+ \S+) (\S+)", r"\1 6.4 $ \2"),
    "multiplier on a further line": (r"(Rbl_5_2 \S+ \S+ \S+)", r"\1\n* nothing\n+ m=2"),
    "function of the values defined": (
        r"(Rbl_5_2 \S+ \S+) (\S+)",
        r".func sqrt(x) {2*x}\n\1 {sqrt(\2)}",
    ),
    "source of nothing at a sense point": (r"\nVread", "\nIx 0 out_1 0\nVread"),
    "cell no times by its multiplier": (r"(Xc_1_1 .*)", r"\1 m=0"),
    "altered by let": (r"\nop\n", "\nlet @rbl_0_0[resistance] = 10\nop\n"),
    "diode at a bit line": (r"\nVread", "\nDesd 0 b_0_0 dd\n.model dd d(is=1e-20)\nVread"),
    "subcircuit in place of a cell": (
        r"(Xc_5_3 \S+ \S+ \S+ \S+ \S+ \S+ \S+) \S+",
        r"\1 other\n.subckt other a b c d e f g\nR1 a c 1e4\n.ends",
    ),
}


def plant(fault: str, deck: str) -> str:
    """The deck with a fault."""
    if fault == "tolerance of an ampere":
        tolerance = expected_currents(SPEC, WEIGHTS, INPUTS).tolerance
        return deck.replace(str(tolerance), "1.0").replace(f"{tolerance:.15g}", "1.0")
    pattern, replacement = FAULTS[fault]
    planted, count = re.subn(pattern, replacement, deck, count=1)
    assert count == 1, fault
    assert planted != deck, fault
    return planted


def outcomes(fault: str) -> tuple[bool, bool, bool]:
    """Whether the check, a run and the verification find a fault."""
    deck = parse_deck(plant(fault, good()))
    try:
        ran = run_deck(deck).status != 0
    except SpicekitError:
        ran = True
    expected = expected_currents(SPEC, WEIGHTS, INPUTS)
    return bool(check(deck)), ran, bool(verify(deck, SPEC, WEIGHTS, INPUTS, expected=expected))


def table() -> str:
    """Lines of a table, one for each fault, and the sums."""
    marks, lines = {True: "found", False: "-"}, []
    found = {fault: outcomes(fault) for fault in FAULTS}
    for fault, results in found.items():
        lines.append(f"{fault:52} {'  '.join(f'{marks[result]:6}' for result in results)}")
    sums = [sum(result[k] for result in found.values()) for k in range(3)]
    return "\n".join([f"{'fault':52} check   run     verify", *lines, f"{len(found)} faults: {sums}"])


if __name__ == "__main__":
    print(table())
