"""The settings about logs: what is said, how, and where it goes.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["LOG_SETTINGS"]

_LOG: Final = "What it says"

LOG_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("ACCESS_LOG", "bool", True, "Write one line per request.", _LOG),
    Setting(
        "ACCESS_LOG_FILE",
        "str",
        "",
        "The file that these lines are appended to; SIGUSR1 opens it anew. Empty is standard output.",
        _LOG,
    ),
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
    Setting(
        "LOG_LEVEL",
        "choice",
        "info",
        "What is less than this is not said; with DEBUG the server says everything unless this is set.",
        _LOG,
        choices=("debug", "info", "warning", "error", "critical"),
        scope="process",
    ),
    Setting(
        "LOG_TO",
        "places",
        "",
        "Where all logs go: stdout, file:///path, syslog+udp|tcp|tls://host, journald://; see docs/logs.md.",
        _LOG,
        scope="process",
    ),
    Setting(
        "LOG_BUFFER",
        "int",
        10_000,
        "What may wait for each of these places in each process; older lines are dropped, counted and told.",
        _LOG,
        "lines",
        minimum=1,
        maximum=10_000_000,
        scope="process",
    ),
    Setting(
        "LOG_KEY",
        "str",
        "",
        "What seals datagrams to udp+aead://host: 64 hexadecimal digits; a file is better, see docs/logs.md.",
        _LOG,
        flag="-",
        scope="process",
        secret=True,
    ),
    Setting(
        "LOG_REDACT",
        "str",
        "",
        "Names whose values no log shows, on top of authorization, cookie, password, token and so on.",
        _LOG,
    ),
    Setting(
        "ACCESS_LOG_ID", "bool", False, "Write the id of each request into its line of the access log.", _LOG
    ),
)
