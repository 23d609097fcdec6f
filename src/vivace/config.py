"""The configuration: ONE declaration per setting, and where each value came from.

From `SETTINGS` come the attributes of `Config`, the environment variables, the keys of the TOML files, the
options of the command line and the table of the documentation.

Who wins (the later beats the earlier):

    default < pyproject.toml [tool.vivace] < vivace.toml < environment < application code < command line, run()

- The environment means `VIVACE_<NAME>`, and after it `PORT`, `WEB_CONCURRENCY` and `DEBUG`, which platforms set.
- Application code (`app.config.X = ...`) runs after the environment was read and therefore beats it; whoever starts
  the process has the last word. Settings of the whole process (`Setting.scope`) are needed before any application
  code is imported: `vivace run` takes them from everywhere else, `app.run()` from application code too.
- With `PORT` in the environment and no host given anywhere, HOST is 0.0.0.0: that is how platforms ask to be served.

Rules of this file:

- An unknown key in a file, in `VIVACE_*` or on the command line is an error that says "did you mean"; application
  code may keep upper-case keys of its own.
- A value is checked where it comes in, so that reading `config.X` is a plain attribute.
- A message says what was seen, what was expected, and where it came from.
- Nothing is logged here: what deserves a word without being an error waits in `Config.warnings`.
"""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from vivace.errors import ConfigError

__all__ = ["SETTINGS", "Config", "Setting", "available_cpus", "reference"]

_PREFIX: Final = "VIVACE_"
_NOT_SETTINGS: Final = frozenset({"VIVACE_PURE"})
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*", re.ASCII)
_OCTAL: Final = re.compile(r"(?:0o)?[0-7]{1,4}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]*", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Setting(NamedTuple):
    """The declaration of one setting.

    Attributes:
        name: Upper case, as application code writes it.
        kind: What a value is: ``bool``, ``int``, ``float``, ``str``, ``choice``, ``mode`` (permission bits, octal when
            written as text), ``header`` (a field name) or ``workers`` (a number or ``auto``).
        default: The value when nothing else is given; None where a setting may be absent.
        help: What it does, one sentence.
        group: The heading under which help and documentation show it.
        unit: Of a number.
        minimum: The least number that is taken.
        maximum: The greatest number that is taken.
        choices: The words that a ``choice`` takes.
        flag: The option of the command line if it is not made from the name; ``-`` for none.
        env: Environment variables that are read after ``VIVACE_<NAME>``.
        scope: ``process``: read before application code is imported; ``worker``: everything else.
        secret: Never shown.
    """

    name: str
    kind: str
    default: bool | int | float | str | None
    help: str
    group: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    flag: str = ""
    env: tuple[str, ...] = ()
    scope: str = "worker"
    secret: bool = False

    @property
    def option(self) -> str:
        """The option of the command line, such as ``--keep-alive-timeout``; empty if there is none."""
        if self.flag == "-":
            return ""
        return self.flag or "--" + self.name.lower().replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable, such as ``VIVACE_KEEP_ALIVE_TIMEOUT``."""
        return _PREFIX + self.name

    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        words = _EXPECTED[self.kind] + _bounds(self.minimum, self.maximum)
        return words + (f", in {self.unit}" if self.unit else "") + (", or nothing" if self.default is None else "")

    def parse(self, value: object, source: str) -> Any:
        """Bring `value` into the type of this setting.

        Args:
            value: From code as its own type, from anywhere else as text too.
            source: Where it was read, for the message.

        Raises:
            ConfigError: It is of another type, outside the bounds or not among the choices.
        """
        if value is None and self.default is None:
            return None
        try:
            return _PARSERS[self.kind](self, value)
        except (ValueError, OverflowError):
            seen = "that value" if self.secret else repr(value)
            raise ConfigError(
                f"{self.name}: {seen} (from {source}) cannot be used; expected {self.expected()}",
                key=self.name,
                source=source,
                allowed=self.choices,
            ) from None

    def show(self, value: object) -> str:
        """Write `value` for a person: secrets are masked."""
        if self.secret and value:
            return "********"
        if self.kind == "mode":
            return f"{value:#o}"
        if isinstance(value, float):
            return f"{value:g}"
        return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def available_cpus() -> int:
    """The processors that this process may use: its affinity, bounded by the quota of its control group."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(count, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no version 2 control group, or its quota is "max"
        return count


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return ""
    return f" of at least {minimum:g}" if maximum is None else f" from {minimum:g} to {maximum:.0f}"


def _parse_bool(_: Setting, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def _parse_int(setting: Setting, value: object) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value.strip()):
            raise ValueError
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return int(_check_bounds(setting, value))


def _parse_float(setting: Setting, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return _check_bounds(setting, number)


def _check_bounds(setting: Setting, number: float) -> float:
    if setting.minimum is not None and number < setting.minimum:
        raise ValueError
    if setting.maximum is not None and number > setting.maximum:
        raise ValueError
    return number


def _parse_str(_: Setting, value: object) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or _CONTROL.search(text):
        raise ValueError
    return text


def _parse_logo(_: Setting, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _parse_choice(setting: Setting, value: object) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in setting.choices:
        raise ValueError
    return word


def _parse_mode(setting: Setting, value: object) -> int:
    if isinstance(value, str):
        if not _OCTAL.fullmatch(value.strip()):
            raise ValueError
        value = int(value, 8)
    return _parse_int(setting, value)


def _parse_header(_: Setting, value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError
    return value


def _parse_workers(setting: Setting, value: object) -> int:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return available_cpus()
    return _parse_int(setting, value)


_PARSERS: Final[dict[str, Callable[[Setting, object], Any]]] = {
    "bool": _parse_bool,
    "choice": _parse_choice,
    "float": _parse_float,
    "header": _parse_header,
    "int": _parse_int,
    "logo": _parse_logo,
    "mode": _parse_mode,
    "str": _parse_str,
    "workers": _parse_workers,
}
_EXPECTED: Final = {
    "bool": "yes or no (true, on, 1; false, off, 0)",
    "float": "a number",
    "header": "a field name",
    "int": "a whole number",
    "logo": "text",
    "mode": "octal permission bits such as 660",
    "str": "text on one line",
    "workers": "auto or a whole number",
}

_APP: Final = "Application"
_WHERE: Final = "Where it listens"
_PROCESS: Final = "Processes"
_LOG: Final = "What it says"
_TIME: Final = "Time-outs"
_SIZE: Final = "Limits"
_FORM: Final = "Limits of forms and queries"
_TRUST: Final = "Behind a proxy"

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "APP", "str", "", "What to serve when no target is named: module:app or file.py:app.", _APP,
        flag="-", scope="process",
    ),
    Setting(
        "DEBUG", "bool", False, "Show errors with their source, and reasons a stranger should not read.", _APP,
        env=("DEBUG",),
    ),
    Setting("AUTO_RELOAD", "bool", False, "Restart when a source file changes.", _APP, scope="process"),
    Setting(
        "FALLBACK_ERROR_FORMAT", "choice", "auto", "The form of error answers; auto asks the request's Accept.", _APP,
        choices=("auto", "text", "json", "html"),
    ),
    Setting("NOISY_EXCEPTIONS", "bool", False, "Log quiet exceptions too, such as a 404.", _APP),
    Setting(
        "REQUEST_ID_HEADER", "header", "X-Request-ID", "The field from which the id of a request is taken.", _APP,
    ),
    Setting("SERVER_NAME", "str", "", "The host that absolute URLs name; the request's own if empty.", _APP),
    Setting(
        "THREADS", "int", 4, "Threads per worker for handlers that block.", _APP, "threads", minimum=1, maximum=1024,
    ),
    Setting(
        "HOST", "str", "127.0.0.1", "The address or name to listen on; 0.0.0.0 when the environment has PORT.", _WHERE,
        scope="process",
    ),
    Setting(
        "PORT", "int", 8000, "The port to listen on; 0 lets the system choose one.", _WHERE,
        minimum=0, maximum=65535, env=("PORT",), scope="process",
    ),
    Setting("UNIX", "str", "", "Listen on a Unix socket at this path instead.", _WHERE, flag="--uds", scope="process"),
    Setting(
        "UNIX_MODE", "mode", 0o666, "Permission bits of the Unix socket.", _WHERE,
        minimum=0, maximum=0o777, flag="--uds-mode", scope="process",
    ),
    Setting(
        "BACKLOG", "int", 2048, "Connections that the kernel holds until a worker accepts them.", _WHERE,
        "connections", minimum=1, maximum=2**31 - 1, scope="process",
    ),
    Setting(
        "WORKERS", "workers", 1, "Processes that serve; auto is one per available processor.", _PROCESS,
        "processes", minimum=1, maximum=4096, env=("WEB_CONCURRENCY",), scope="process",
    ),
    Setting(
        "LOOP", "choice", "auto", "The event loop; auto is uvloop where it is installed.", _PROCESS,
        choices=("auto", "uvloop", "asyncio"),
    ),
    Setting(
        "GRACEFUL_SHUTDOWN_TIMEOUT", "float", 15.0, "How long requests in flight may take once a stop began.",
        _PROCESS, "s", minimum=0,
    ),
    Setting("ACCESS_LOG", "bool", True, "Write one line per request.", _LOG),
    Setting(
        "LOG_FORMAT", "choice", "auto", "auto is text on a terminal and JSON lines elsewhere.", _LOG,
        choices=("auto", "text", "json"), scope="process",
    ),
    Setting("MOTD", "bool", True, "Say at the start what is served, where and how.", _LOG, scope="process"),
    Setting("LOGO", "logo", None, "Text shown above the message of the start.", _LOG, flag="-", scope="process"),
    Setting("KEEP_ALIVE", "bool", True, "Let a connection carry more than one request.", _TIME),
    Setting(
        "KEEP_ALIVE_TIMEOUT", "float", 5.0, "How long a connection may idle between requests; 0 is for ever.", _TIME,
        "s", minimum=0,
    ),
    Setting(
        "HEAD_TIMEOUT", "float", 10.0, "How long the head of a request may take to arrive; 0 is for ever.", _TIME,
        "s", minimum=0,
    ),
    Setting(
        "REQUEST_TIMEOUT", "float", 60.0, "How long a whole buffered request may take to arrive (408); 0 is for ever.",
        _TIME, "s", minimum=0,
    ),
    Setting(
        "RESPONSE_TIMEOUT", "float", 60.0, "How long a handler may take to start a response (503); 0 is for ever.",
        _TIME, "s", minimum=0,
    ),
    Setting(
        "BODY_TIMEOUT", "float", 20.0, "How long a body may bring no octet at all (408); 0 is for ever.", _TIME,
        "s", minimum=0,
    ),
    Setting(
        "BODY_MIN_RATE", "int", 512, "The least rate at which a body has to arrive (408); 0 is any.", _TIME,
        "octets/s", minimum=0,
    ),
    Setting(
        "BODY_RATE_GRACE", "float", 10.0, "How long a body may take before its rate is judged.", _TIME, "s", minimum=0,
    ),
    Setting(
        "WRITE_TIMEOUT", "float", 30.0, "How long a client may read nothing of a response; 0 is for ever.", _TIME,
        "s", minimum=0,
    ),
    Setting(
        "HALF_CLOSE_TIMEOUT", "float", 1.0, "How long a client that sent its last octet is still answered.", _TIME,
        "s", minimum=0,
    ),
    Setting(
        "LINGER_TIMEOUT", "float", 2.0, "How long input is swallowed after a refusal, so that it can be read.", _TIME,
        "s", minimum=0,
    ),
    Setting(
        "REQUEST_MAX_SIZE", "int", 104_857_600, "The largest body of a request (413).", _SIZE, "octets", minimum=0,
    ),
    Setting(
        "REQUEST_MAX_HEADER_SIZE", "int", 32768, "The largest head of a request (431).", _SIZE, "octets", minimum=256,
    ),
    Setting(
        "REQUEST_MAX_LINE_SIZE", "int", 16384, "The longest request line (414) and field line (431).", _SIZE,
        "octets", minimum=64,
    ),
    Setting("REQUEST_MAX_FIELDS", "int", 100, "The most header fields of a request (431).", _SIZE, "fields", minimum=1),
    Setting(
        "REQUEST_BUFFER_SIZE", "int", 65536, "Unread input per connection above which reading pauses.", _SIZE,
        "octets", minimum=1024,
    ),
    Setting(
        "WRITE_BUFFER_SIZE", "int", 65536, "Unsent output per connection above which a handler waits.", _SIZE,
        "octets", minimum=0,
    ),
    Setting(
        "MAX_CONCURRENT_REQUESTS", "int", 10_000, "Requests that one worker handles at a time (503 beyond).", _SIZE,
        "requests", minimum=1,
    ),
    Setting(
        "MAX_CONNECTIONS", "int", 0, "Connections that one worker holds; 0 is the limit of open files less 64.",
        _SIZE, "connections", minimum=0,
    ),
    Setting("COOKIE_MAX_COUNT", "int", 100, "The most cookies of a request.", _FORM, "cookies", minimum=0),
    Setting("QUERY_MAX_FIELDS", "int", 1000, "The most fields of a query or form.", _FORM, "fields", minimum=0),
    Setting("FORM_MAX_PARTS", "int", 1000, "The most parts of a multipart form.", _FORM, "parts", minimum=0),
    Setting(
        "FORM_MAX_PART_HEADER_SIZE", "int", 16384, "The largest head of a part.", _FORM, "octets", minimum=64,
    ),
    Setting("FORM_MAX_FIELD_SIZE", "int", 1_048_576, "The largest part that is no file.", _FORM, "octets", minimum=0),
    Setting("FORM_MAX_MEMORY", "int", 8_388_608, "The memory that one form may take.", _FORM, "octets", minimum=0),
    Setting("FORM_SPOOL_SIZE", "int", 1_048_576, "A file above this size goes to disk.", _FORM, "octets", minimum=0),
    Setting(
        "FORWARDED_SECRET", "str", None, "The secret by which a proxy's Forwarded field is known.", _TRUST, secret=True,
    ),
    Setting("REAL_IP_HEADER", "header", None, "The field in which the proxy gives the client's address.", _TRUST),
    Setting(
        "PROXIES_COUNT", "int", None, "The number of proxies in front that append to X-Forwarded-For.", _TRUST,
        "proxies", minimum=0,
    ),
)  # fmt: skip

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


class Config(MutableMapping[str, Any]):
    """The settings as upper-case attributes and items, checked when they are set.

    Unknown upper-case names are the application's own and take any value.

    Args:
        values: Settings given by application code, on top of the defaults.

    Attributes:
        sources: Where each value came from, for every setting that is not at its default.
        warnings: What deserves a line in the log at the start.

    Raises:
        ConfigError: A value is not what its setting takes.
    """

    APP: str
    DEBUG: bool
    AUTO_RELOAD: bool
    FALLBACK_ERROR_FORMAT: str
    NOISY_EXCEPTIONS: bool
    REQUEST_ID_HEADER: str
    SERVER_NAME: str
    THREADS: int
    HOST: str
    PORT: int
    UNIX: str
    UNIX_MODE: int
    BACKLOG: int
    WORKERS: int
    LOOP: str
    GRACEFUL_SHUTDOWN_TIMEOUT: float
    ACCESS_LOG: bool
    LOG_FORMAT: str
    MOTD: bool
    LOGO: str | None
    KEEP_ALIVE: bool
    KEEP_ALIVE_TIMEOUT: float
    HEAD_TIMEOUT: float
    REQUEST_TIMEOUT: float
    RESPONSE_TIMEOUT: float
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
    MAX_CONCURRENT_REQUESTS: int
    MAX_CONNECTIONS: int
    COOKIE_MAX_COUNT: int
    QUERY_MAX_FIELDS: int
    FORM_MAX_PARTS: int
    FORM_MAX_PART_HEADER_SIZE: int
    FORM_MAX_FIELD_SIZE: int
    FORM_MAX_MEMORY: int
    FORM_SPOOL_SIZE: int
    FORWARDED_SECRET: str | None
    REAL_IP_HEADER: str | None
    PROXIES_COUNT: int | None

    sources: dict[str, str]
    warnings: list[str]

    def __init__(self, **values: Any) -> None:
        start = {setting.name: setting.default for setting in SETTINGS}
        self.__dict__.update(start, sources={}, warnings=[])
        self.update(_declared_by(type(self)), **values)

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
        config = cls()
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

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Set several values from a mapping, pairs or arguments: all of them or none.

        Raises:
            ConfigError: A value is not what its setting takes, or a name is not upper case.
        """
        found = {name: self._check(name, value) for name, value in dict(other, **values).items()}
        for name, value in found.items():
            self._store(name, value, "application code")

    def as_rows(self) -> list[tuple[str, str, str]]:
        """Name, value and source of every setting, and after them of the application's own keys; no secrets."""
        rows = []
        for name, value in self.items():
            setting = _BY_NAME.get(name)
            text = setting.show(value) if setting is not None else repr(value)
            rows.append((name, text, self.sources.get(name, "default")))
        return rows

    def __getattr__(self, name: str) -> Any:
        # Reached for missing attributes only; a typed subclass or a plain key of the app is found before.
        raise AttributeError(f"no setting {name}{_did_you_mean(name)}")

    def __setattr__(self, name: str, value: Any) -> None:
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
        if name in _BY_NAME:  # a setting always has a value: its default
            self.__dict__[name] = _BY_NAME[name].default

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
        setting = _BY_NAME.get(name)
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
        if name not in _BY_NAME and name not in self.__dict__:
            close = _did_you_mean(name, 0.9)
            if close:
                self.warnings.append(f"{name} ({source}) is no setting of Vivace and was kept as your own{close}")
        self.__dict__[name] = value
        self.sources[name] = source

    def _take_table(self, table: Mapping[str, object], source: str) -> None:
        for key, value in table.items():
            setting = _known(key, source)
            self._store(setting.name, setting.parse(value, f"{source}, key {key}"), source)

    def _take_environment(self, environ: Mapping[str, str]) -> None:
        for variable in environ:
            if variable.startswith(_PREFIX) and variable not in _NOT_SETTINGS:
                _known(variable.removeprefix(_PREFIX), f"environment variable {variable}")
        for setting in SETTINGS:
            for variable in (setting.variable, *setting.env):
                if variable in environ and self._take_variable(setting, variable, environ[variable]):
                    break
        if self.sources.get("PORT") == "environment PORT" and "HOST" not in self.sources:
            self._store("HOST", "0.0.0.0", "environment PORT")  # noqa: S104  # R3.2

    def _take_variable(self, setting: Setting, variable: str, text: str) -> bool:
        """Whether the variable gave a value; those that platforms set may be blank, and are then as good as absent."""
        source = f"environment {variable}"
        foreign = variable in setting.env
        if foreign and variable == "DEBUG":
            self._store(setting.name, bool(text.strip()) and text.strip().lower() not in _FALSE, source)
            return True
        try:
            if not foreign or text.strip():
                self._store(setting.name, setting.parse(text, source), source)
                return True
        except ConfigError:
            if variable != "WEB_CONCURRENCY":
                raise
        self.warnings.append(f"{variable}={text!r} in the environment was ignored; expected {setting.expected()}")
        return False


def _declared_by(cls: type) -> dict[str, Any]:
    """The upper-case class attributes of a subclass, which are its own defaults."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Config):
            found.update((name, value) for name, value in vars(base).items() if name.isupper())
    return found


def _known(key: str, source: str) -> Setting:
    setting = _BY_NAME.get(key.upper().replace("-", "_"))
    if setting is None:
        raise ConfigError(f"{source}: unknown setting {key!r}{_did_you_mean(key)}", key=key, source=source)
    return setting


def _did_you_mean(name: str, cutoff: float = 0.6) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.upper().replace("-", "_"), _BY_NAME, n=1, cutoff=cutoff)
    return f"; did you mean {close[0]}?" if close else ""


def _read_files(directory: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    project = _read_toml(directory / "pyproject.toml").get("tool", {})
    if isinstance(project, dict) and "vivace" in project:
        yield "pyproject.toml [tool.vivace]", project["vivace"]
    own = _read_toml(directory / "vivace.toml")
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


def reference() -> str:
    """The settings as Markdown tables, one per group, for the documentation."""
    lines: list[str] = []
    group = ""
    for setting in SETTINGS:
        if setting.group != group:
            group = setting.group
            lines += ["", f"## {group}", "", "| Setting | Default | Unit | Option | Meaning |", "|---|---|---|---|---|"]
        shown = f"`{setting.show(setting.default)}`" if setting.default not in {None, ""} else "-"
        also = "".join(f" Environment: `{name}` too." for name in setting.env)
        option = f"`{setting.option}`" if setting.option else "-"
        lines.append(f"| `{setting.name}` | {shown} | {setting.unit or '-'} | {option} | {setting.help}{also} |")
    return "\n".join(lines[1:]) + "\n"
