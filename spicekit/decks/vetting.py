"""What a deck may do beyond describing a circuit: run commands, read and write files.

ngspice executes more of a deck than its `.control` sections: comments that begin with `*#`, text in
backquotes, sections in included files and behind `.end`. So the commands and forms of argument that are known to be
harmless are listed here, and all else is refused: a line that `run_deck` will not run.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from spicekit.decks.source import Deck, Finding, Statement, finding

# fmt: off
STATEMENTS = frozenset({
    ".ac", ".csparam", ".dc", ".disto", ".else", ".elseif", ".endif", ".ends", ".eom", ".four", ".func",
    ".global", ".ic", ".if", ".macro", ".meas", ".measure", ".model", ".nodeset", ".noise", ".op",
    ".options", ".param", ".plot", ".print", ".probe", ".prot",
    ".pss", ".pz", ".save", ".sens", ".sp", ".subckt", ".temp", ".tf", ".title", ".tran", ".unprot", ".width",
})
"""Dot lines that describe a circuit or an analysis."""

OPTIONS = frozenset({
    # of HSPICE, which ngspice keeps and does not use
    "accurate", "brief", "captab", "co", "converge", "dccap", "dcon", "dcstep", "fast", "gmindc", "gramp", "lvltim",
    "mcbrief", "measdgt", "measfail", "newtol", "parhier", "post_version", "runlvl", "unwrap",
    # of ngspice
    "abstol", "acct", "altinit", "autostop", "badmos3", "chgtol", "convabsstep", "convlimit", "convstep", "cshunt",
    "defad", "defas", "defl", "defw", "ft", "gmin", "gminfactor", "gminsteps", "ingold", "interp", "itl1", "itl2",
    "itl3", "itl4", "itl5", "itl6", "keepopinfo", "klu", "list", "ltereltol", "ltetrtol", "maxevtiter",
    "maxopalter", "maxord", "method", "minbreak", "mindelta", "mixed", "node", "noacct", "noinit", "noiter", "nomod",
    "noopac", "noopalter", "noopiter", "nopage", "numdgt", "opts", "pivrel", "pivtol", "post", "probe",
    "ramptime", "reltol", "rseries", "rshunt", "savecurrents", "scale", "seed", "sparse", "srcsteps", "temp", "tnom",
    "topologycheck", "trtol", "trytocompact", "vntol", "warn", "xmu",
})
"""What `.options` may set; ngspice makes each a variable of its command language, too."""

VARIABLES = OPTIONS | {
    "appendwrite", "color0", "color1", "color2", "color3", "curplot", "curplottitle", "filetype", "hcopydevtype",
    "hcopypscolor", "noaskquit", "num_threads", "width", "wr_singlescale", "wr_vecnames", "xbrushwidth",
}
"""What `set` and `unset` may change."""

_FREE = frozenset({
    "ac", "alter", "alterparam", "break", "compose", "continue", "cross", "dc", "define", "delete", "deriv", "destroy",
    "diff", "display", "disto", "dowhile", "echo", "else", "end", "fft", "foreach", "four", "fourier", "goto", "if",
    "label", "let", "linearize", "meas", "noise", "op", "plot", "print", "psd", "pz", "repeat", "reset", "resume",
    "rusage", "save", "sens", "setplot", "setscale", "settype", "show", "showmod", "sp", "spec", "status", "step",
    "stop", "strcmp", "tf", "tran", "unlet", "version", "while",
})
"""Commands that compute, print or draw, whatever their arguments say."""

# ngspice's code models that open no file and start no program (manual, "XSPICE code models").
_CODE_MODELS = frozenset({
    "adc_bridge", "aswitch", "bidi_bridge", "capacitoric", "climit", "cmeter", "core", "d_and", "d_buffer", "d_dff",
    "d_dlatch", "d_dt", "d_fdiv", "d_inverter", "d_jkff", "d_lut", "d_nand", "d_nor", "d_open_c", "d_open_e", "d_or",
    "d_osc", "d_pulldown", "d_pullup", "d_ram", "d_srff", "d_srlatch", "d_tff", "d_to_real", "d_tristate", "d_xnor",
    "d_xor", "dac_bridge", "delay", "divide", "gain", "hyst", "ilimit", "inductoric", "int", "lcouple", "limit",
    "lmeter", "memristor", "mult", "multi_input_pwl", "oneshot", "potentiometer", "pwl", "pwlts", "real_delay",
    "real_gain", "real_to_v", "s_xfer", "sidiode", "sine", "slew", "square", "summer", "triangle", "xfer", "zener",
})
# fmt: on


def vet(deck: Deck, *, compiled: Collection[Path] = ()) -> Iterator[Finding]:
    """Statements and commands that are not known to be harmless; loading one of the `compiled` models is."""
    for statement in deck.statements:
        if reason := _statement_objection(statement):
            yield finding(statement, "refused", "statement", reason)
        elif statement.word.startswith(".") and statement.word not in STATEMENTS:
            yield finding(statement, "error", "statement", f"ngspice knows no line {statement.word}")
    for command in deck.commands:
        if reason := _command_objection(command.text, compiled):
            yield finding(command, "refused", "command", reason)


def _statement_objection(statement: Statement) -> str:
    text = statement.text.lower()
    word = statement.word
    if "`" in text:
        return "holds a backquote, which may run something"
    if word == ".options":
        settings = " ".join(text.split()[1:])
        if unknown := sorted(set(_NAMES.findall(_VALUES.sub(" ", settings))) - OPTIONS):
            return f"sets {', '.join(unknown)}, which is not on the list of harmless options"
    if word == ".model" and (match := _MODEL_TYPE.match(text)):
        name = match[1]
        if name.startswith(("d_", "file", "table")) and name not in _CODE_MODELS:
            return f"the code model {name} may read a file or start a program"
    if not word.startswith(".title") and (match := _FILE_ARGUMENT.search(text)):
        return f"'{match[0]}' may read a file"
    return ""


def _command_objection(command: str, compiled: Collection[Path]) -> str:
    """Why a command is not known to be harmless; empty if it is."""
    word, _, rest = command.partition(" ")
    word, rest = word.lower(), rest.strip()
    if word == "pre_osdi":
        if Path(rest) in compiled:
            return ""
        return "loads native code, which is not run unless you name the file yourself: --osdi FILE"
    if word not in _FREE and word not in _FORMS:
        return f"'{word}' is not on the list of harmless commands"
    compares = word in ("if", "while", "dowhile")  # ngspice takes no redirection there
    if strange := set(command) & set("`;\\" if compares else "`;\\!<|"):
        return f"holds {' '.join(sorted(strange))}, which may run or read something"
    if word in _FORMS and not _FORMS[word].fullmatch(rest):
        return f"this form of '{word}' is not known to be harmless"
    if not compares and not _REDIRECTION.fullmatch(rest):
        return "redirects to what is not a plain file name"
    return ""


_NAMES = re.compile(r"[A-Za-z_]\w*")
_VALUES = re.compile(r"=\s*(\{[^}]*\}|'[^']*'|[^\s,]+)")
_MODEL_TYPE = re.compile(r"\.model\s+\S+\s+(\w+)")
_FILE_ARGUMENT = re.compile(r"\b\w*file\s*=|\bpwl\s*\(?\s*file\b|\bwavefile\b|\bprocess\s*=|\bsimulation\s*=")

_PLAIN = r"\w[\w.-]*"
"""A file beside the deck. ngspice expands ~ $ * ? { } before it opens one, so none may stand here."""
_SETTING = rf"(?:{'|'.join(sorted(VARIABLES))})"
_TO = rf"(?:\s*>{{1,2}}\s*{_PLAIN})?"
_REDIRECTION = re.compile(rf"[^>]*(>{{1,2}}\s*{_PLAIN}\s*)?")
_FORMS = {
    # `altermod m file = F` reads F: names of models and one parameter, in plain letters, and what it is set to
    "altermod": re.compile(r"(?!.*\bfile\b)[\w.:#@\[\]\s]+(=\s*[^=]+)?", re.IGNORECASE),
    "hardcopy": re.compile(rf"{_PLAIN}(\s.*)?"),
    "listing": re.compile(rf"[a-z ]*{_TO}"),
    "option": re.compile(rf"({_SETTING}(\s*=\s*[\w.+-]+)?\s*)*", re.IGNORECASE),
    "quit": re.compile(r"[\d$&\w]*"),
    "run": re.compile(r""),  # `run F` writes F
    "set": re.compile(rf"{_SETTING}(\s*=\s*(?:[\w.+-]+|\$\w+))?", re.IGNORECASE),
    "unset": re.compile(_SETTING, re.IGNORECASE),
    "wrdata": re.compile(rf"{_PLAIN}(\s.*)?"),
    "write": re.compile(rf"{_PLAIN}(\s.*)?"),
}
"""Commands that are harmless with arguments of these forms alone."""
