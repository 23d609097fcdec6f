"""Budgets that machines lease: how one takes its part before it opens a connection, and keeps it.

One worker of a server, the keeper, speaks for all: it renews the lease and writes down what the machine
holds; the others read it. Who is keeper says a lock on a file, so that the next one follows when it is gone.

Rules of this file:

- A worker opens nothing before it knows the machine's part; a machine that gets too few says so and ends.
- What is held never becomes less while a worker runs. A server of leases that is away changes nothing: what
  is held goes on, and nobody gets more.
- The last worker that leaves gives everything back.
"""

import asyncio
import fcntl
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vivace.config.budget import PREFIX, SHARE, Plan, refusal
from vivace.errors import ConfigError

if TYPE_CHECKING:
    from vivace.framework.budget import Budget
    from vivace.hub.engines.leases import LeaseBook

__all__ = ["HEARTBEAT", "Tenant", "lease_budget"]

logger = logging.getLogger("vivace")

HEARTBEAT: Final = 5.0
"""Seconds from one sign of life of a lease to the next."""
LOOK: Final = 0.5
"""Seconds between two questions of a machine that waits for others."""
MARGIN: Final = 10.0
"""Seconds of BOOT_TIMEOUT that a wait leaves for the rest of the start."""
_FOLDER: Final = "VIVACE_RUN"


class Tenant:
    """One process's view of its machine's lease.

    Args:
        app: The app.
        budget: Of which budget.
        wait: Seconds for which a start waits for other machines.
    """

    def __init__(self, app: Any, budget: "Budget", wait: float) -> None:
        self._app = app
        self._budget = budget
        self._wait = wait
        self._book: LeaseBook | None = None
        self._files: _Files | None = None
        self._holder = ""
        self._problem = ""

    async def start(self, app: Any) -> None:
        """Return when this worker may open its connections.

        Raises:
            ConfigError: There is no place for leases, or the machine gets too few.
        """
        self._open()
        loop = asyncio.get_running_loop()
        until = loop.time() + min(self._wait, max(app.config.BOOT_TIMEOUT - MARGIN, 0.0))
        while not await self._has_enough():
            if loop.time() >= until:
                raise ConfigError(self._too_few(), key="BUDGETS")
            await asyncio.sleep(LOOK)
        await self._wait_for_slot()
        self._tell()
        app.add_task(self._beat(), name=f"vivace-lease-{self._budget.name}")

    async def stop(self) -> None:
        """Leave; the last one gives back what the machine holds."""
        files, self._files = self._files, None
        if files is None or self._book is None or not files.leave():
            return
        with suppress(OSError):
            await self._book.release(self._budget.name, self._holder)

    def _open(self) -> None:
        from vivace.hub.engines.leases import open_book

        config, name = self._app.config, self._budget.name
        if not config.HUB_URL:
            raise ConfigError(
                f"budget {name}: coordinate=True needs HUB_URL, a Redis or PostgreSQL for all machines",
                key="HUB_URL",
            )
        machine = socket.gethostname()
        self._book = open_book(
            config.HUB_URL, prefix=config.HUB_PREFIX, name=f"{self._app.name}@{machine}/lease"
        )
        folder = os.environ.get(_FOLDER)
        self._holder = f"{machine}/{Path(folder).name if folder else os.getpid()}"
        self._files = _Files(Path(folder), name) if folder else _Files(None, name)

    @property
    def _full(self) -> Plan:
        """The budget as this machine would like it."""
        self._budget.leased, before = None, self._budget.leased
        try:
            return self._budget.plan
        finally:
            self._budget.leased = before

    async def _has_enough(self) -> bool:
        await self._refresh()
        return self._budget.leased is not None and self._budget.plan.works

    async def _refresh(self) -> None:
        """Renew as the keeper, or read what the keeper has written."""
        assert self._book is not None
        assert self._files is not None
        full, held = self._full, self._files.read()
        if not self._files.keep():
            self._budget.leased = held
            return
        total = full.limit - full.reserve
        try:
            leased = await self._book.renew(
                self._budget.name, self._holder, held=held or 0, want=full.machine, total=total
            )
        except OSError as error:
            self._complain(str(error), held)
            self._budget.leased = held
            return
        if self._problem:
            self._problem = ""
            logger.info("budget %s: its lease of %d connections is renewed again", self._budget.name, leased)
        self._files.write(leased)
        self._budget.leased = leased

    def _complain(self, why: str, held: int | None) -> None:
        if why != self._problem:
            self._problem = why
            logger.warning(
                "budget %s: its lease cannot be renewed; this machine goes on with %s connections: %s",
                self._budget.name,
                held or 0,
                why,
            )

    def _too_few(self) -> str:
        full, leased = self._full, self._budget.leased
        if leased is None:
            why = self._problem or "no worker of this server has a lease yet"
            return f"budget {self._budget.name}: nothing can be leased: {why}"
        plan = full.lease(leased)
        return (
            f"budget {self._budget.name}: after {self._wait:g} s this machine could lease {leased} of the"
            f" {full.limit - full.reserve} connections that all machines share; others hold the rest: let"
            f" them take less with instances=, or wait until they stop\n{refusal(plan)}"
        )

    async def _wait_for_slot(self) -> None:
        """A worker for which there are no connections asks for fewer workers, and waits to be ended."""
        slot, asked = self._budget.slot, False
        while slot is not None and slot >= self._budget.plan.slots:
            if not asked:
                asked = True
                self._scale_down()
            await asyncio.sleep(LOOK)
            await self._refresh()

    def _scale_down(self) -> None:
        plan, full = self._budget.plan, self._full
        logger.warning(
            "budget %s: this machine holds %d connections, which are enough for %d of %d workers",
            self._budget.name,
            plan.machine,
            plan.workers,
            full.workers,
        )
        self._scale(plan.workers)

    def _scale_up(self) -> None:
        """The keeper's work; who is keeper may change between the lease's growth and this."""
        assert self._files is not None
        workers, asked = self._budget.plan.workers, self._files.asked()
        if asked is not None and workers > asked and self._files.keep():
            logger.info("budget %s: there are connections for %d workers now", self._budget.name, workers)
            self._scale(workers)

    def _scale(self, workers: int) -> None:
        assert self._files is not None
        self._files.ask(workers)
        if self._app.scaler is not None:
            self._app.scale(workers)

    def _tell(self) -> None:
        """For other code of this process: the share in its environment."""
        os.environ[f"{PREFIX}{self._budget.name.upper()}{SHARE}"] = str(self._budget.share)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            await self._refresh()
            self._scale_up()


class _Files:
    """What the workers of one server know of their lease together.

    Args:
        folder: Of the server; None: there is one process only.
        name: Of the budget.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._alone: int | None = None
        self._kept = folder is None
        self._path = None if folder is None else folder / f"lease-{name}"
        self._workers = None if folder is None else folder / f"lease-{name}.workers"
        if folder is None:
            return
        self._keeper = _open(folder / f"lease-{name}.keeper")
        self._alive = _open(folder / f"lease-{name}.alive")
        fcntl.flock(self._alive, fcntl.LOCK_SH)

    def keep(self) -> bool:
        """Whether this process is the keeper, from now on if nobody else is."""
        if not self._kept:
            self._kept = _lock(self._keeper)
        return self._kept

    def read(self) -> int | None:
        """What the machine holds; None: nothing was ever written."""
        return self._alone if self._path is None else _read(self._path)

    def write(self, tokens: int) -> None:
        """Tell the others."""
        if self._path is None:
            self._alone = tokens
        else:
            _write(self._path, tokens)

    def asked(self) -> int | None:
        """For how many workers one of this server has asked; None: for none but those of its settings."""
        return None if self._workers is None else _read(self._workers)

    def ask(self, workers: int) -> None:
        """Write down for how many one asks now."""
        if self._workers is not None:
            _write(self._workers, workers)

    def leave(self) -> bool:
        """Go; whether this was the last one."""
        if self._path is None or self._workers is None:
            return True
        fcntl.flock(self._alive, fcntl.LOCK_UN)
        last = _lock(self._alive)
        if last:
            self._path.unlink(missing_ok=True)
            self._workers.unlink(missing_ok=True)
        os.close(self._keeper)
        os.close(self._alive)
        return last


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _write(path: Path, number: int) -> None:
    """Whoever reads meanwhile reads the old number or the new one."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(str(number), "ascii")
    fresh.replace(path)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lease_budget(app: Any, budget: "Budget", wait: float) -> None:
    """Let a machine lease its part of a budget before a worker of it serves.

    Args:
        app: The app.
        budget: One of its budgets.
        wait: Seconds for which a start waits for other machines.
    """
    tenant = Tenant(app, budget, wait)

    async def take_lease(app: Any) -> None:
        await tenant.start(app)

    async def give_back(_: Any) -> None:
        await tenant.stop()

    app.before_server_start(take_lease, priority=(1 << 30) + 1)
    app.after_server_stop(give_back, priority=-(1 << 30))
