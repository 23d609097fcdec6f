"""Processes beside the workers that serve: what an app declares of them, and what runs in one of them.

    app.companions.append(Companion("mail", send_mail, restart="always"))

    async def send_mail(context: Context) -> None:
        while not context.stopping.is_set(): ...

Rules of this file:

- A companion runs the app's code in a process of its own, which is forked from where the workers are, with
  the app imported. The supervisor starts it, starts it again and ends it; nothing here makes processes.
- An app that has companions is served under a supervisor, whatever the number of its workers.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from vivace.errors import DeclarationError
from vivace.framework.options import refuse_unknown

if TYPE_CHECKING:
    from vivace.config import Config
    from vivace.framework.processes.pool import Pool
    from vivace.framework.processes.service import Service

__all__ = ["RESTARTS", "Beside", "Companion", "Context", "Manager", "Placed", "all_companions"]

_SERVICE: Final = ("name", "instances", "restart", "grace", "max_queue", "timeout", "kind")
_POOL: Final = ("name", "size", "init", "max_queue", "timeout", "concurrency", "grace")
RESTARTS: Final = ("always", "on-failure", "never")
"""When a companion whose function has ended is started again; whoever is killed has failed."""


@dataclass(frozen=True, slots=True)
class Companion:
    """What an app has run in a process of its own.

    Attributes:
        name: Such as ``mail``; one companion of an app has it.
        main: Called with a `Context`, once in each process: a coroutine function, or a plain function, which
            has the main thread for itself. When it returns the process ends.
        instances: Processes that run it, or what gives their number of the configuration; 0: none.
        restart: One of `RESTARTS`.
        grace: Seconds from the request to stop until the kill; None: GRACEFUL_SHUTDOWN_TIMEOUT.
        kind: For those who look: ``service``, ``pool``, ``runner``, ``scheduler``, ``process``.
        tells: It is ready when it calls `Context.ready`; else as soon as `main` runs. The process of an older
            generation of the code is told to stop when that of the new one is ready.
        early: When the server stops it is told at once; else when the workers are gone, who may need it.
        keeps: It lives on when new code is loaded, as long as the new code has a companion of its name.
        budget: The name of a background process, as a connection budget knows it; empty: `name`.
    """

    name: str
    main: Callable[["Context"], Any]
    instances: "int | Callable[[Config], int]" = 1
    restart: str = "always"
    grace: float | None = None
    kind: str = "service"
    tells: bool = False
    early: bool = False
    keeps: bool = False
    budget: str = ""

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "._-" for c in self.name):
            raise DeclarationError(
                f"{self.name!r} names no process; expected letters, digits, '.', '_' and '-', such as mail"
            )
        if self.restart not in RESTARTS:
            raise DeclarationError(
                f"{self.name}: restart={self.restart!r} is unknown; expected one of {', '.join(RESTARTS)}"
            )
        if isinstance(self.instances, int) and self.instances < 0:
            raise DeclarationError(f"{self.name}: instances={self.instances}; expected 0 or more")
        if self.grace is not None and not self.grace >= 0:
            raise DeclarationError(f"{self.name}: grace={self.grace}; expected seconds, or None")

    def count(self, config: "Config") -> int:
        """How many processes run it.

        Args:
            config: Of the app, complete.
        """
        return self.instances if isinstance(self.instances, int) else max(int(self.instances(config)), 0)


class Context:
    """What the function of a companion is called with.

    Args:
        app: See below; so the others.
        config: The same.
        name: The same.
        index: The same.
        tell_ready: Called once when it is ready.

    Attributes:
        app: The app that declared it.
        config: Its configuration, complete.
        name: Of the companion.
        index: Which of its processes this is, from 0.
        stopping: Is set when the process is asked to stop.
    """

    def __init__(
        self,
        app: Any,
        config: "Config",
        name: str,
        index: int = 0,
        tell_ready: Callable[[], object] | None = None,
    ) -> None:
        self.app = app
        self.config = config
        self.name = name
        self.index = index
        self.stopping = asyncio.Event()
        self._tell_ready = tell_ready
        self._stopping = threading.Event()

    def ready(self) -> None:
        """Say that it works now; for companions that say so (`Companion.tells`)."""
        tell, self._tell_ready = self._tell_ready, None
        if tell is not None:
            tell()

    def stop(self) -> None:
        """Ask it to stop: what SIGTERM does; in the loop, or where there is none."""
        self.stopping.set()
        self._stopping.set()

    def wait(self, seconds: float | None = None) -> bool:
        """For plain functions: sleep until it is asked to stop, or so many seconds; whether it was asked.

        Args:
            seconds: None: for ever.
        """
        return self._stopping.wait(seconds)


class Placed(NamedTuple):
    """A companion and the app that declared it."""

    app: Any
    companion: Companion


class Beside:
    """What an app has for processes beside its workers."""

    __slots__ = ()

    companions: list[Companion]

    @property
    def manager(self) -> "Manager":
        """Sanic's interface for processes beside the workers."""
        return Manager(self.companions)

    @overload
    def service(self, function: Callable[..., Any], /) -> "Service": ...
    @overload
    def service(
        self,
        /,
        *,
        name: str = "",
        instances: "int | Callable[[Config], int]" = 1,
        restart: str = "always",
        grace: float | None = None,
        max_queue: int = 10_000,
        timeout: float = 5.0,
        kind: Any = None,
    ) -> "Callable[[Callable[..., Any]], Service]": ...
    def service(self, function: Any = None, /, *, name: str = "", **options: Any) -> Any:
        """Declare a function that runs in a process of its own for as long as the server does.

        >>> @app.service
        ... async def mailer(service):
        ...     async for letter in service.messages: ...
        >>> await mailer.send({"to": "ann@example.org"})

        Args:
            function: Called with a `vivace.framework.processes.service.ServiceContext`, or with nothing.
            name: Default: that of the function.
            options: See `vivace.framework.processes.service.Service`.

        Raises:
            DeclarationError: One of them cannot be.
        """
        from vivace.framework.processes.service import Service

        refuse_unknown("@app.service", options, _SERVICE)

        def declare(found: Callable[..., Any]) -> Service:
            return Service(self, found, name or found.__name__, **options)

        return declare if function is None else declare(function)

    @overload
    def pool(self, function: Callable[..., Any], /) -> "Pool": ...
    @overload
    def pool(
        self,
        /,
        *,
        name: str = "",
        size: "int | Callable[[Config], int]" = 1,
        init: Callable[[], Any] | None = None,
        max_queue: int = 100,
        timeout: float = 30.0,
        concurrency: int = 1,
        grace: float | None = None,
    ) -> "Callable[[Callable[..., Any]], Pool]": ...
    def pool(self, function: Any = None, /, *, name: str = "", **options: Any) -> Any:
        """Declare a function that is called in processes of its own.

        >>> @app.pool(size=2, init=load_model)
        ... def predict(model, text): ...
        >>> answer = await predict("hello")

        Args:
            function: Called in one of the processes; a generator function gives its items one by one.
            name: Default: that of the function.
            options: See `vivace.framework.processes.pool.Pool`.

        Raises:
            DeclarationError: One of them cannot be.
        """
        from vivace.framework.processes.pool import Pool

        refuse_unknown("@app.pool", options, _POOL)

        def declare(found: Callable[..., Any]) -> Pool:
            return Pool(self, found, name or found.__name__, **options)

        return declare if function is None else declare(function)


class Manager:
    """Sanic's ``app.manager``, as far as programs use it: ``app.manager.manage("name", function, kwargs)``.

    Args:
        companions: Of the app.
    """

    def __init__(self, companions: list[Companion]) -> None:
        self._companions = companions

    def manage(
        self,
        ident: str,
        func: Callable[..., Any],
        kwargs: Mapping[str, Any] | None = None,
        transient: bool = False,
        restartable: bool | None = None,
        tracked: bool = True,
        auto_start: bool = True,
        workers: int = 1,
    ) -> None:
        """Run a function in a process of its own, from ``main_process_start`` or ``main_process_ready`` on.

        Args:
            ident: The name of the process.
            func: Called with `kwargs`.
            kwargs: Its arguments.
            transient: It is replaced whenever the server restarts; else it lives on, with the code it has.
            restartable: It is started again if it fails; None: if it is transient.
            tracked: Kept for its name: all processes are shown by `vivace ctl status`.
            auto_start: False: it is not started, which Sanic leaves to the program.
            workers: How many processes.

        Raises:
            DeclarationError: There is one of that name, or the name cannot be used.
        """
        given = dict(kwargs or {})
        for known in [known for known in self._companions if known.name == ident]:
            # The listener that declares it may have run before, in this very process.
            if not isinstance(known.main, _Managed) or known.main.func is not func:
                raise DeclarationError(f"there is a process {ident!r} already")
            self._companions.remove(known)
        again = transient if restartable is None else restartable
        made = Companion(
            ident,
            _Managed(func, given),
            workers if auto_start else 0,
            restart="on-failure" if again else "never",
            kind="process",
            keeps=not transient,
        )
        self._companions.append(made)


class _Managed:
    """The main of a function that knows nothing of contexts: a request to stop ends it where it is."""

    def __init__(self, func: Callable[..., Any], given: dict[str, Any]) -> None:
        self.func = func
        self._given = given

    def __call__(self, context: Context) -> Any:
        context.stop = _leave  # type: ignore[method-assign]
        return self.func(**self._given)


def _leave() -> None:
    raise SystemExit(0)


def all_companions(app: Any) -> Iterator[Placed]:
    """Those of an app and of the apps that are mounted in it.

    Args:
        app: A Vivace app, or another one, which has none.

    Raises:
        DeclarationError: Two have one name.
    """
    known: dict[str, Any] = {}
    for one in getattr(app, "mounted_apps", list)():
        for companion in one.companions:
            if companion.name in known:
                raise DeclarationError(
                    f"two processes beside the workers are called {companion.name!r}, of"
                    f" {known[companion.name].name} and of {one.name}; give one another name"
                )
            known[companion.name] = one
            yield Placed(one, companion)
