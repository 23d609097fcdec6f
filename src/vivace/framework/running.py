"""How an app is started, stopped and tested: the methods of an app that reach up to the server.

Rules of this file:

- Nothing of the server, the command line or the test clients is imported before a method asks for it; these
  are the framework's upward edges.
- Arguments are understood in one place, `vivace.framework.arguments`.
"""

import os
import signal as signals
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from vivace.config.workers import MOST_WORKERS, is_possible
from vivace.errors import ConfigError
from vivace.framework.arguments import check, settings_of, settle
from vivace.framework.registry import Registry

if TYPE_CHECKING:
    from vivace.cli.embed import AppServer
    from vivace.testing.pairs import SanicASGITestClient, SanicTestClient

__all__ = ["Runnable"]


class _Serve:
    """`serve`, which is two things: a coroutine method of an app; on a class, what serves prepared apps."""

    def __get__(self, app: "Runnable | None", owner: "type[Runnable]") -> Callable[..., Any]:
        return owner._serve_prepared if app is None else app._serve


class Runnable(Registry):
    """What can be run and tested; the base of an app.

    Args:
        name: Of the app.
        ctx: Anything that belongs to the program.

    Attributes:
        neighbours: The apps that the same server serves at other ports, by their ports.
        restarter: What `restart` calls with settings; a server that can sets it.
        scaler: What `scale` calls with a number; the same.
        stopper: What `stop` calls; the server sets it.
    """

    __slots__ = ("_clients", "neighbours", "restarter", "scaler", "stopper")

    _prepared: ClassVar[list[tuple[Any, dict[str, Any]]]] = []
    config: Any

    def __init__(self, name: str, ctx: Any = None) -> None:
        super().__init__(name, ctx)
        self.stopper: Callable[[], None] | None = None
        self.restarter: Callable[[dict[str, Any]], None] | None = None
        self.scaler: Callable[[int], None] | None = None
        self.neighbours: dict[int, Any] = {}
        self._clients: dict[str, Any] = {}

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        ssl: Any = None,
        sock: Any = None,
        workers: int | None = None,
        protocol: type | None = None,
        backlog: int | None = None,
        stop_event: Any = None,
        register_sys_signals: bool = True,
        run_multiple: bool = False,
        run_async: bool = False,
        connections: Any = None,
        signal: Any = None,
        state: dict[str, Any] | None = None,
        asyncio_server_kwargs: dict[str, Any] | None = None,
        return_asyncio_server: bool = False,
        **options: Any,
    ) -> "AppServer | None":
        """Serve until a signal ends it: the command line's `vivace run`, from the program itself.

        Args:
            host: HOST.
            port: PORT.
            debug: DEBUG.
            ssl: Serve HTTPS with this certificate: an `ssl.SSLContext`, a dict with ``cert`` and ``key``, a
                folder with ``fullchain.pem`` and ``privkey.pem``, or a list of these (see docs/tls.md).
            sock: A bound socket, instead of host and port.
            workers: WORKERS.
            protocol: A subclass of `vivace.framework.protocol.HttpProtocol`.
            backlog: BACKLOG.
            stop_event: An `asyncio.Event` that stops the server when it is set.
            register_sys_signals: Stop on SIGTERM and SIGINT; False needs a single process.
            run_multiple: Several workers, one per processor if `workers` does not say how many.
            run_async: The same as `return_asyncio_server`.
            connections: No effect.
            signal: An object whose ``stopped`` becomes True when the server stops.
            state: What the objects of `protocol` share.
            asyncio_server_kwargs: No effect.
            return_asyncio_server: Do not run, but give what `create_server` gives.
            options: Any other setting by its name in lower case, such as ``access_log``, ``unix``, ``motd``;
                also ``dev`` (DEBUG and AUTO_RELOAD), ``fast`` (a worker per processor), ``single_process``.

        Raises:
            TypeError: There is no such argument or setting.
            ConfigError: One of them cannot be honoured.
        """
        given = {
            "host": host,
            "port": port,
            "debug": debug,
            "ssl": ssl,
            "sock": sock,
            "workers": workers,
            "protocol": protocol,
            "backlog": backlog,
            "stop_event": stop_event,
            "register_sys_signals": register_sys_signals,
            "run_multiple": run_multiple,
            "connections": connections,
            "signal": signal,
            "state": state,
            "asyncio_server_kwargs": asyncio_server_kwargs,
            **options,
        }
        if run_async or return_asyncio_server:
            return self.create_server(return_asyncio_server=True, **given)
        from vivace.cli.serve import run_app

        run_app(self, given)
        return None

    def go_fast(self, *args: Any, **options: Any) -> "AppServer | None":
        """`run`, by another name."""
        return self.run(*args, **options)

    def run_multiple(
        self, workers: int, host: str | None = None, port: int | None = None, **options: Any
    ) -> None:
        """`run` with several workers."""
        self.run(host, port, workers=workers, **options)

    def run_unix_socket(self, path: str, mode: int = 0o666, **options: Any) -> None:
        """`run` on a Unix socket.

        Args:
            path: UNIX.
            mode: UNIX_MODE; it is set before the first client can connect.
            options: As for `run`.
        """
        self.run(unix=path, unix_mode=mode, **options)

    def create_server(
        self,
        host: str | None = None,
        port: int | None = None,
        return_asyncio_server: bool = True,
        asyncio_server_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> "AppServer":
        """A server for the running loop, which is not started yet.

        >>> server = await app.create_server(port=8000)
        >>> await server.serve_forever()

        Args:
            host: HOST.
            port: PORT.
            return_asyncio_server: False: ``await`` starts it.
            asyncio_server_kwargs: No effect.
            options: As for `run`, as far as they do not concern processes.
        """
        from vivace.cli.embed import AppServer

        options.pop("register_sys_signals", None)
        given = {"host": host, "port": port, "asyncio_server_kwargs": asyncio_server_kwargs, **options}
        found = settle(self, given, "create_server")
        return AppServer(self, found.settings, found.sock, ssl=found.ssl, serving=not return_asyncio_server)

    async def _serve(self, host: str | None = None, port: int | None = None, **options: Any) -> "AppServer":
        """Serve in the running loop: gives the server, which answers already.

        Args:
            host: HOST.
            port: PORT.
            options: As for `run`, as far as they do not concern processes.
        """
        return await self.create_server(host, port, return_asyncio_server=False, **options)

    serve = _Serve()

    def prepare(self, *args: Any, **options: Any) -> None:
        """Note the arguments of `run` for `Vivace.serve`.

        Raises:
            TypeError: There is no such argument.
            ConfigError: One of them cannot be honoured.
        """
        names = ("host", "port", "debug", "ssl", "sock", "workers", "protocol", "backlog")
        given = {**dict(zip(names, args, strict=False)), **options}
        check(given)
        self._prepared.append((self, given))

    @classmethod
    def _serve_prepared(cls, primary: Any = None, *, app_loader: Any = None, factory: Any = None) -> None:
        """Run the app that was prepared, or several, each at a port of its own.

        Of several the first one says how many workers there are, and its settings are those of connections.

        Args:
            primary: The first one.
            app_loader: Gives the app.
            factory: The same.

        Raises:
            ConfigError: None was prepared, or two for one port, or one for a socket that is no port.
        """
        prepared = {id(app): (app, given) for app, given in cls._prepared}
        cls._prepared.clear()
        if primary is not None and len(prepared) <= 1:
            prepared.setdefault(id(primary), (primary, {}))
        elif not prepared and (factory or app_loader):
            app = factory() if factory is not None else app_loader.load()
            prepared = {id(item[0]): item for item in cls._prepared} or {id(app): (app, {})}
            cls._prepared.clear()
        if primary is not None and id(primary) in prepared:
            prepared = {id(primary): prepared[id(primary)], **prepared}
        if not prepared:
            raise ConfigError("serve() found no prepared app: prepare() one")
        (app, given), *others = prepared.values()
        if others:
            given = {**given, **_place(app, given, others)}
        app.run(**given)

    def stop(self, terminate: bool = True, unregister: bool = False) -> None:
        """Let the server end as after SIGTERM: no new connections, requests in flight are finished.

        Args:
            terminate: Kept for its name: workers and their supervisor end together.
            unregister: Kept for its name: apps of one name replace each other.
        """
        if self.stopper is not None:
            self.stopper()
        else:
            os.kill(os.getpid(), signals.SIGTERM)

    def restart(self, **settings: Any) -> None:
        """Replace the workers by new ones of the code as it is now, without losing a request.

        New workers serve before old ones leave; code that does not start leaves the old one serving, and the
        log says why. It returns at once.

        Args:
            settings: Those to change, by name in upper or lower case.

        Raises:
            TypeError: There is no such setting.
            ConfigError: This process has no supervisor, which is what replaces workers.
        """
        if self.restarter is None:
            raise ConfigError(
                "a restart needs a supervisor: serve with several workers, or with SUPERVISE=on"
            )
        self.restarter(settings_of(settings, "restart"))

    def scale(self, workers: int) -> None:
        """Have another number of workers from now on, until the server ends; it returns at once.

        Args:
            workers: From 1 to `MOST_WORKERS`.

        Raises:
            ValueError: Less or more.
            ConfigError: This process has no supervisor.
        """
        if not is_possible(workers):
            raise ValueError(f"workers is a whole number from 1 to {MOST_WORKERS}, not {workers!r}")
        if self.scaler is None:
            raise ConfigError(
                "another number of workers needs a supervisor: serve with several, or with SUPERVISE=on"
            )
        self.scaler(workers)

    def enable_auto_reload(self, reload_dir: str = ".") -> None:
        """AUTO_RELOAD, and RELOAD_DIRS for a folder.

        Args:
            reload_dir: A folder to watch beside the modules of the program.
        """
        self.config.AUTO_RELOAD = True
        self.config.RELOAD_DIRS = f"{self.config.RELOAD_DIRS} {reload_dir}".strip()

    # Tests

    @property
    def test_client(self) -> "SanicTestClient":
        """Sanic's client for tests: ``request, response = app.test_client.get("/")``.

        It serves the app on a free port for each call. New tests are better served by `vivace.testing`.
        """
        client = self._clients.get("test")
        if client is None:
            from vivace.testing.pairs import SanicTestClient

            client = self._clients["test"] = SanicTestClient(self)  # type: ignore[arg-type]
        return client

    @property
    def asgi_client(self) -> "SanicASGITestClient":
        """The same in this process: ``request, response = await app.asgi_client.get("/")``."""
        client = self._clients.get("asgi")
        if client is None:
            from vivace.testing.pairs import SanicASGITestClient

            client = self._clients["asgi"] = SanicASGITestClient(self)  # type: ignore[arg-type]
        return client


def _place(
    first: Any, given: Mapping[str, Any], others: Iterable[tuple[Any, dict[str, Any]]]
) -> dict[str, Any]:
    """Make apps neighbours of the first one; its arguments that say where all of them listen."""
    places = {_port(first, given): _host(first, given)}
    for app, own in others:
        port = _port(app, own)
        if port in places:
            raise ConfigError(f"two apps are prepared for port {port}: give {app.name} another", key="PORT")
        if own.get("ssl") not in (None, given.get("ssl")):
            raise ConfigError(f"{app.name}: the apps of a server have their certificates in common (ssl=)")
        app.config.override(settle(app, own, "prepare").settings, "app.prepare()")
        first.neighbours[port] = app
        places[port] = _host(app, own)
    binds = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for port, host in places.items()]
    return {"host": None, "port": None, "bind": binds}


def _port(app: Any, given: Mapping[str, Any]) -> int:
    unfit = [name for name in ("sock", "unix", "bind") if given.get(name)]
    port = int(given.get("port") or app.config.PORT)
    if unfit or not port:
        what = f"{unfit[0]}=" if unfit else "port=0"
        raise ConfigError(f"{app.name}: of several apps each is prepared with a port of its own, not {what}")
    return port


def _host(app: Any, given: Mapping[str, Any]) -> str:
    return str(given.get("host") or app.config.HOST)
