"""How one limit of connections is shared out: among machines, their workers, and what else connects.

    machine = (limit - reserve) // (instances + surge)
    share   = (machine - background) // (workers + overlap), the remainder one each to the lowest slots

Each worker has a slot, 0 to workers + overlap - 1. A replacement gets a free one, and a slot is free when
the process that had it is gone. So the sum over all slots never exceeds the machine's part, at no moment,
whatever a driver does.

Rules of this file:

- Arithmetic and text only: no environment, no socket, no driver.
- Who says a number outside the program (file, variable, option) beats the program: the limit belongs to the
  plan of the database, not to the code.
- A sum that cannot work is refused with the table and what can be done, the cheapest first.
"""

import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final, NamedTuple

__all__ = [
    "PREFIX",
    "SHARE",
    "Declaration",
    "Plan",
    "describe",
    "merge_budgets",
    "name_budget",
    "parse_budgets",
    "read_variables",
    "refusal",
    "show_budgets",
    "table",
]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
PREFIX: Final = "BUDGET_"
"""Of the variables that say a limit, and of those that tell a process its share."""
SHARE: Final = "_SHARE"
_MOST: Final = 10**9
WAYS_OUT: Final = 3
"""How many ways out a refusal names."""


class Declaration(NamedTuple):
    """What somebody said of one budget; None where nothing was said.

    Attributes:
        limit: Connections that the resource grants to all of us, at least 1.
        reserve: Of these, kept for people, migrations and cron. Default: a tenth, at least 2.
        background: Other processes per machine, name and connections of each.
        instances: Machines, or the name of the variable that says how many. Default 1.
        surge: Machines alive beyond that during a deploy. Default 0.
        aliases: Pools that each worker opens in this budget, such as database aliases of Django. Default 1.
        url: The name of the variable that holds the URL of the resource.
        waits: 1: a pool of the program lets threads wait, so there may be more of them than connections.
    """

    limit: int | None = None
    reserve: int | None = None
    background: tuple[tuple[str, int], ...] | None = None
    instances: int | str | None = None
    surge: int | None = None
    aliases: int | None = None
    url: str | None = None
    waits: int | None = None

    def under(self, other: "Declaration") -> "Declaration":
        """This one, where `other` says nothing else."""
        return self._replace(**{key: value for key, value in other._asdict().items() if value is not None})


class Plan(NamedTuple):
    """One budget with every number known.

    Attributes:
        name: Of the budget.
        limit: See `Declaration`.
        reserve: The same.
        background: The same.
        instances: The same.
        surge: The same.
        aliases: The same.
        workers: Processes that serve, per machine.
        overlap: Workers beyond that, alive while one is replaced.
        leased: What this machine holds of what all machines share; None: its part is what the sum says.
    """

    name: str
    limit: int
    reserve: int
    background: tuple[tuple[str, int], ...] = ()
    instances: int = 1
    surge: int = 0
    aliases: int = 1
    workers: int = 1
    overlap: int = 1
    leased: int | None = None

    @classmethod
    def of(cls, name: str, said: Declaration, instances: int, workers: int, overlap: int) -> "Plan":
        """Put the defaults where nothing was said.

        Args:
            name: Of the budget.
            said: With a limit.
            instances: Machines, as a number.
            workers: See above.
            overlap: See above.
        """
        assert said.limit is not None, "there is no default for the limit"
        reserve = max(2, -(-said.limit // 10)) if said.reserve is None else said.reserve
        background, surge, aliases = said.background or (), said.surge or 0, said.aliases or 1
        return cls(name, said.limit, reserve, background, instances, surge, aliases, workers, overlap)

    @property
    def machine(self) -> int:
        """The part of one machine."""
        if self.leased is not None:
            return self.leased
        return max((self.limit - self.reserve) // (self.instances + self.surge), 0)

    @property
    def rest(self) -> int:
        """What the workers of one machine share."""
        return max(self.machine - sum(count for _, count in self.background), 0)

    @property
    def slots(self) -> int:
        """Workers that may be alive at a time."""
        return max(self.workers + self.overlap, 1)

    def lease(self, tokens: int) -> "Plan":
        """The same for a machine that holds so many: if they are few, with as few workers as they allow.

        More tokens never mean a smaller share for a slot, so that what runs may go on as it is.

        Args:
            tokens: Connections of this machine.
        """
        behind = sum(count for _, count in self.background)
        room = max(tokens - behind, 0) // self.aliases
        if room >= self.slots:
            return self._replace(leased=tokens)
        return self._replace(leased=behind + room * self.aliases, workers=max(room - self.overlap, 0))

    @property
    def least(self) -> int:
        """The share of the highest slot: what any worker may take whose slot is not known."""
        return self.rest // self.slots

    def share(self, slot: int | None) -> int:
        """The connections of the worker in a slot.

        Args:
            slot: None if it is not known.

        Raises:
            ValueError: There is no such slot.
        """
        if slot is None:
            return self.least
        if not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} is none of the {self.slots} slots of budget {self.name}")
        return self.least + (slot < self.rest % self.slots)

    @property
    def works(self) -> bool:
        """Whether every worker gets a connection for each of its pools."""
        return self.workers > 0 and self.least >= self.aliases


def name_budget(text: object) -> str:
    """The name of a budget as it is kept: ``main-db`` and ``MAIN_DB`` are the same.

    Raises:
        ValueError: It is no name.
    """
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a budget: letters, digits, - and _, a letter first")
    return text.lower().replace("-", "_")


def parse_budgets(value: object) -> dict[str, Declaration]:
    """The budgets that a value of BUDGETS says.

    Args:
        value: Text such as ``postgres=20,reserve=3 redis=30``, a list of such texts, or a table whose values
            are limits or tables.

    Raises:
        ValueError: It says something else.
        TypeError: It is of another type.
    """
    if isinstance(value, Mapping):
        return {name_budget(name): _from_table(entry) for name, entry in value.items()}
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise TypeError
    found: dict[str, Declaration] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise ValueError(item)
        name = name_budget(name)
        found[name] = found.get(name, Declaration()).under(_from_text(text))
    return found


def _from_text(text: str) -> Declaration:
    """Such as ``20,reserve=3``; the limit may be left out: ``reserve=3``."""
    table: dict[str, object] = {}
    for number, part in enumerate(text.split(",")):
        key, equals, said = part.partition("=")
        if not equals and number == 0:
            key, said = "limit", part
        elif not equals or key in table:
            raise ValueError(text)
        table[key] = dict(_pair(pair) for pair in said.split("+")) if key == "background" else said
    return _from_table(table)


def _pair(text: str) -> tuple[str, str]:
    """``jobs:2``, or ``2`` for processes without a name."""
    name, colon, count = text.rpartition(":")
    return (name if colon else "background"), count


def _from_table(entry: Any) -> Declaration:
    if not isinstance(entry, Mapping):
        return Declaration(limit=_whole(entry, 1))
    table = dict(entry)
    said = Declaration(
        limit=_number(table, "limit", 1),
        reserve=_number(table, "reserve", 0),
        background=_background(table.pop("background", None)),
        instances=_instances(table.pop("instances", None)),
        surge=_number(table, "surge", 0),
        aliases=_number(table, "aliases", 1),
        url=_variable(table.pop("url", None)),
        waits=_flag(table.pop("waits", None)),
    )
    if table or not any(value is not None for value in said):
        raise ValueError(entry)
    return said


def _number(table: dict[str, Any], key: str, least: int) -> int | None:
    value = table.pop(key, None)
    return None if value is None else _whole(value, least)


def _flag(value: object) -> int | None:
    if value is None or isinstance(value, bool):
        return None if value is None else int(value)
    if _whole(value, 0) > 1:
        raise ValueError(value)
    return _whole(value, 0)


def _whole(value: object, least: int) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    if not least <= value <= _MOST:
        raise ValueError(value)
    return value


def _background(value: Any) -> tuple[tuple[str, int], ...] | None:
    if value is None:
        return None
    table = value if isinstance(value, Mapping) else {"background": value}
    return tuple((name_budget(name), _whole(count, 0)) for name, count in table.items()) or None


def _instances(value: object) -> int | str | None:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return _variable(value)
    return None if value is None else _whole(value, 1)


def _variable(value: object) -> str | None:
    if value is not None and not (isinstance(value, str) and _VARIABLE.fullmatch(value)):
        raise ValueError(value)
    return value


def read_variables(environ: Mapping[str, str]) -> tuple[dict[str, Declaration], list[str]]:
    """The budgets of variables such as ``BUDGET_POSTGRES=20``, and a word on each that says something else.

    Args:
        environ: The environment. ``BUDGET_<NAME>_SHARE`` is no budget: it is what workers are told.
    """
    found, ignored = {}, []
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX)
        if name == variable or name.endswith(SHARE) or not _NAME.fullmatch(name) or not text.strip():
            continue
        try:
            found[name_budget(name)] = _from_text(text.strip())
        except (TypeError, ValueError):
            ignored.append(f"{variable}={text!r} in the environment was ignored; expected a limit such as 20")
    return found, ignored


def merge_budgets(*tables: Mapping[str, Declaration]) -> dict[str, Declaration]:
    """All of them; of two that speak of one budget the later beats the earlier, number by number."""
    merged: dict[str, Declaration] = {}
    for one in tables:
        for name, said in one.items():
            merged[name] = merged.get(name, Declaration()).under(said)
    return merged


def show_budgets(budgets: Mapping[str, Declaration]) -> str:
    """The text that `parse_budgets` takes."""
    return " ".join(f"{name}={_show(said)}" for name, said in budgets.items())


def _show(said: Declaration) -> str:
    parts = [] if said.limit is None else [str(said.limit)]
    for key, value in said._asdict().items():
        if key == "background" and value:
            parts.append("background=" + "+".join(f"{name}:{count}" for name, count in value))
        elif key not in {"limit", "background"} and value is not None:
            parts.append(f"{key}={value}")
    return ",".join(parts)


def describe(plan: Plan) -> str:
    """The line of the start: what each worker gets."""
    most = plan.share(0)
    each = f"{plan.least} each" if most == plan.least else f"{plan.least} or {most} each"
    less = "".join(f", {count} for {name}" for name, count in plan.background)
    where = "" if plan.instances + plan.surge == 1 else f" on each of {_machines(plan)}"
    return (
        f"Budget {plan.name}: {plan.limit} connections, {plan.reserve} kept for people and migrations{less};"
        f" {_who(plan)}{where}: {each}"
    )


def _who(plan: Plan) -> str:
    workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
    return f"{workers} + {plan.overlap} during restarts" if plan.overlap else workers


def _machines(plan: Plan) -> str:
    machines = "1 machine" if plan.instances == 1 else f"{plan.instances} machines"
    return f"{machines} + {plan.surge} during deploys" if plan.surge else machines


def table(plan: Plan) -> list[str]:
    """The arithmetic, line by line, for people."""
    rows = [
        ("limit", str(plan.limit)),
        ("kept for people, migrations, cron", f"-{plan.reserve}"),
        (
            "leased by this machine" if plan.leased is not None else f"each of {_machines(plan)}",
            str(plan.machine),
        ),
        *((f"for {name}", f"-{count}") for name, count in plan.background),
        (_who(plan), str(plan.rest)),
    ]
    for share, group in groupby(range(plan.slots), plan.share):
        slots = list(group)
        which = f"slot {slots[0]}" if len(slots) == 1 else f"slots {slots[0]} to {slots[-1]}, each"
        rows.append((which, str(share)))
    if plan.aliases > 1:
        rows.append((f"each of {plan.aliases} pools of a worker, at least", str(plan.least // plan.aliases)))
    head = f"budget {plan.name}"
    width = max(len(head), *(len(what) for what, _ in rows)) + 2
    return [f"{head:{width}}connections", *(f"{what:{width}}{number:>11}" for what, number in rows)]


def refusal(plan: Plan) -> str:
    """Why the sum cannot work, its table, and the cheapest ways out; empty if it works."""
    if plan.works:
        return ""
    wanted = "a connection" if plan.aliases == 1 else f"{plan.aliases} connections"
    lines = [
        f"budget {plan.name}: not every worker gets {wanted}",
        *table(plan),
        "The cheapest ways out:",
        *(f"{number}. {way}" for number, way in enumerate(_ways_out(plan)[:WAYS_OUT], 1)),
    ]
    return "\n".join(lines)


def _ways_out(plan: Plan) -> list[str]:
    """What would make it work, the cheapest first."""
    ways = []
    workers = plan.rest // plan.aliases - plan.overlap
    if workers >= 1:
        ways.append(f"fewer workers: --workers {workers} instead of {plan.workers}")
    if plan.overlap and plan._replace(overlap=0).works:
        ways.append(
            "no worker beyond these during a restart: --overlap 0, each is gone before the next comes"
        )
    if plan.surge and plan._replace(surge=0).works:
        ways.append("no machine beyond these during a deploy: surge=0")
    per_machine = sum(count for _, count in plan.background) + plan.aliases * plan.slots
    needed = (plan.instances + plan.surge) * per_machine
    if plan.limit > needed:
        ways.append(f"a smaller reserve: {plan.limit - needed} instead of {plan.reserve}")
    ways.append("a pool in between, such as pgbouncer: its own limit is the budget then")
    ways.append(f"a plan of the database with {plan.reserve + needed} connections")
    return ways
