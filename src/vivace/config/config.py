"""The configuration of one app or server: the settings, and where each value came from.

Rules of this file:

- An unknown key in a file, in `VIVACE_*` or on the command line is an error that says "did you mean";
  application code may keep upper-case keys of its own.
- A value is checked where it comes in, so that reading `config.X` is a plain attribute.
- Nothing is logged here: what deserves a word without being an error waits in `Config.warnings`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from inspect import signature
from pathlib import Path
from typing import Any, Final

from vivace.config.budget import merge_budgets, parse_budgets, read_variables, show_budgets
from vivace.config.convert import Converter, convert_text, load_source
from vivace.config.kubernetes import without_service_links
from vivace.config.redact import Redaction, names_in
from vivace.config.setting import FALSE, PREFIX, Setting
from vivace.config.table import BY_NAME, SETTINGS
from vivace.errors import ConfigError

__all__ = ["Config"]

_NOT_SETTINGS: Final = frozenset(
    PREFIX + name for name in ("GENERATION", "HUB", "PURE", "RUN", "SLOT", "STAGE", "SUPERVISOR")
)
"""What a server tells its processes and the commands of its hooks; they may read settings too."""


class Config(MutableMapping[str, Any]):
    """The settings as upper-case attributes and items, checked when they are set.

    Unknown upper-case names are the application's own and take any value.

    Args:
        defaults: Settings given by application code, on top of the defaults.
        env_prefix: Take over the variables that begin with it; see `load_environment_vars`.
        keep_alive: KEEP_ALIVE.
        converters: For texts of variables; see `register_type`.
        values: More settings given by application code.

    Attributes:
        sources: Where each value came from, for every setting that is not at its default.
        warnings: What deserves a line in the log at the start.

    Raises:
        ConfigError: A value is not what its setting takes.
    """

    APP: str
    DEBUG: bool
    INTERFACE: str
    MOUNTS: str
    STATIC: str
    LIFESPAN: str
    ROOT_PATH: str
    EARLY_HINTS: bool
    AUTO_RELOAD: bool
    RELOAD_DIRS: str
    TOUCH_RELOAD: str
    FALLBACK_ERROR_FORMAT: str
    NOISY_EXCEPTIONS: bool
    REQUEST_ID_HEADER: str
    SERVER_NAME: str
    THREADS: int
    BIND: str
    HOST: str
    PORT: int
    UNIX: str
    UNIX_MODE: int
    UNIX_OWNER: str
    BACKLOG: int
    PROXY_PROTOCOL: str
    PROXY_PROTOCOL_FROM: str
    PID_FILE: str
    CONTROL: str
    ADMIN_BIND: str
    WORKERS: int
    WORKERS_IDLE_TIMEOUT: float
    SUPERVISE: str
    PRELOAD: str
    BOOT_TIMEOUT: float
    WORKER_MAX_REQUESTS: int
    WORKER_MAX_REQUESTS_JITTER: int | None
    WORKER_MAX_LIFETIME: float
    WORKER_MAX_MEMORY: int
    WORKER_MEMORY_LIMIT: int
    OVERLAP: int
    BUDGETS: str
    LOOP: str
    GRACEFUL_SHUTDOWN_TIMEOUT: float
    SHUTDOWN_DELAY: float | None
    READY_CHECK_INTERVAL: float
    READY_CHECK_TIMEOUT: float
    STOP_LISTENERS_TIMEOUT: float
    SIGQUIT: str
    ACCESS_LOG: bool
    ACCESS_LOG_FILE: str
    LOG_FORMAT: str
    MOTD: bool
    LOGO: str | None
    LOG_LEVEL: str
    LOG_TO: str
    LOG_BUFFER: int
    LOG_KEY: str
    LOG_REDACT: str
    ACCESS_LOG_ID: bool
    ALARM: str
    ALARM_INTERVAL: float
    ADMIN_TOKEN: str
    ADMIN_CERT: str
    ADMIN_KEY: str
    STATS_BIND: str
    MEMORY_REPORT: float
    DAEMON: str
    PROCFILE: str
    HOOKS: str
    KEEP_ALIVE: bool
    KEEP_ALIVE_TIMEOUT: float
    HEAD_TIMEOUT: float
    REQUEST_TIMEOUT: float
    RESPONSE_TIMEOUT: float
    LOOP_TIMEOUT: float
    BODY_TIMEOUT: float
    BODY_MIN_RATE: int
    BODY_RATE_GRACE: float
    WRITE_TIMEOUT: float
    HALF_CLOSE_TIMEOUT: float
    LINGER_TIMEOUT: float
    REQUEST_MAX_SIZE: int
    REQUEST_MAX_HEADER_SIZE: int
    REQUEST_MAX_LINE_SIZE: int
    REQUEST_MAX_FIELDS: int
    REQUEST_BUFFER_SIZE: int
    WRITE_BUFFER_SIZE: int
    WSGI_BUFFER_SIZE: int
    WSGI_SPOOL_SIZE: int
    MAX_CONCURRENT_REQUESTS: int
    MAX_CONNECTIONS: int
    COOKIE_MAX_COUNT: int
    QUERY_MAX_FIELDS: int
    FORM_MAX_PARTS: int
    FORM_MAX_PART_HEADER_SIZE: int
    FORM_MAX_FIELD_SIZE: int
    FORM_MAX_MEMORY: int
    FORM_SPOOL_SIZE: int
    TLS_CERT: str
    TLS_KEY: str
    TLS_CERT_PASSWORD: str
    TLS_FOLDERS: str
    TLS_STRICT_HOST: bool
    TLS_CLIENT_CA: str
    TLS_CIPHERS: str
    TLS_RELOAD: float
    TLS_REDIRECT_PORT: int
    AUTO_TLS: bool
    LOCALHOST: str
    LOCAL_TLS_CERT: str
    LOCAL_TLS_KEY: str
    LOCAL_CERT_CREATOR: str
    WEBSOCKET_MAX_SIZE: int
    WEBSOCKET_MAX_FRAME_SIZE: int
    WEBSOCKET_MAX_FRAGMENTS: int
    WEBSOCKET_MAX_QUEUE: int
    WEBSOCKET_PING_INTERVAL: float
    WEBSOCKET_PING_TIMEOUT: float
    WEBSOCKET_CLOSE_TIMEOUT: float
    WEBSOCKET_RECYCLE_TIMEOUT: float
    WEBSOCKET_MAX_LIFETIME: float
    WEBSOCKET_COMPRESSION: bool
    WEBSOCKET_ORIGINS: str
    FORWARDED_SECRET: str | None
    REAL_IP_HEADER: str | None
    PROXIES_COUNT: int | None
    FORWARDED_FOR_HEADER: str
    TRUSTED_PROXIES: str
    HUB_URL: str
    HUB_PREFIX: str
    HUB_SOCKET: str
    HUB_QUEUE: int
    HUB_MAX_MESSAGE: int
    HUB_OUTBOX: int
    HUB_TIMEOUT: float
    HUB_PING_INTERVAL: float
    HUB_PING_TIMEOUT: float
    HUB_PRESENCE_TTL: float
    HUB_LINGER: float
    HUB_HISTORY_SIZE: int
    HUB_BUFFER: int
    HUB_JOURNAL: str
    GROUP_BUFFER_SIZE: int
    GROUP_RECHECK_GRACE: float
    SSE_HEARTBEAT: float
    GRAPHQL_MAX_MESSAGE: int
    GRAPHQL_MAX_TOKENS: int
    GRAPHQL_MAX_DEPTH: int
    GRAPHQL_MAX_FIELDS: int
    GRAPHQL_MAX_BATCH: int
    GRAPHQL_MAX_OPERATIONS: int
    GRAPHQL_MAX_QUEUE: int
    GRAPHQL_CACHE: int
    GRAPHQL_INIT_TIMEOUT: float
    GRAPHQL_KEEP_ALIVE: float
    TASKS_URL: str
    TASK_WORKERS: int
    TASK_CONCURRENCY: int
    TASK_QUEUES: str
    TASK_LEASE: float
    TASK_MAX_PAYLOAD: int

    sources: dict[str, str]
    warnings: list[str]
    _converters: list[Converter]

    def __init__(
        self,
        defaults: Mapping[str, Any] | None = None,
        env_prefix: str | None = None,
        keep_alive: bool | None = None,
        *,
        converters: Iterable[Converter] = (),
        **values: Any,
    ) -> None:
        self.__dict__.update(self._defaults(), sources={}, warnings=[], _converters=[])
        self.update(_declared_by(type(self)), defaults or {}, **values)
        for converter in converters:
            self.register_type(converter)
        if env_prefix:
            self.load_environment_vars(env_prefix)
        if keep_alive is not None:
            self.KEEP_ALIVE = keep_alive

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """What every configuration of this class begins with."""
        return {setting.name: setting.default for setting in SETTINGS}

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        directory: str | Path | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> "Config":
        """Read files, environment and command line.

        Args:
            environ: The environment; that of the process if None.
            directory: Where pyproject.toml and vivace.toml are looked for; the working directory if None.
            overrides: What the command line gave, by the names of the settings.

        Raises:
            ConfigError: A key is unknown, a value cannot be used, or a file cannot be read.
        """
        environ = os.environ if environ is None else environ
        config = cls(env_prefix=None)
        for source, table in _read_files(Path(directory or ".")):
            config._take_table(table, source)
        config._take_environment(environ)
        config.override(overrides or {})
        return config

    def override(self, values: Mapping[str, object], source: str = "command line") -> None:
        """Set what the starter of the process gave: known settings only, all of them or none.

        Args:
            values: By the names of the settings.
            source: Who gave them, for `sources` and messages.

        Raises:
            ConfigError: A name is unknown or a value cannot be used.
        """
        found = {}
        for name, value in values.items():
            setting = _known(name, source)
            label = f"{source} {setting.option}" if source == "command line" and setting.option else source
            found[name] = setting.parse(value, label), label
        for name, (value, label) in found.items():
            self._store(name, value, label)

    def complete(self, other: "Config") -> None:
        """Take over what `other` was given wherever this one is still at its default.

        Args:
            other: Of the process; keys of an application are not taken over.
        """
        for name, source in other.sources.items():
            if name in BY_NAME and name not in self.sources:
                self._store(name, other[name], source)

    def update(self, *others: Any, **values: Any) -> None:
        """Set several values from mappings, pairs or arguments: all of them or none.

        Raises:
            ConfigError: A value is not what its setting takes, or a name is not upper case.
        """
        merged: dict[str, Any] = {}
        for other in (*others, values):
            merged.update(other)
        found = {name: self._check(name, value) for name, value in merged.items()}
        for name, value in found.items():
            if _has_setter(type(self), name):
                object.__setattr__(self, name, value)
            else:
                self._store(name, value, "application code")

    def update_config(self, source: Any) -> None:
        """Set what a mapping, an object, a class, or a file of Python says in upper case.

        Args:
            source: The thing, a path, which may hold ``${VARIABLE}``, or ``package.module.Thing``.

        Raises:
            ConfigError: A value is not what its setting takes, or the file cannot be run (`PyFileError`) or
                named (`LoadFileException`).
            OSError: The file cannot be read.
        """
        self.update(load_source(source))

    def register_type(self, converter: Converter) -> None:
        """Let `converter` have a look at the texts of variables before numbers and booleans are tried.

        Args:
            converter: Takes the text, or what `DetailedConverter` takes; a ValueError passes it on.
        """
        if converter in self._converters:
            name = getattr(converter, "__name__", repr(converter))
            self.warnings.append(f"Configuration value converter {name!r} has already been registered")
        else:
            self._converters.append(converter)

    def load_environment_vars(self, prefix: str) -> None:
        """Take over the variables of the environment that begin with `prefix`, settings and keys of your own.

        Raises:
            ConfigError: A value is not what its setting takes.
        """
        for variable, text in os.environ.items():
            name = variable.removeprefix(prefix)
            if variable.startswith(prefix) and name.isupper():
                self[name] = self._convert(variable, name, text)

    def _convert(self, variable: str, name: str, text: str) -> Any:
        if name in BY_NAME and not self._converters:
            return text  # the setting knows better what it takes
        known = dict(self)
        return convert_text(text, [_bind(c, variable, name, known) for c in self._converters])

    def as_rows(self) -> list[tuple[str, str, str]]:
        """Name, value and source of every setting, then of the application's own keys; secrets are masked."""
        redaction = Redaction(names_in(self.LOG_REDACT))
        return [
            (name, _shown(name, value, redaction), self.sources.get(name, "default"))
            for name, value in self.items()
        ]

    def __getattr__(self, name: str) -> Any:
        # Reached for missing attributes only; a typed subclass or a plain key of the app is found before.
        raise AttributeError(f"no setting {name}{_did_you_mean(name)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or _has_setter(type(self), name):
            object.__setattr__(self, name, value)
            return
        self._store(name, self._check(name, value), "application code")

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"no setting {name}{_did_you_mean(name)}")
        del self[name]

    def __getitem__(self, name: str) -> Any:
        if not name.isupper():
            raise KeyError(name)
        return self.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __delitem__(self, name: str) -> None:
        if not name.isupper():
            raise KeyError(name)
        del self.__dict__[name]
        self.sources.pop(name, None)
        if name in BY_NAME:  # a setting always has a value: its default
            self.__dict__[name] = BY_NAME[name].default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.isupper() and name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return (name for name in list(self.__dict__) if name.isupper())

    def __len__(self) -> int:
        return sum(name.isupper() for name in self.__dict__)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={text}" for name, text, source in self.as_rows() if source != "default")
        return f"<{type(self).__name__} {given or 'defaults'}>"

    def _check(self, name: str, value: object) -> Any:
        setting = BY_NAME.get(name)
        if setting is not None:
            return setting.parse(value, "application code")
        if not name.isupper():
            raise ConfigError(
                f"{name!r} is no name of a setting: they are upper case{_did_you_mean(name)}",
                key=name,
                source="application code",
            )
        return value

    def _store(self, name: str, value: object, source: str) -> None:
        if name not in BY_NAME and name not in self.__dict__:
            close = _did_you_mean(name, 0.9)
            if close:
                self.warnings.append(
                    f"{name} ({source}) is no setting of Vivace and was kept as your own{close}"
                )
        self.__dict__[name] = value
        self.sources[name] = source

    def _take_table(self, table: Mapping[str, object], source: str) -> None:
        for key, value in table.items():
            setting = _known(key, source)
            self._store(setting.name, setting.parse(value, f"{source}, key {key}"), source)

    def _take_environment(self, environ: Mapping[str, str]) -> None:
        environ = without_service_links(environ)
        for variable in environ:
            if variable.startswith(PREFIX) and variable not in _NOT_SETTINGS:
                _known(variable.removeprefix(PREFIX), f"environment variable {variable}")
        for setting in SETTINGS:
            for variable in (setting.variable, *setting.env):
                if variable in environ and self._take_variable(setting, variable, environ[variable]):
                    break
        self._take_budgets(environ)
        if self.sources.get("PORT") == "environment PORT" and "HOST" not in self.sources:
            self._store("HOST", "*", "environment PORT")  # R3.2

    def add_budgets(self, value: object, source: str = "command line --budget") -> str:
        """Change of BUDGETS what `value` says otherwise, number by number; the whole of it.

        Args:
            value: What BUDGETS takes.
            source: Who gave it, for `sources` and messages.

        Raises:
            ConfigError: It cannot be used.
        """
        added = parse_budgets(BY_NAME["BUDGETS"].parse(value, source))
        text = show_budgets(merge_budgets(parse_budgets(self.BUDGETS), added))
        self._store("BUDGETS", text, source)
        return text

    def _take_budgets(self, environ: Mapping[str, str]) -> None:
        """Of BUDGETS what the variables ``BUDGET_<NAME>`` say instead: platforms have one per resource."""
        found, ignored = read_variables(environ)
        self.warnings.extend(ignored)
        if found:
            merged = merge_budgets(parse_budgets(self.BUDGETS), found)
            names = ", ".join(f"BUDGET_{name.upper()}" for name in found)
            self._store("BUDGETS", show_budgets(merged), f"environment {names}")

    def _take_variable(self, setting: Setting, variable: str, text: str) -> bool:
        """Whether the variable gave a value: what a platform sets must not stop the start, so it may not."""
        source = f"environment {variable}"
        foreign = variable in setting.env
        if foreign and setting.kind == "bool":
            self._store(setting.name, bool(text.strip()) and text.strip().lower() not in FALSE, source)
            return True
        try:
            self._store(setting.name, setting.parse(text, source), source)
        except ConfigError:
            if not foreign:
                raise
            self.warnings.append(
                f"{variable}={text!r} in the environment was ignored; expected {setting.expected()}"
            )
            return False
        return True


def _declared_by(cls: type) -> dict[str, Any]:
    """The upper-case class attributes of a subclass, which are its own defaults."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Config):
            found.update(
                (name, value)
                for name, value in vars(base).items()
                if name.isupper() and not isinstance(value, property)
            )
    return found


def _has_setter(cls: type, name: str) -> bool:
    """Whether a subclass made a property of the name, which then decides what becomes of a value."""
    return isinstance(getattr(cls, name, None), property)


def _shown(name: str, value: object, redaction: Redaction) -> str:
    setting = BY_NAME.get(name)
    if setting is None:  # a key of the app: its name is all that is known of it
        return "********" if value and redaction.hides(name) else redaction.text(repr(value))
    text = setting.show(value)
    return redaction.text(text) if setting.kind in ("daemons", "hooks", "places") else text


def _bind(converter: Converter, variable: str, name: str, known: dict[str, Any]) -> Callable[[str], Any]:
    """The converter as a function of the text alone, whichever of the two kinds it is."""
    if _takes(converter, "") or not _takes(converter, variable, name, "", known):
        return converter
    return lambda text: converter(variable, name, text, known)


def _takes(function: Callable[..., Any], *values: Any) -> bool:
    try:
        signature(function).bind(*values)
    except (TypeError, ValueError):
        return False
    return True


def _known(key: str, source: str) -> Setting:
    setting = BY_NAME.get(key.upper().replace("-", "_"))
    if setting is None:
        hint = _did_you_mean(key)
        if key.islower():  # as the file writes its keys
            hint = hint.lower().replace("_", "-") if "-" in key or "_" not in key else hint.lower()
        raise ConfigError(f"{source}: unknown setting {key!r}{hint}", key=key, source=source)
    return setting


def _did_you_mean(name: str, cutoff: float = 0.6) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.upper().replace("-", "_"), BY_NAME, n=1, cutoff=cutoff)
    return f"; did you mean {close[0]}?" if close else ""


def _read_files(directory: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    project = _read_toml(directory / "pyproject.toml").get("tool", {})
    if isinstance(project, dict) and "vivace" in project:
        table = project["vivace"]
        if not isinstance(table, dict):
            raise ConfigError(f"pyproject.toml: tool.vivace is {table!r}; expected a table of settings")
        yield "pyproject.toml [tool.vivace]", table
    own = _read_toml(directory / "vivace.toml")
    for name, inner in (("tool", "[tool.vivace]"), ("vivace", "[vivace]")):
        if isinstance(own.get(name), dict):
            raise ConfigError(
                f"vivace.toml: the line {inner} is not needed here: the whole file is about Vivace, write the"
                " settings without it",
                key=name,
                source="vivace.toml",
            )
    if own:
        yield "vivace.toml", own


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}", source=path.name) from error
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}", source=path.name) from error
