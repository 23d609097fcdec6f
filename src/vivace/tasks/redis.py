"""The spool in Redis, for more than one machine and for disks that do not stay.

Rules of this file:

- It speaks through redis-py, an extra that is imported here and nowhere else.
- Each method is one script (`redis_scripts`), which Redis does as a whole: a transaction has nothing to add.
- Nothing is sent twice because an answer did not come: the caller is told.
- What Redis forgets is lost: docs/tasks.md says how it has to be set up.
"""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from vivace.errors import ConfigError
from vivace.tasks.errors import SpoolFull, SpoolUnavailable
from vivace.tasks.records import MAX_KILLS, NewTask, Placed, Task
from vivace.tasks.redis_scripts import SCRIPTS

__all__ = ["RedisSpool", "connect", "listen"]

PATIENCE: Final = 10.0
"""Seconds after which a server that does not answer is given up."""
PREFIX: Final = "{vivace}:tasks:"
_PAUSE: Final = 2.0
_BATCH: Final = 500
_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Task)}


def connect(url: str) -> "RedisSpool":
    """Open the spool of a server.

    Raises:
        ConfigError: redis-py is not installed, or the URL cannot be read.
        SpoolUnavailable: The server cannot be reached.
    """
    return RedisSpool(url)


def _driver() -> Any:
    try:
        import redis
    except ImportError as error:
        raise ConfigError(
            "TASKS_URL names Redis, whose driver is not installed: pip install 'vivace[redis]'",
            key="TASKS_URL",
        ) from error
    return redis


def _open(driver: Any, url: str) -> Any:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        parts = urlsplit(url)
        int(parts.path.strip("/") or 0)  # it would take database 0 instead of one that is none
        return driver.Redis.from_url(
            url,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
            client_name="vivace-tasks",
        )
    except ValueError:
        # What it says may name a part of a password.
        raise ConfigError(
            "TASKS_URL cannot be read as a URL of Redis: expected redis://:password@host:6379/0, with % and"
            " two digits for what is special in a password",
            key="TASKS_URL",
        ) from None


class RedisSpool:
    """A spool in a server; for one thread.

    Args:
        url: As redis-py takes it.
    """

    def __init__(self, url: str) -> None:
        self._driver = _driver()
        self._client = _open(self._driver, url)
        self._scripts = {name: self._client.register_script(text) for name, text in SCRIPTS.items()}
        with self._told():
            self._client.ping()

    def transaction(self) -> AbstractContextManager[None]:
        """See `Spool`: each step is one already."""
        return nullcontext()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._driver.exceptions.OutOfMemoryError as error:
            raise SpoolFull(f"the Redis of the tasks has no room: {error}") from error
        except self._driver.RedisError as error:
            raise SpoolUnavailable(f"the Redis of the tasks cannot be used: {error}") from error

    def _run(self, script: str, *arguments: Any) -> Any:
        with self._told():
            return self._scripts[script](keys=[PREFIX], args=[_octets(one) for one in arguments])

    def _ask(self, command: str, *arguments: Any) -> Any:
        with self._told():
            return self._client.execute_command(command, *arguments)

    def enqueue(self, tasks: Sequence[NewTask], now: float) -> list[Placed]:
        """See `Spool`."""
        answers = [self._run("enqueue", now, *_fields(task, now)) for task in tasks]
        return [Placed(number, bool(new)) for number, new in answers]

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
        taken = self._run("claim", worker, limit, now + lease, now, int(suspect), *names)
        return [_task(found) for found in taken]

    def extend(self, worker: str, ids: Collection[int], lease: float, now: float) -> set[int]:
        """See `Spool`."""
        return set(self._run("extend", worker, now + lease, *ids)) if ids else set()

    def ack(self, worker: str, task: Task, result: bytes | None, now: float) -> bool:
        """See `Spool`."""
        return bool(self._run("ack", task.id, worker, task.attempts, now, result or b"null"))

    def nack(self, worker: str, task: Task, error: str, again_at: float | None, now: float) -> bool:
        """See `Spool`."""
        again = "" if again_at is None else again_at
        return bool(self._run("nack", task.id, worker, task.attempts, now, error, again))

    def release(self, worker: str, tasks: Collection[Task], now: float) -> int:
        """See `Spool`."""
        return sum(self._run("release", task.id, worker, task.attempts, now) for task in tasks)

    def recover(self, gone: Collection[str], now: float, *, leases: bool = True) -> int:
        """See `Spool`."""
        return int(self._run("recover", now, MAX_KILLS, int(leases), *gone))

    def workers(self) -> set[str]:
        """See `Spool`."""
        running = self._ask("ZRANGE", PREFIX + "running", 0, -1)
        found = (self._ask("HGET", f"{PREFIX}t:{number.decode()}", "worker") for number in running)
        return {worker.decode() for worker in found if worker}

    def schedule(self, name: str, slot: float, task: NewTask | None, *, waits: bool, now: float) -> str:
        """See `Spool`."""
        fields = [] if task is None else _fields(task, now)
        outcome: bytes = self._run("schedule", name, slot, "1" if waits else "0", now, *fields)
        return outcome.decode()

    def last_slot(self, name: str) -> float | None:
        """See `Spool`."""
        found = self._ask("HGET", PREFIX + "slots", name)
        return None if found is None else float(found)

    def set_back(self, name: str, slot: float) -> None:
        """See `Spool`."""
        self._run("set_back", name, slot)

    def next_due(self, names: Collection[str], now: float, *, suspect: bool = True) -> float | None:
        """See `Spool`."""
        found = self._run("next_due", now, int(suspect), *names) if names else None
        return None if found is None else float(found)

    def sweep(self, now: float) -> int:
        """See `Spool`."""
        return int(self._run("sweep", now))

    def get(self, number: int) -> Task | None:
        """See `Spool`."""
        found = self._ask("HGETALL", f"{PREFIX}t:{number}")
        return _task(found) if found else None

    def select(self, state: str, name: str, queue: str, limit: int) -> list[Task]:
        """See `Spool`."""
        chosen: list[Task] = []
        start = 0
        while len(chosen) < limit:
            numbers = self._ask("ZRANGE", PREFIX + "all", start, start + _BATCH - 1, "REV")
            if not numbers:
                break
            start += _BATCH
            tasks = (self.get(int(number)) for number in numbers)
            chosen += [task for task in tasks if task is not None and _fits(task, state, name, queue)]
        return chosen[:limit]

    def retry(self, number: int, now: float) -> str:
        """See `Spool`."""
        what, *rest = (one.decode() for one in self._run("retry", number, now))
        if what == "gone":
            return f"there is no task {number}"
        if what == "state":
            return f"task {number} is {rest[0]}: only dead ones and those for later can be run at once"
        return f"task {number}: task {rest[0]} is there for the same thing ({rest[1]})" if what else ""

    def drop(self, number: int) -> str:
        """See `Spool`."""
        state = self._run("drop", number)
        if state is None:
            return f"there is no task {number}"
        return (
            f"task {number} runs: it can be dropped when its attempt is over" if state == b"running" else ""
        )

    def stats(self, now: float) -> Mapping[str, Any]:
        """See `Spool`."""
        names: dict[str, dict[str, int]] = {}
        states: dict[str, int] = {}
        for state, name, count in self._counts("count"):
            names.setdefault(name, {})[state] = count
            states[state] = states.get(state, 0) + count
        sums = {"done": 0, "failed": 0}
        for what, name, count in self._counts("tally"):
            names.setdefault(name, {})["finished" if what == "done" else what] = count
            sums[what] += count
        late = [self._late(name, now) for name in names]
        oldest = max(late, default=0.0)
        return {
            "states": states,
            "names": names,
            "oldest": oldest,
            "finished": sums["done"],
            "failed": sums["failed"],
        }

    def _counts(self, key: str) -> Iterator[tuple[str, str, int]]:
        for place, count in self._ask("HGETALL", PREFIX + key).items():
            what, _, name = place.decode().partition("|")
            if int(count):
                yield what, name, int(count)

    def _late(self, name: str, now: float) -> float:
        firsts = [self._ask("ZRANGE", f"{PREFIX}{kind}:{name}", 0, 0) for kind in ("ready", "suspect")]
        tasks = [self.get(int(first[0])) for first in firsts if first]
        return max((now - task.run_at for task in tasks if task is not None), default=0.0)

    def close(self) -> None:
        """See `Spool`."""
        self._client.close()


def listen(url: str, heard: Callable[[], object]) -> Callable[[], object]:
    """Call something whenever somebody enqueued, on any machine; gives what ends it.

    Args:
        url: Of the server.
        heard: Called in a thread.
    """
    ends = threading.Event()
    driver = _driver()

    def follow() -> None:
        while not ends.is_set():
            with contextlib.suppress(driver.RedisError, ConfigError), _open(driver, url) as client:
                ears = client.pubsub()
                ears.subscribe(PREFIX + "bell")
                while not ends.is_set():
                    # The first message says that it is subscribed: something may have come before.
                    if ears.get_message(timeout=_PAUSE):
                        heard()
            ends.wait(_PAUSE)

    threading.Thread(target=follow, name="vivace-ears", daemon=True).start()
    return ends.set


def _octets(value: Any) -> Any:
    return f"{value:.6f}" if isinstance(value, float) else value


def _fields(task: NewTask, now: float) -> list[Any]:
    """What the scripts take of a new task: name, key and time, then the rest by name."""
    rest = {
        "payload": task.payload,
        "queue": task.queue,
        "priority": task.priority,
        "max_attempts": task.max_attempts,
        "keep": task.keep,
    }
    return [
        task.name,
        task.unique_key or "",
        task.run_at or now,
        *(one for pair in rest.items() for one in pair),
    ]


def _task(found: Any) -> Task:
    """A task of its hash, which comes as a mapping or as names and values in turn."""
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    values: dict[str, Any] = {}
    for key, value in pairs:
        name = key.decode()
        kind = _TYPES[name]
        octets = kind is bytes or name == "result"
        values[name] = value if octets else msgspec.convert(value.decode(), kind, strict=False)
    return Task(**values)


def _fits(task: Task, state: str, name: str, queue: str) -> bool:
    return state in ("", task.state) and name in ("", task.name) and queue in ("", task.queue)
