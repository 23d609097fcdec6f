"""Spools in a database that speaks SQL: the statements that SQLite and PostgreSQL share.

Rules of this file:

- Statements are written with ``?`` for values; a driver runs them as its database wants them.
- Tasks whose time has not come are apart from those that are ready, so that taking one costs the same however
  many wait.
- Whoever writes for a worker says whose task it was and which attempt: nobody ends a run that is not his.
"""

# ruff: noqa: S608 - what is put into statements are names and marks of this file, never values

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from vivace.tasks.records import MAX_KILLS, NewTask, Placed, Task

__all__ = ["NEW", "SAME", "SCHEMA", "SqlSpool", "marks", "values_of"]

_COLUMNS: Final = ", ".join(Task.__struct_fields__)
_OWN: Final = "id = ? AND worker = ? AND attempts = ? AND state = 'running'"
_BUSY: Final = "('later', 'ready', 'running')"
NEW: Final = (
    "INSERT INTO vivace_tasks"
    " (name, payload, queue, state, priority, run_at, created, max_attempts, unique_key, keep)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id"
)
SAME: Final = f"SELECT id FROM vivace_tasks WHERE name = ? AND unique_key = ? AND state IN {_BUSY}"
_ENOUGH: Final = f"(attempts >= max_attempts OR kills + 1 >= {MAX_KILLS})"
_SLOT: Final = (
    "INSERT INTO vivace_slots (name, slot) VALUES (?, ?) ON CONFLICT (name)"
    " DO UPDATE SET slot = excluded.slot WHERE excluded.slot > vivace_slots.slot RETURNING slot"
)
_TALLY: Final = (
    "INSERT INTO vivace_tallies (name, done, failed) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
    " SET done = vivace_tallies.done + excluded.done, failed = vivace_tallies.failed + excluded.failed"
)
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS vivace_tasks (
        id {serial}, name TEXT NOT NULL, payload {octets} NOT NULL, queue TEXT NOT NULL, state TEXT NOT NULL,
        priority INTEGER NOT NULL, run_at {number} NOT NULL, created {number} NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL, kills INTEGER NOT NULL DEFAULT 0,
        unique_key TEXT, keep {number} NOT NULL, lease_until {number}, worker TEXT, last_error TEXT,
        result {octets}, finished {number})""",
    """CREATE INDEX IF NOT EXISTS vivace_tasks_ready ON vivace_tasks (priority DESC, run_at, id)
        WHERE state = 'ready' AND kills = 0""",
    """CREATE INDEX IF NOT EXISTS vivace_tasks_suspect ON vivace_tasks (priority DESC, run_at, id)
        WHERE state = 'ready' AND kills > 0""",
    "CREATE INDEX IF NOT EXISTS vivace_tasks_later ON vivace_tasks (run_at) WHERE state = 'later'",
    "CREATE INDEX IF NOT EXISTS vivace_tasks_running ON vivace_tasks (lease_until) WHERE state = 'running'",
    "CREATE INDEX IF NOT EXISTS vivace_tasks_done ON vivace_tasks (finished) WHERE state = 'done'",
    """CREATE UNIQUE INDEX IF NOT EXISTS vivace_tasks_unique ON vivace_tasks (name, unique_key)
        WHERE unique_key IS NOT NULL AND state IN ('later', 'ready', 'running')""",
    "CREATE TABLE IF NOT EXISTS vivace_slots (name TEXT PRIMARY KEY, slot {number} NOT NULL)",
    """CREATE TABLE IF NOT EXISTS vivace_tallies (
        name TEXT PRIMARY KEY, done BIGINT NOT NULL, failed BIGINT NOT NULL)""",
)


def marks(values: Collection[object]) -> str:
    """As many question marks as there are values."""
    return ", ".join("?" * len(values))


def values_of(task: NewTask, now: float) -> tuple[Any, ...]:
    """What `NEW` takes."""
    state = "later" if task.run_at > now else "ready"
    first = (task.name, task.payload, task.queue, state, task.priority, task.run_at or now, now)
    return (*first, task.max_attempts, task.unique_key, task.keep)


class SqlSpool:
    """What both databases do alike."""

    picking = ""
    """Goes behind a choice of rows that nobody else may take meanwhile."""
    picked = "id IN ({})"
    """A condition: to be among what a statement chooses, which runs once."""
    number = "?"
    """A value that is a number, where the database has to be told."""

    def __init__(self) -> None:
        self._tally: Counter[tuple[str, str]] = Counter()

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement; its rows."""
        raise NotImplementedError

    def _write_tallies(self) -> None:
        # Last in a transaction and in order of the names: two that do so cannot wait for each other.
        for name in sorted({name for name, _ in self._tally}):
            self.query(_TALLY, (name, self._tally[name, "done"], self._tally[name, "failed"]))
        self._tally.clear()

    def _tasks(self, rest: str, values: Sequence[Any]) -> list[Task]:
        return [Task(*row) for row in self.query(f"SELECT {_COLUMNS} FROM vivace_tasks {rest}", values)]

    def enqueue(self, tasks: Sequence[NewTask], now: float) -> list[Placed]:
        """See `Spool`."""
        return [self._enqueue(task, now) for task in tasks]

    def _enqueue(self, task: NewTask, now: float) -> Placed:
        rows = self.query(NEW, values_of(task, now))
        if rows:
            return Placed(rows[0][0], new=True)
        there = self.query(SAME, (task.name, task.unique_key))
        # It may have ended between the two statements where others write at the same time.
        return Placed(there[0][0], new=False) if there else self._enqueue(task, now)

    def claim(
        self,
        worker: str,
        names: Collection[str],
        limit: int,
        lease: float,
        now: float,
        *,
        suspect: bool = True,
    ) -> list[Task]:
        """See `Spool`."""
        if not names or limit < 1:
            return []
        due = self._pick("state = 'later' AND run_at <= ?", "run_at", "500")
        self.query(f"UPDATE vivace_tasks SET state = 'ready' WHERE {due}", (now,))
        first = self._take(worker, "kills > 0", names, 1, now + lease) if suspect else []
        return first + self._take(worker, "kills = 0", names, limit - len(first), now + lease)

    def _take(self, worker: str, which: str, names: Collection[str], limit: int, until: float) -> list[Task]:
        ready = f"state = 'ready' AND {which} AND name IN ({marks(names)})"
        chosen = self._pick(ready, "priority DESC, run_at, id", "?")
        rows = self.query(
            "UPDATE vivace_tasks SET state = 'running', attempts = attempts + 1, worker = ?, lease_until = ?"
            f" WHERE {chosen} RETURNING {_COLUMNS}",
            (worker, until, *names, limit),
        )
        return sorted((Task(*row) for row in rows), key=lambda task: (-task.priority, task.run_at, task.id))

    def _pick(self, where: str, order: str, limit: str) -> str:
        """A condition: to be one of the first rows of a choice."""
        rows = f"SELECT id FROM vivace_tasks WHERE {where} ORDER BY {order} LIMIT {limit}{self.picking}"
        return self.picked.format(rows)

    def extend(self, worker: str, ids: Collection[int], lease: float, now: float) -> set[int]:
        """See `Spool`."""
        if not ids:
            return set()
        rows = self.query(
            f"UPDATE vivace_tasks SET lease_until = ? WHERE id IN ({marks(ids)})"
            " AND worker = ? AND state = 'running' RETURNING id",
            (now + lease, *ids, worker),
        )
        return {row[0] for row in rows}

    def ack(self, worker: str, task: Task, result: bytes | None, now: float) -> bool:
        """See `Spool`."""
        own = (task.id, worker, task.attempts)
        if task.keep > 0:
            rows = self.query(
                "UPDATE vivace_tasks SET state = 'done', result = ?, finished = ?, lease_until = NULL"
                f" WHERE {_OWN} RETURNING id",
                (result, now, *own),
            )
        else:
            rows = self.query(f"DELETE FROM vivace_tasks WHERE {_OWN} RETURNING id", own)
        self._tally[task.name, "done"] += bool(rows)
        return bool(rows)

    def nack(self, worker: str, task: Task, error: str, again_at: float | None, now: float) -> bool:
        """See `Spool`."""
        state = "dead" if again_at is None else "later" if again_at > now else "ready"
        rows = self.query(
            "UPDATE vivace_tasks SET state = ?, run_at = ?, last_error = ?, finished = ?, lease_until = NULL"
            f" WHERE {_OWN} RETURNING id",
            (
                state,
                task.run_at if again_at is None else again_at,
                error,
                now if again_at is None else None,
                *(task.id, worker, task.attempts),
            ),
        )
        self._tally[task.name, "failed"] += bool(rows)
        return bool(rows)

    def release(self, worker: str, tasks: Collection[Task], now: float) -> int:
        """See `Spool`."""
        count = 0
        for task in tasks:
            once = task.max_attempts <= 1
            rows = self.query(
                "UPDATE vivace_tasks SET lease_until = NULL,"
                " state = ?, max_attempts = ?, last_error = ?, finished = ?"
                f" WHERE {_OWN} RETURNING id",
                (
                    "dead" if once else "ready",
                    task.max_attempts if once else task.max_attempts + 1,
                    "its runner was stopped before it was done",
                    now if once else None,
                    *(task.id, worker, task.attempts),
                ),
            )
            count += len(rows)
        return count

    def recover(self, gone: Collection[str], now: float, *, leases: bool = True) -> int:
        """See `Spool`."""
        count = 0
        if leases:
            count = self._take_back("lease_until < ?", (now,), "its lease ran out while it ran", now)
        if gone:
            which = f"worker IN ({marks(gone)})"
            count += self._take_back(which, tuple(gone), "its process died while it ran", now)
        return count

    def _take_back(self, which: str, values: Sequence[Any], error: str, now: float) -> int:
        rows = self.query(
            f"UPDATE vivace_tasks SET state = CASE WHEN {_ENOUGH} THEN 'dead' ELSE 'ready' END,"
            f" finished = CASE WHEN {_ENOUGH} THEN {self.number} END, kills = kills + 1,"
            " last_error = ?, lease_until = NULL"
            f" WHERE state = 'running' AND {which} RETURNING name",
            (now, error, *values),
        )
        for (name,) in rows:
            self._tally[name, "failed"] += 1
        return len(rows)

    def workers(self) -> set[str]:
        """See `Spool`."""
        return {
            row[0] for row in self.query("SELECT DISTINCT worker FROM vivace_tasks WHERE state = 'running'")
        }

    def schedule(self, name: str, slot: float, task: NewTask | None, *, waits: bool, now: float) -> str:
        """See `Spool`."""
        last = self.last_slot(name)
        if last is not None and last >= slot:
            return "taken"
        key = None if task is None else task.unique_key
        if task is not None and waits and key is not None and self.query(SAME, (task.name, key)):
            return "busy"
        if not self.query(_SLOT, (name, slot)):
            return "taken"  # by another scheduler, meanwhile
        return "queued" if task is None or self._enqueue(task, now).new else "busy"

    def last_slot(self, name: str) -> float | None:
        """See `Spool`."""
        rows = self.query("SELECT slot FROM vivace_slots WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def set_back(self, name: str, slot: float) -> None:
        """See `Spool`."""
        self.query("UPDATE vivace_slots SET slot = ? WHERE name = ? AND slot > ?", (slot, name, slot))

    def next_due(self, names: Collection[str], now: float, *, suspect: bool = True) -> float | None:
        """See `Spool`."""
        if not names:
            return None
        known = f"name IN ({marks(names)})"
        for which in ("kills = 0", "kills > 0") if suspect else ("kills = 0",):
            ready = f"state = 'ready' AND {which} AND {known}"
            if self.query(f"SELECT 1 FROM vivace_tasks WHERE {ready} LIMIT 1", tuple(names)):
                return now
        rows = self.query(
            f"SELECT run_at FROM vivace_tasks WHERE state = 'later' AND {known} ORDER BY run_at LIMIT 1",
            tuple(names),
        )
        return rows[0][0] if rows else None

    def sweep(self, now: float) -> int:
        """See `Spool`."""
        old = "SELECT id FROM vivace_tasks WHERE state = 'done' AND finished + keep <= ? LIMIT 1000"
        return len(self.query(f"DELETE FROM vivace_tasks WHERE id IN ({old}) RETURNING id", (now,)))

    def get(self, number: int) -> Task | None:
        """See `Spool`."""
        found = self._tasks("WHERE id = ?", (number,))
        return found[0] if found else None

    def select(self, state: str, name: str, queue: str, limit: int) -> list[Task]:
        """See `Spool`."""
        wanted = {k: v for k, v in {"state": state, "name": name, "queue": queue}.items() if v}
        where = " AND ".join(f"{column} = ?" for column in wanted) or "1 = 1"
        return self._tasks(f"WHERE {where} ORDER BY id DESC LIMIT ?", (*wanted.values(), limit))

    def retry(self, number: int, now: float) -> str:
        """See `Spool`."""
        task = self.get(number)
        if task is None:
            return f"there is no task {number}"
        if task.state not in ("dead", "later"):
            return f"task {number} is {task.state}: only dead ones and those for later can be run at once"
        if task.state == "dead" and task.unique_key is not None:
            same = self.query(SAME, (task.name, task.unique_key))
            if same:
                return f"task {number}: task {same[0][0]} is there for the same thing ({task.unique_key})"
        more = task.attempts if task.state == "dead" else 0
        changed = self.query(
            "UPDATE vivace_tasks SET state = 'ready', kills = 0, finished = NULL,"
            " run_at = ?, max_attempts = ? WHERE id = ? AND state = ? RETURNING id",
            (now, max(task.max_attempts, more + 1), number, task.state),
        )
        return "" if changed else f"task {number} is not {task.state} any more: somebody took it meanwhile"

    def drop(self, number: int) -> str:
        """See `Spool`."""
        task = self.get(number)
        if task is None:
            return f"there is no task {number}"
        if not self.query(
            "DELETE FROM vivace_tasks WHERE id = ? AND state != 'running' RETURNING id", (number,)
        ):
            return f"task {number} runs: it can be dropped when its attempt is over"
        return ""

    def stats(self, now: float) -> Mapping[str, Any]:
        """See `Spool`."""
        names: dict[str, dict[str, int]] = {}
        states: Counter[str] = Counter()
        for name, state, count in self.query(
            "SELECT name, state, count(*) FROM vivace_tasks GROUP BY name, state"
        ):
            names.setdefault(name, {})[state] = count
            states[state] += count
        done, failed = 0, 0
        for name, well, badly in self.query("SELECT name, done, failed FROM vivace_tallies"):
            names.setdefault(name, {}).update(finished=well, failed=badly)
            done, failed = done + well, failed + badly
        oldest = self.query("SELECT min(run_at) FROM vivace_tasks WHERE state = 'ready'")[0][0]
        late = 0.0 if oldest is None else max(now - oldest, 0.0)
        return {"states": dict(states), "names": names, "oldest": late, "finished": done, "failed": failed}
