"""Energy, time and area of a network as tables of text."""

from spicekit.evaluate.account import ASSUMPTIONS, NOT_COUNTED, Account
from spicekit.evaluate.energy import Estimate, conduction_time, conversion_time, resolution
from spicekit.provenance import JsonDict
from spicekit.report.sheets import Sheet
from spicekit.units import engineering

MICRO2 = 1e-12  # m2
KINDS = ("energy", "time", "area")
SHOWN = 0.005  # of an energy, time or area: below it a constant's effect is not shown


def energy_sheets(account: Account) -> list[Sheet]:
    """Totals against the first run, their parts, the layers, what each constant does, and what is assumed."""
    return [_totals(account), _parts(account), *_layers(account), _response(account), _assumptions(account)]


def _totals(account: Account) -> Sheet:
    design, circuit = account.design, account.circuit
    rows = []
    for mitigation, whole in account.totals.items():
        change, even = account.changes[mitigation], account.break_even(mitigation)
        rows.append(
            (
                mitigation,
                engineering(whole.total_energy, "J"),
                _change(change["energy"]),
                engineering(whole.overhead, "J"),
                "-" if even is None else f"x {even:.2f}",
                engineering(whole.time, "s"),
                _change(change["time"]),
                _area(whole.total_area),
                _change(change["area"]),
            )
        )
    title = (
        f"energy, time and area for one image\na column settles in {engineering(circuit.settling, 's')}, "
        f"{resolution(design)} bits take {engineering(conversion_time(design), 's')}, "
        f"it conducts for {engineering(conduction_time(circuit, design), 's')}\n"
        "even at: times which the bit lines would have to take what they do, for BinSparX to save nothing"
    )
    head = ("BinSparX", "energy", "", "of it BinSparX", "even at", "time", "", "area", "")
    return Sheet(title, head, tuple(rows))


def _parts(account: Account) -> Sheet:
    """Shares are also what a total moves by, relative to a part's own move."""
    runs = account.totals
    names = dict.fromkeys(name for whole in runs.values() for name in (*whole.energy, *whole.area))
    rows = tuple(
        (
            name,
            *(_share(whole.energy.get(name), whole.total_energy) for whole in runs.values()),
            *(_share(whole.area.get(name), whole.total_area) for whole in runs.values()),
        )
        for name in names
    )
    head = ("part of", *(f"energy, {run}" for run in runs), *(f"area, {run}" for run in runs))
    return Sheet("where it goes: a part that doubles raises the total by its share", head, rows)


def _layers(account: Account) -> list[Sheet]:
    sheets = []
    for mitigation in account.events:
        rows = tuple(
            (name, *_figures(layer), engineering(layer.energy.get("bit lines", 0.0), "J"))
            for name, layer in account.layers(mitigation).items()
        )
        head = ("layer", "energy", "time", "area", "bit lines' energy")
        sheets.append(Sheet(f"layers, BinSparX {mitigation}", head, rows))
    return sheets


def _response(account: Account) -> Sheet:
    runs = list(account.events)
    first, last = runs[0], runs[-1]
    usual = account.changes[last]
    rows = []
    for what, effect in account.response().items():
        alone, compared = effect["first_run"], effect["runs"][last]
        if _differ(alone, dict.fromkeys(KINDS, 0.0)) or _differ(compared, usual):
            rows.append((what, *(_change(changes[kind]) for changes in (alone, compared) for kind in KINDS)))
    head = ("if", *(f"{kind}, {run}" for run in (first, last) for kind in KINDS))
    title = (
        f"what each constant does: to {first}, and to {last} against {first} "
        f"({', '.join(_change(usual[kind]) for kind in KINDS)} as it is); effects below {SHOWN:.1%} are not shown"
    )
    return Sheet(title, head, tuple(rows))


def _assumptions(account: Account) -> Sheet:
    sheet = account.design.costs.sheet()
    rows = [(name, _value(entry["value"]), str(entry["source"])) for name, entry in sheet.items()]
    rows += [("always", "", text) for text in ASSUMPTIONS]
    rows += [("not counted", "", text) for text in NOT_COUNTED]
    return Sheet("constants and assumptions", ("constant", "value", "source"), tuple(rows))


def _differ(changes: JsonDict, others: JsonDict) -> bool:
    pairs = ((changes[kind], others[kind]) for kind in KINDS)
    return any(None not in pair and abs(pair[0] - pair[1]) >= SHOWN for pair in pairs)


def _figures(whole: Estimate) -> tuple[str, str, str]:
    return engineering(whole.total_energy, "J"), engineering(whole.time, "s"), _area(whole.total_area)


def _area(value: float) -> str:
    return f"{value / MICRO2:,.0f} um2"


def _change(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"


def _share(part: float | None, whole: float) -> str:
    return "" if part is None or not whole else f"{part / whole:.1%}"


def _value(value: object) -> str:
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else ", ".join(value)
        if isinstance(value, list)
        else str(value)
    )
