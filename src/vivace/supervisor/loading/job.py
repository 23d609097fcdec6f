"""What a serving process has to do."""

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from vivace.config import Config
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.loading.target import Loaded

if TYPE_CHECKING:
    from vivace.server import Tls

__all__ = ["Job", "with_tls"]


class Job(NamedTuple):
    """What a serving process has to do.

    Attributes:
        load: Imports the app, or hands over one that exists.
        config: Of the process: files, environment and command line.
        overrides: What the command line gave; it beats what the app's code sets.
        final: The app's own configuration is already complete, since it ran before the process was set up.
        sock: A bound socket to listen on, instead of HOST and PORT.
        signals: Stop on SIGTERM and SIGINT; only a single process can do without.
        ssl: The argument of `app.run`: the certificates, instead of those of the settings.
        tls: What became of it; made before there are workers.
        main: This process is the app's main process too: listeners of ``main_process_...`` run in it.
        again: Makes the job of a restart from the files and the environment as they are then, with settings
            by name on top. None: the program itself has to be run again, it calls ``app.run()``.
        generation: Of the code.
        board: Where workers say how they fare; None: nobody asks.
    """

    load: Callable[[], Loaded]
    config: Config
    overrides: Mapping[str, object]
    final: bool = False
    sock: socket.socket | None = None
    signals: bool = True
    main: bool = True
    ssl: Any = None
    tls: "Tls | None" = None
    again: "Callable[[Mapping[str, Any]], Job] | None" = None
    generation: int = 1
    board: Scoreboard | None = None


def with_tls(job: Job) -> Job:
    """The job with its certificates read.

    Raises:
        ConfigError: They cannot be used.
    """
    config = job.config
    files = config.TLS_CERT or config.TLS_KEY or config.TLS_FOLDERS or config.AUTO_TLS
    if job.ssl is None and not files and not config.TLS_REDIRECT_PORT:
        return job._replace(tls=None)  # OpenSSL stays out of the memory of the supervisor
    from vivace.server import make_tls

    return job._replace(tls=make_tls(config, job.ssl))
