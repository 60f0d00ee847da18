"""Forms that public decks have: the check says of each what ngspice does with it, and no more."""

import functools
from pathlib import Path

import pytest

from spicekit.decks import expansion
from spicekit.decks.check import check
from spicekit.decks.compare import diff
from spicekit.decks.source import Finding, parse_deck, read_deck
from spicekit.decks.vetting import vet
from spicekit.errors import SpiceFailed
from spicekit.spice.batch import run_batch

# Each runs in ngspice 39 as people mean it: nothing is to be said.
GOOD = {
    "title by a directive": ".title Divider\nVs in 0 DC 1\nRa in out 1k\nRb out 0 3k\n.op\n.end",
    "defaults on an inner line and a multiplier": (
        "t\nVd d 0 1\n.subckt cell p n\n.param r0=1k\nR1 p n {r0}\n.ends\nX1 d 0 cell r0=2k\nX2 d 0 cell m=4\n.op"
    ),
    "a card in bins": (
        "t\nVd d 0 1\nM1 d d 0 0 nch w=1u l=0.1u\n"
        ".model nch.1 nmos level=54 version=4.8 lmin=5e-8 lmax=2e-7 wmin=1e-7 wmax=2e-6 vth0=0.4\n"
        ".model nch.2 nmos level=54 version=4.8 lmin=2e-7 lmax=1e-5 wmin=1e-7 wmax=2e-6 vth0=0.5\n.op"
    ),
    "values by bare name": "t\n.param rload=1k cload=1p\nVs in 0 1\nRa in out rload\nRb out 0 3k\nC1 out 0 cload\n.op",
    "remarks behind a dollar": (
        "t\nV1 a 0 1\n$ a line\nM1 a a 0 0 n w=1u l=1u $X=100 $Y=200 $D=0\nR1 a 0 1k $[poly]\n"
        ".model n nmos level=54 version=4.8 vth0=0.4\n.op"
    ),
    "conditions, macros and probes": (
        "t\n.param corner=1\n.if (corner == 1)\n.param rr=1k\n.else\n.param rr=2k\n.endif\n.macro leg p q\nR1 p q 1k\n"
        ".eom\nVs in 0 SIN(0 1 1meg)\nRa in b {rr}\nX1 b 0 leg\n.csparam rr={rr}\n.probe i(Ra)\n.tran 1n 10n\n"
        ".plot tran v(in)\n.control\nrun\nplot v(in)\nwrite out.raw v(in)\n.endc\n.end"
    ),
    "other devices": (
        "t\nVs in 0 1\nVc c 0 1\nRa in a 1k\nS1 a 0 c 0 sw1\n.model sw1 sw(vt=0.5 ron=1k roff=1meg)\nRb in b 1k\n"
        "Q1 b in 0 npn1\n.model npn1 npn(bf=100)\nRj in j 1k\nJ1 j in 0 jf\n.model jf njf(vto=-2)\nL1 in l1 1n\n"
        "Rl l1 0 1k\nL2 l2 0 1n\nRm l2 0 1k\nK1 L1 L2 0.5\n.op"
    ),
    "power transistors, lines": (
        "t\nV1 d 0 pulse(0 1 1n 0.1n 0.1n 5n 10n)\nM1 d d 0 irf\nM2 d d 0 tj tc irft thermal\nR1 tj 0 1\nR2 tc 0 1\n"
        ".model irf vdmos(vto=3 kp=10)\n.model irft vdmos(vto=3 kp=10 rthjc=0.4)\nY1 d 0 b 0 ym len=16\nR3 b 0 50\n"
        ".model ym txl r=12.45 l=8.972e-9 g=0 c=0.468e-12 length=16\nT1 d 0 c 0 z0=50 td=1n\nR4 c 0 50\n"
        "P1 d b 0 p q 0 pl\nR5 p 0 50\nR6 q 0 50\n.model pl cpl r=0.2 0 0.2 l=9.13e-9 3.3e-9 9.13e-9 g=0 0 0\n"
        "+ c=3.65e-13 -9e-14 3.65e-13 length=2\n.tran 0.1n 10n\n.print tran v(b)"
    ),
    "outputs that ngspice makes devices of": (
        "t\nV1 a 0 1\nR1 a b 1k\nQ1 b b 0 np\n.model np npn\n.probe i(r1) i(q1,2)\n.tran 1n 10n\n"
        ".print tran i(r1) q1:b#branch par('v(a)*v(b)')"
    ),
    "analyses and measurements": (
        "t\nV1 a 0 1 ac 1\nX1 a b s\n.subckt s p q\nV2 p r 0\nR1 r q 1k\nR2 q 0 1k\n.ends\n.param gain=2\n"
        ".noise v(b,a) V1 dec 10 1 1k\n.tf v(a,b) v1\n.sens v(b)\n.pz a 0 b 0 vol pz\n.dc v.x1.v2 0 1 0.1 temp 0 9 3\n"
        ".print dc i(v.x1.v2) @r.x1.r1[i]\n.measure dc y find v(b) at=0.5\n.meas dc z param='gain*y+sqrt(abs(y))'"
    ),
    "names with digits, nodes in brackets, current laws": (
        "t\nV1 a 0 1\nDa a b 1N4148\n.model 1N4148 d\nRb b 0 1k\nE1 (c 0) (a b) 2\nRc c 0 1k\nV2 a e 0\n"
        "B1 e 0 v=i(V2)*(1+v(c))\n.function f(x) {x*2}\n.parameters w={f(2)}\nRd c 0 {w}\n.op"
    ),
    "vectors by name": (
        "t\nV1 a 0 dc 1 ac 1\nR1 a b 1k\nC1 b 0 1n\n.noise v(b) v1 dec 5 1 1k\n"
        ".print noise inoise_spectrum onoise_spectrum\n"
        ".ac dec 5 1 1k\n.print ac frequency b vdb(b) mag(v(b))\n.tran 1n 5n\n"
        ".plot tran time a b v(a, b) (0,5)\n.op\n.print op a"
    ),
    "commands in a loop": (
        "t\nV1 a 0 1\nR1 a 0 1k\n.control\nforeach val 1 2\nalter r1 = $val\nalter @v1[dc] = $val\n"
        "dc v1 0 1 0.1\nend\nlet k = 2\nprint i(v1)*k @r1[i]\nmeas dc m1 find i(v1) at=0.5\nprint m1\n.endc"
    ),
    "dot lines known by how they begin": (
        "t\nV1 vdd 0 1\nR1 vdd 0 {f(2)}\n.optx temp=85\n.funcx f(x) {x*k}\n.parametric k=3\n.globals vdd\n.op"
    ),
    "nodes that look like numbers": "t\nV1 3p3 0 3\nV2 1p8 0 1\nR1 3p3 2b 1k\nR2 2b 1p8 1k\n.op",
    "DOS lines, tabs, a long line": "t\r\nV1\ta\t0\t1\r\nR1 a 0 {" + "1+" * 900 + "1}\r\n+ tc1=0\r\n.op\r\n.end\r\n",
}

# Line, severity and a word of the message that names what is wrong.
# fmt: off
BAD = {
    "measurement that is not there": (
        "t\nV1 a 0 1\nR1 a 0 1\n.tran 1n 2n\n.measure tran x maxx v(a)", 5, "error", "maxx"),
    "device with too few words": ("t\nV1 a 0 1\nR1 a 0 1\nE1 q 0 a\n.op", 4, "error", "not enough"),
    "undefined parameter": ("t\nV1 a 0 1\nRa a 0 {rlaod}\n.op", 3, "error", "rlaod"),
    "undefined parameter in a subcircuit": (
        "t\nV1 a 0 1\n.subckt cell p n r0=1k\nR1 p n 'r0*scalefactor'\n.ends\nX1 a 0 cell\n.op",
        4, "error", "scalefactor"),
    "no bin fits": (
        "t\nVd d 0 1\nM1 d d 0 0 n w=10u l=0.1u\n"
        ".model n.1 nmos level=54 version=4.8 lmin=5e-8 lmax=2e-7 wmin=1e-7 wmax=2e-6\n.op", 3, "error", "modelname"),
    "transistor with a diode's model": (
        "t\nV1 d 0 1\nM1 d d 0 0 dm w=1u\n.model dm d is=1e-14\n.op", 3, "error", "type"),
    "level that is not there": ("t\nV1 d 0 1\nM1 d d 0 0 n\n.model n nmos level=72\n.op", 3, "error", "modelname"),
    "level forgotten": ("t\nV1 d 0 1\nM1 d d 0 0 n\n.model n nmos vth0=0.4\n.op", 4, "error", "vth0"),
    "first line is part of the circuit": ("V1 a 0 DC 1\nR1 a b 1k\nR2 b 0 1k\n.op", 1, "warning", "title"),
    "letter for the point": ("t\nV1 a 0 1\nR1 a 0 4k7\n.op", 3, "warning", "4k7"),
    "transistor without a length": (
        "t\nV1 a 0 1\nM1 a a 0 0 n l=0 w=1u\n.model n nmos level=54 version=4.8\n.op", 3, "error", "xgl"),
    "source that nothing controls": ("t\nV1 a 0 1\nR1 a 0 1\nF1 b 0 vx 2\nR2 b 0 1\n.op", 4, "error", "vx"),
    "switch that nothing controls": (
        "t\nV1 a 0 1\nW1 a 0 r1 wm\nR1 a 0 1\n.model wm csw(it=1m)\n.op", 3, "error", "r1"),
    "current of no source": ("t\nV1 a 0 1\nB1 b 0 i=i(vx)*2\nR2 b 0 1\nR1 a 0 1\n.op", 3, "error", "vx"),
    "coupling without a coil": ("t\nV1 a 0 1\nR1 a b 1\nL1 b 0 1u\nK1 L1 L9 0.9\n.op", 5, "error", "l9"),
    "sweep of no source": ("t\nV1 a 0 1\nR1 a 0 1\n.dc v1 0 1 1 vx 0 1 1\n.print dc v(a)", 4, "error", "vx"),
    "transfer from no source": ("t\nV1 a 0 1\nR1 a 0 1\n.tf v(a) v9", 4, "error", "v9"),
    "noise of no source": ("t\nV1 a 0 1\nR1 a 0 1\n.noise v(a) v9 dec 1 1 9\n.print noise all", 4, "error", "v9"),
    "current of a resistor": (
        "t\nV1 a 0 1\nR1 a 0 1\n.tran 1n 2n\n.measure tran x max i(r1)", 5, "error", ".probe i(r1)"),
    "nothing by that name": (
        "t\nV1 a 0 1\nR1 a 0 1\n.tran 1n 2n\n.meas tran x max v(a)\n.meas tran y param='x*zz'", 6, "error", "zz"),
    "nothing of that kind to measure": (
        "t\nV1 a 0 1\nR1 a 0 1\n.dc v1 0 1 1\n.meas tran x max v(a)", 5, "error", ".tran"),
    "nothing of that kind to print": ("t\nV1 a 0 1\nR1 a 0 1\n.op\n.print tran v(a)", 5, "error", ".tran"),
    "print without an analysis": ("t\nV1 a 0 1\nR1 a 0 1\n.tran 1n 2n\n.print v(a)", 5, "error", "no analysis"),
    "decibels of no node": ("t\nV1 a 0 ac 1\nR1 a 0 1\n.ac dec 1 1 10\n.print ac vdb(a) vp(zz)", 5, "error", "zz"),
    "no vector of that name": (
        "t\nV1 a 0 1\nR1 a 0 1\n.tran 1n 2n\n.print tran a time par('v( a ) * 2') zz", 5, "error", "zz"),
    "device that is not altered": ("t\nV1 a 0 1\nR1 a 0 1\n.control\nalter r9 = 4\nop\n.endc", 5, "error", "r9"),
    "voltage of no node in a command": (
        "t\nV1 a 0 1\nR1 a 0 1\n.control\nop\nlet q = v(zz) + v(a)\n.endc", 6, "error", "zz"),
    "card that is not altered": (
        "t\nV1 a 0 1\nR1 a 0 1\n.control\naltermod m9 vth0 = 4\nop\n.endc", 5, "error", "m9"),
    "line that ngspice does not know": ("t\nV1 a 0 1\nR1 a 0 1\n.shady\n.op", 4, "error", ".shady"),
    "sweep without a step": (
        "t\nV1 a 0 1\nR1 a 0 1\n.dc v1 0 1\n.print dc v(a)\n.control\nquit 1\n.endc", 4, "error", "never ends"),
    "step that leads away": ("t\nV1 a 0 1\nR1 a 0 1\n.dc v1 1 0 0.1\n.print dc v(a)", 4, "error", "away"),
    "frequencies that fall": ("t\nV1 a 0 ac 1\nR1 a 0 1\n.ac dec 1 9 1\n.print ac v(a)", 4, "error", "below"),
    "step for the end": ("t\nV1 a 0 1\nR1 a 0 1\n.tran 9n 1n\n.print tran v(a)", 4, "warning", "longer"),
    "comma for the point": ("t\nV1 a 0 1\nR1 a 0 1,5k\n.op", 3, "warning", "two numbers"),
    "kelvin": ("t\nV1 a 0 1\nR1 a 0 1k\n.temp 298.15\n.op", 4, "warning", "kelvin"),
    "kelvin in an option": ("t\n.options tnom = 300\nV1 a 0 1\nR1 a 0 1k\n.op", 2, "warning", "kelvin"),
    "length without its unit": (
        "t\nV1 a 0 1\nM1 a a 0 0 n l=0.05 w=0.09\n.model n nmos level=54 version=4.8\n.op", 3, "warning", "l = 0.05"),
    "nothing behind the title": ("t\rV1 a 0 1\rR1 a 0 1\r.op", 1, "error", "line feed"),
    "value twice": ("t\nV1 a 0 1\nR1 a 0 1k r=2k\n.op", 3, "warning", "twice"),
    "multiplier of nothing": ("t\nV1 a 0 1\nR1 a 0 1k m=0\n.op", 3, "warning", "m = 0 is not positive: R1"),
    "oxide in nanometres": (
        "t\nV1 a 0 1\nM1 a a 0 0 n l=1u w=1u\n.model n nmos level=54 version=4.8 toxe=2\n.op", 4, "warning", "oxide"),
    "frequency of zero": ("t\nV1 a 0 ac 1\nR1 a 0 1\n.ac dec 1 0 9\n.print ac v(a)", 4, "error", "frequency"),
    "supply between ground and ground": ("t\nVg gnd 0 1\nR1 a 0 1\nV1 a 0 1\n.op", 2, "error", "shorted"),
    "function that is not there": ("t\nV1 a 0 1\nB1 b 0 v=if(v(a),1,2)\nR1 b 0 1\n.op", 3, "error", "if"),
    "value in a remark": ("t\nV1 a 0 1\nR1 a 0 1 $note m=2\n.op", 3, "warning", "m=2"),
    "no value": ("t\nV1 a 0 1\nC1 a 0\nR1 a 0 1\n.op", 3, "warning", "not positive"),
    "analysis that does not run": ("t\nV1 a 0 1\nR1 a 0 1\n.tran 1n 2n", 4, "warning", "-b"),
    "nothing drives": ("t\nV1 a 0 1\nR1 a 0 1\n.ac dec 1 1 9\n.print ac v(a)", 4, "warning", "ac value"),
    "atto": ("t\nV1 a 0 1\nC1 a 0 62a\nR1 a 0 1\n.op", 3, "warning", "atto"),
    "initial value of no node": ("t\nV1 a 0 1\nR1 a 0 1k\n.ic v(bb)=0.5\n.tran 1n 2n", 4, "error", "bb"),
    "measured node is not there": (
        "t\nV1 a 0 1\nR1 a 0 1k\n.tran 1n 2n\n.meas tran t1 WHEN v(d)=0.5 RISE=1", 5, "error", "node d"),
    "times that go back": ("t\nV1 a 0 PWL(0 0 2n 1 1n 0)\nR1 a 0 1k\n.tran 1n 3n", 2, "error", "PWL"),
    "three temperatures": ("t\n.temp -40 25 125\nV1 a 0 1\nR1 a 0 1k\n.op", 2, "error", "-40 25 125"),
    "nothing to do": ("t\nV1 a 0 1\nR1 a 0 1k", 1, "warning", "runs nothing"),
    "file that is not beside the deck": ("t\nV1 a 0 1\nR1 a 0 1k\n.include ../x\n.op", 4, "refused", "library"),
}
# fmt: on


@functools.cache
def checked(name: str) -> tuple[Finding, ...]:
    """What the check says of a form; several tests ask for it."""
    return check(parse_deck(BAD[name][0] if name in BAD else GOOD[name]))


@pytest.mark.parametrize("name", GOOD)
def test_what_ngspice_takes_is_no_finding(name: str) -> None:
    assert checked(name) == ()


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named_with_its_line(name: str) -> None:
    _, line, severity, word = BAD[name]
    found = [f for f in checked(name) if f.line == line and word in f.message]
    assert [f.severity for f in found] == [severity]


@pytest.mark.parametrize("name", [name for name in BAD if BAD[name][2] == "error" and "\r" not in BAD[name][0]])
def test_ngspice_refuses_or_ignores_what_is_an_error(name: str) -> None:
    run = run_batch(parse_deck(BAD[name][0]).text(), timeout=60)
    said = run.output.lower()
    assert run.status or any(
        word in said for word in ("error", "failed", "ignored", "could not", "undefined", "not available")
    )


def test_a_sweep_of_less_than_a_step_is_an_error_since_it_never_ends() -> None:
    deck = parse_deck("t\nV1 a 0 ac 1\nR1 a 0 1\n.ac dec 1 1 9\n.print ac v(a)")
    (found,) = check(deck)
    assert (found.line, found.severity) == (4, "error")
    with pytest.raises(SpiceFailed, match="longer"):
        run_batch(deck.text(), timeout=5)


def test_a_comma_behind_a_parameter_is_an_error_since_ngspice_reads_it_for_ever() -> None:
    deck = parse_deck("t\nV1 a 0 1\n.param x=1k, y=2k\nR1 a 0 {x}\n.op")
    (found,) = check(deck)
    assert (found.line, found.severity) == (3, "error")
    with pytest.raises(SpiceFailed, match="longer"):
        run_batch(deck.text(), timeout=5)
    assert check(parse_deck("t\nV1 a 0 1\n.param x=1k y={max(1, 2)}\nR1 a 0 {x}\n.op")) == ()


@pytest.mark.parametrize("section", ["", "ff"])
def test_a_library_without_the_section_is_an_error(tmp_path: Path, section: str) -> None:
    (tmp_path / "lib.sp").write_text(".lib tt\n.param r=1\n.endl\n", encoding="utf-8")
    (tmp_path / "deck.cir").write_text(f"t\nV1 a 0 1\nR1 a 0 1\n.lib lib.sp {section}\n.op\n", encoding="utf-8")
    (found,) = check(read_deck(tmp_path / "deck.cir"))
    assert (found.line, found.severity) == (4, "error")
    assert "section" in found.message


def test_a_missing_subcircuit_breeds_no_floating_nodes() -> None:
    text = "t\nV1 vdd 0 1\nX1 q qb vdd lib_p\nX2 q qb 0 lib_n\n.op"
    assert [(f.line, f.rule) for f in check(parse_deck(text))] == [(n, "undefined-subcircuit") for n in (3, 4)]


@pytest.mark.parametrize("remark", ["* 10 \xb5A".encode("latin-1"), "* 10 µA".encode()])
def test_letters_of_remarks_do_not_matter(tmp_path: Path, remark: bytes) -> None:
    path = tmp_path / "deck.cir"
    path.write_bytes(b"r\xe9sistance\nV1 a 0 1\nR1 a 0 1k\n" + remark + b"\n.op\n")
    assert check(read_deck(path)) == ()


@pytest.mark.parametrize("word", [".include", ".inc", ".INCL"])
def test_a_file_is_included_by_every_word_that_ngspice_takes(tmp_path: Path, word: str) -> None:
    (tmp_path / "load.inc").write_text("R1 a 0 1k\n", encoding="utf-8")
    (tmp_path / "deck.cir").write_text(f"t\nV1 a 0 1\n{word} 'load.inc'\n.op\n", encoding="utf-8")
    deck = read_deck(tmp_path / "deck.cir")
    assert check(deck) == ()
    assert [s.text for s in deck.statements] == ["V1 a 0 1", "R1 a 0 1k", ".op"]


def test_a_parameter_that_a_subcircuit_has_not_is_named_once() -> None:
    deck = parse_deck("t\nV1 a 0 1\n.subckt c p\nR1 p 0 1k\n.ends\nX1 a c r=2\n.op\n")
    (found,) = check(deck)
    assert (found.line, found.rule) == (6, "unknown-parameter")
    assert "refuses" in found.message


def test_files_beside_the_deck_are_read_and_named(tmp_path: Path) -> None:
    (tmp_path / "lib.sp").write_text(
        ".lib tt\n.subckt leg p q\nR1 p q {ro}\n.ends\n.endl\n.lib ff\n.shady\n.endl\n", encoding="utf-8"
    )
    (tmp_path / "deck.cir").write_text("t\n.lib 'lib.sp' tt\nV1 a 0 1\nX1 a 0 leg\n.op\n", encoding="utf-8")
    (found,) = check(read_deck(tmp_path / "deck.cir"))
    assert (found.file, found.line, found.rule) == ("lib.sp", 3, "undefined-parameter")


@pytest.mark.parametrize(
    "command",
    [
        "run /tmp/file",
        "run > /tmp/file",
        "altermod dm file = mod.txt",
        "altermod dm FILE=mod.txt",
        "altermod dm f{ile,x}=mod.txt",
        "altermod dm $x",
        "write ~/file v(a)",
        "wrdata ../file v(a)",
        "option editor=vi",
        "set sourcepath=/tmp",
        "source x",
        "codemodel x.cm",
        "load x.raw",
        "shell id",
        "echo $x > $file",
    ],
)
def test_a_form_of_a_command_that_may_reach_outside_is_refused(command: str) -> None:
    deck = parse_deck(f"t\nV1 a 0 1\nD1 a 0 dm\n.model dm d\n.control\n{command}\n.endc\n")
    assert [found.rule for found in vet(deck)] == ["command"]


@pytest.mark.parametrize(
    "statement",
    [
        ".options editor=vi",
        ".model a filesource (file=x)",
        ".model a d_source (input_file=x)",
        "V1 a 0 pwl file=x",
        ".hdl x",
        "R1 a 0 {`id`}",
    ],
)
def test_a_statement_that_may_reach_outside_is_refused(statement: str) -> None:
    assert [found.rule for found in vet(parse_deck(f"t\n{statement}\n"))] == ["statement"]


def test_every_spelling_of_a_value_is_the_same() -> None:
    spelled = [[f"C{n} a 0 {n}n", f"C{n} a 0 {n / 1000:g}u"] for n in range(5, 1000, 5)]
    first, second = (parse_deck("\n".join(["t", "V1 a 0 1", *lines])) for lines in zip(*spelled, strict=True))
    assert diff(first, second) == ()


def test_a_library_is_expanded_once_with_its_ports_outside() -> None:
    inner = "t\n.subckt leg p q\nR1 p q 1k\nC1 q 0 1p\n.ends\n.subckt pair p q r\nX1 p q leg\nX2 q r leg\n.ends\n"
    assert [found.rule for found in check(parse_deck(inner))] == ["analysis"]
    (_, undefined) = check(parse_deck(inner.replace("X2 q r leg", "X2 q r lag")))
    assert (undefined.line, undefined.rule) == (8, "undefined-subcircuit")


def test_missing_models_are_named_once_each() -> None:
    text = "t\nV1 d 0 1\nM1 d d 0 0 nn\nM2 d d 0 0 pp\nM3 d d 0 0 nn\n.op\n"
    found = [f for f in check(parse_deck(text)) if f.rule == "undefined-model"]
    assert [(f.line, "1 more" in f.message) for f in found] == [(3, True), (4, False)]


def test_what_a_listing_cuts_off_is_compared_too() -> None:
    points = " ".join(f"{n}n {n % 7}" for n in range(1500))
    deck = f"t\nV1 a 0 PWL({points} 1500n 1)\nR1 a 0 1k\n.tran 1n 2u\n.print tran v(a)\n"
    (found,) = diff(parse_deck(deck), parse_deck(deck.replace("1500n 1)", "1500n 2)")))
    assert found.where.startswith("v1")
    assert check(parse_deck(deck)) == ()


def test_a_subcircuit_out_of_scope_is_missing_all_the_same() -> None:
    outer = ".subckt outer p\n.subckt inner q\nR1 q 0 1\n.ends\nX1 p inner\n.ends\n"
    text = f"t\nV1 a 0 1\n{outer}X1 a outer\nX2 a inner\n.op\n"
    assert [(f.line, f.severity) for f in check(parse_deck(text))] == [(10, "error")]


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_setting_up_one_device_of_each_kind_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked(name)
    monkeypatch.setattr(expansion, "_LARGE", 0)
    assert check(parse_deck(BAD[name][0] if name in BAD else GOOD[name])) == found
