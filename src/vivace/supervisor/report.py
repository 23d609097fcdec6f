"""What a worker tells its supervisor, as one JSON line on a pipe."""

from typing import Final, NamedTuple

import msgspec

__all__ = ["Report", "ReportReader", "encode_report"]

_LONGEST: Final = 1 << 20


class Report(NamedTuple):
    """A worker serves, or could not be started.

    Attributes:
        ready: It serves; else it failed.
        text: What is served, or what went wrong.
        build: Which Python and which build runs.
        loop: The event loop.
        threads: THREADS of the app's configuration.
        graceful: GRACEFUL_SHUTDOWN_TIMEOUT of the app's configuration, in seconds.
        mounts: What is mounted, and where.
        warnings: What the configuration has to say; each worker says the same.
    """

    ready: bool
    text: str
    build: str = ""
    loop: str = ""
    threads: int = 0
    graceful: float = 0.0
    warnings: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


def encode_report(report: Report) -> bytes:
    """One line."""
    clean = report.text.encode("utf-8", "replace").decode("utf-8")
    return msgspec.json.encode(report._replace(text=clean)) + b"\n"


class ReportReader:
    """Puts the lines of one worker together."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Report]:
        """The reports that `data` completes. A worker runs foreign code: what is no report is dropped."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            self._rest = b""
        reports = []
        for line in lines:
            try:
                reports.append(msgspec.json.decode(line, type=Report))
            except msgspec.DecodeError:
                continue
        return reports
