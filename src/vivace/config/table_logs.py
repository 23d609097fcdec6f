"""The settings about logs: what is said, how, and where it goes.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["LOG_SETTINGS"]

_LOG: Final = "What it says"

LOG_SETTINGS: Final[tuple[Setting, ...]] = (
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
