"""The settings: ONE declaration each.

From here come the attributes of `Config`, the environment variables, the keys of the TOML files, the options
of the command line and the tables of the documentation. The order is that of help and documentation.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["BY_NAME", "SETTINGS"]

_APP: Final = "Application"
_WHERE: Final = "Where it listens"
_PROCESS: Final = "Processes"
_LOG: Final = "What it says"
_TIME: Final = "Time-outs"
_SIZE: Final = "Limits"
_FORM: Final = "Limits of forms and queries"
_TRUST: Final = "Behind a proxy"


def _seconds(name: str, default: float, help: str, group: str) -> Setting:  # noqa: A002
    return Setting(name, "float", default, help, group, "s", minimum=0)


def _count(name: str, default: int, unit: str, minimum: int, help: str, group: str) -> Setting:  # noqa: A002
    return Setting(name, "int", default, help, group, unit, minimum=minimum)


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "APP",
        "str",
        "",
        "What to serve when no target is named: module:app or file.py:app.",
        _APP,
        flag="-",
        scope="process",
    ),
    Setting(
        "DEBUG",
        "bool",
        False,
        "Show errors with their source, and reasons a stranger should not read.",
        _APP,
        env=("DEBUG",),
    ),
    Setting(
        "INTERFACE",
        "choice",
        "auto",
        "What kind of app it is; auto finds out.",
        _APP,
        choices=("auto", "native", "asgi", "asgi2", "wsgi"),
        scope="process",
    ),
    Setting(
        "MOUNTS",
        "mounts",
        "",
        "Other apps below a path of this one: /prefix=target; --mount may be given several times.",
        _APP,
        flag="-",
        scope="process",
    ),
    Setting(
        "LIFESPAN",
        "choice",
        "auto",
        "Whether an ASGI app is told of start and stop; auto tells it, and goes on if it does not know them.",
        _APP,
        choices=("auto", "on", "off"),
    ),
    Setting(
        "ROOT_PATH",
        "str",
        "",
        "The path under which a proxy serves the app and which it has taken off, such as /shop.",
        _APP,
    ),
    Setting(
        "EARLY_HINTS",
        "bool",
        False,
        "Let ASGI apps send 103 Early Hints over HTTP/1.1, which some old clients misread.",
        _APP,
    ),
    Setting(
        "AUTO_RELOAD",
        "bool",
        False,
        "Restart when a source file changes; comes with a later version.",
        _APP,
        scope="process",
    ),
    Setting(
        "FALLBACK_ERROR_FORMAT",
        "choice",
        "auto",
        "The form of error answers; auto asks the request's Accept.",
        _APP,
        choices=("auto", "text", "json", "html"),
    ),
    Setting("NOISY_EXCEPTIONS", "bool", False, "Log quiet exceptions too, such as a 404.", _APP),
    Setting(
        "REQUEST_ID_HEADER",
        "header",
        "X-Request-ID",
        "The field from which the id of a request is taken.",
        _APP,
    ),
    Setting("SERVER_NAME", "str", "", "The host that absolute URLs name; the request's own if empty.", _APP),
    Setting(
        "THREADS",
        "int",
        4,
        "Threads per worker for what blocks: WSGI apps (0: in the worker's own thread), plain handlers.",
        _APP,
        "threads",
        minimum=0,
        maximum=1024,
    ),
    Setting(
        "BIND",
        "binds",
        "",
        "Where to listen: host:port, [::]:port, unix:/path, fd://3, or several; instead of HOST and PORT.",
        _WHERE,
        scope="process",
    ),
    Setting(
        "HOST",
        "str",
        "127.0.0.1",
        "The address or name to listen on; 0.0.0.0 when the environment has PORT.",
        _WHERE,
        scope="process",
    ),
    Setting(
        "PORT",
        "int",
        8000,
        "The port to listen on; 0 lets the system choose one.",
        _WHERE,
        minimum=0,
        maximum=65535,
        env=("PORT",),
        scope="process",
    ),
    Setting(
        "UNIX",
        "str",
        "",
        "Listen on a Unix socket at this path instead.",
        _WHERE,
        flag="--uds",
        scope="process",
    ),
    Setting(
        "UNIX_MODE",
        "mode",
        0o666,
        "Permission bits of the Unix socket.",
        _WHERE,
        minimum=0,
        maximum=0o777,
        flag="--uds-mode",
        scope="process",
    ),
    Setting(
        "UNIX_OWNER",
        "str",
        "",
        "Owner of the Unix socket: user, user:group or :group.",
        _WHERE,
        flag="--uds-owner",
        scope="process",
    ),
    Setting(
        "BACKLOG",
        "int",
        2048,
        "Connections that the kernel holds until a worker accepts them.",
        _WHERE,
        "connections",
        minimum=1,
        maximum=2**31 - 1,
        scope="process",
    ),
    Setting(
        "PROXY_PROTOCOL",
        "choice",
        "off",
        "Whether every connection begins with a header of the PROXY protocol, version 1 or 2.",
        _WHERE,
        choices=("off", "on"),
        scope="process",
    ),
    Setting(
        "PROXY_PROTOCOL_FROM",
        "networks",
        "127.0.0.0/8 ::1 unix",
        "From whom such a header is believed; others are turned away. * is everybody.",
        _WHERE,
        scope="process",
    ),
    Setting(
        "PID_FILE",
        "str",
        "",
        "Write the process id of the supervisor to this file once it serves.",
        _PROCESS,
        scope="process",
    ),
    Setting(
        "WORKERS",
        "workers",
        1,
        "Processes that serve; auto is one per available processor.",
        _PROCESS,
        "processes",
        minimum=1,
        maximum=4096,
        env=("WEB_CONCURRENCY",),
        scope="process",
    ),
    Setting(
    Setting(
        "OVERLAP",
        "int",
        1,
        "Workers beyond WORKERS that may be alive while others are replaced; budgets count them.",
        _PROCESS,
        "processes",
        minimum=0,
        maximum=4096,
        scope="process",
    ),
    Setting(
        "BUDGETS",
        "budgets",
        "",
        "Limits that workers share: name=limit; --budget may be given several times, BUDGET_NAME=limit too.",
        _PROCESS,
        flag="-",
        scope="process",
    ),
        "LOOP",
        "choice",
        "auto",
        "The event loop; auto is uvloop where it is installed.",
        _PROCESS,
        choices=("auto", "uvloop", "asyncio"),
    ),
    Setting(
        "GRACEFUL_SHUTDOWN_TIMEOUT",
        "float",
        15.0,
        "How long requests in flight may take once a stop began.",
        _PROCESS,
        "s",
        minimum=0,
    ),
    Setting("ACCESS_LOG", "bool", True, "Write one line per request.", _LOG),
    Setting(
        "LOG_FORMAT",
        "choice",
        "auto",
        "auto is text on a terminal and JSON lines elsewhere.",
        _LOG,
        choices=("auto", "text", "json"),
        scope="process",
    ),
    Setting("MOTD", "bool", True, "Say at the start what is served, where and how.", _LOG, scope="process"),
    Setting(
        "LOGO", "logo", None, "Text shown above the message of the start.", _LOG, flag="-", scope="process"
    ),
    Setting("KEEP_ALIVE", "bool", True, "Let a connection carry more than one request.", _TIME),
    _seconds(
        "KEEP_ALIVE_TIMEOUT", 5.0, "How long a connection may idle between requests; 0 is for ever.", _TIME
    ),
    _seconds(
        "HEAD_TIMEOUT", 10.0, "How long the head of a request may take to arrive; 0 is for ever.", _TIME
    ),
    Setting(
        "REQUEST_TIMEOUT",
        "float",
        60.0,
        "Time for a whole buffered request to arrive (408); 0, or unset for a hosted app: for ever.",
        _TIME,
        "s",
        minimum=0,
    ),
    Setting(
        "RESPONSE_TIMEOUT",
        "float",
        60.0,
        "Time for a handler to start a response (503); 0, or unset for a hosted app: for ever.",
        _TIME,
        "s",
        minimum=0,
    ),
    _seconds("BODY_TIMEOUT", 20.0, "How long a body may bring no octet at all (408); 0 is for ever.", _TIME),
    _count(
        "BODY_MIN_RATE",
        512,
        "octets/s",
        0,
        "The least rate at which a body has to arrive (408); 0 is any.",
        _TIME,
    ),
    _seconds("BODY_RATE_GRACE", 10.0, "How long a body may take before its rate is judged.", _TIME),
    _seconds(
        "WRITE_TIMEOUT", 30.0, "How long a client may read nothing of a response; 0 is for ever.", _TIME
    ),
    _seconds(
        "HALF_CLOSE_TIMEOUT", 1.0, "How long a client that sent its last octet is still answered.", _TIME
    ),
    _seconds(
        "LINGER_TIMEOUT", 2.0, "How long input is swallowed after a refusal, so that it can be read.", _TIME
    ),
    _count(
        "REQUEST_MAX_SIZE",
        104_857_600,
        "octets",
        0,
        "The largest body of a request (413); hosted apps take any if not set.",
        _SIZE,
    ),
    _count("REQUEST_MAX_HEADER_SIZE", 32768, "octets", 256, "The largest head of a request (431).", _SIZE),
    _count(
        "REQUEST_MAX_LINE_SIZE",
        16384,
        "octets",
        64,
        "The longest request line (414) and field line (431).",
        _SIZE,
    ),
    _count("REQUEST_MAX_FIELDS", 100, "fields", 1, "The most header fields of a request (431).", _SIZE),
    _count(
        "REQUEST_BUFFER_SIZE",
        65536,
        "octets",
        1024,
        "Unread input per connection above which reading pauses.",
        _SIZE,
    ),
    _count(
        "WRITE_BUFFER_SIZE",
        65536,
        "octets",
        0,
        "Unsent output per connection above which a handler waits.",
        _SIZE,
    ),
    _count(
        "WSGI_BUFFER_SIZE",
        1_048_576,
        "octets",
        1,
        "Body of a request, or part of a response that waits for its client, held in memory for a WSGI app.",
        _SIZE,
    ),
    _count(
        "WSGI_SPOOL_SIZE",
        67_108_864,
        "octets",
        0,
        "Body of a request held in a temporary file before a WSGI app gets it; a larger one is streamed.",
        _SIZE,
    ),
    _count(
        "MAX_CONCURRENT_REQUESTS",
        10_000,
        "requests",
        1,
        "Requests that one worker handles at a time (503 beyond).",
        _SIZE,
    ),
    Setting(
        "MAX_CONNECTIONS",
        "int",
        0,
        "Connections that one worker holds; 0 is the limit of open files less 64.",
        _SIZE,
        "connections",
        minimum=0,
    ),
    _count("COOKIE_MAX_COUNT", 100, "cookies", 0, "The most cookies of a request.", _FORM),
    _count("QUERY_MAX_FIELDS", 1000, "fields", 0, "The most fields of a query or form.", _FORM),
    _count("FORM_MAX_PARTS", 1000, "parts", 0, "The most parts of a multipart form.", _FORM),
    _count("FORM_MAX_PART_HEADER_SIZE", 16384, "octets", 64, "The largest head of a part.", _FORM),
    _count("FORM_MAX_FIELD_SIZE", 1_048_576, "octets", 0, "The largest part that is no file.", _FORM),
    _count("FORM_MAX_MEMORY", 8_388_608, "octets", 0, "The memory that one form may take.", _FORM),
    _count("FORM_SPOOL_SIZE", 1_048_576, "octets", 0, "A file above this size goes to disk.", _FORM),
    Setting(
        "FORWARDED_SECRET",
        "str",
        None,
        "The secret by which a proxy's Forwarded field is known.",
        _TRUST,
        secret=True,
    ),
    Setting(
        "REAL_IP_HEADER", "header", None, "The field in which the proxy gives the client's address.", _TRUST
    ),
    Setting(
        "PROXIES_COUNT",
        "int",
        None,
        "The number of proxies in front that append to X-Forwarded-For.",
        _TRUST,
        "proxies",
        minimum=0,
    ),
    Setting(
        "FORWARDED_FOR_HEADER",
        "header",
        "X-Forwarded-For",
        "The field to which proxies append addresses; Forwarded for the one of RFC 7239.",
        _TRUST,
    ),
    Setting(
        "TRUSTED_PROXIES",
        "networks",
        "",
        "Addresses and networks of proxies; when set, nobody else's fields are believed. Also unix, *.",
        _TRUST,
        env=("FORWARDED_ALLOW_IPS",),
    ),
)

BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
