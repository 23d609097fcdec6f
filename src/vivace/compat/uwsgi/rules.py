"""What each option of uWSGI becomes here.

Rules of this file:

- An option stands in one table: what it becomes (`ACTS`), that nothing has to be done (`NOT_NEEDED`), or what
  to do instead (`ELSEWHERE`).
- A switch that is given as false is as if it were not given.
- Follows uWSGI's documentation of its options, 2.0.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vivace.compat.uwsgi.ini import Given
from vivace.compat.uwsgi.sketch import Sketch, fail, is_true
from vivace.errors import ConfigError

__all__ = ["ACTS", "ALIASES", "ELSEWHERE", "NOT_NEEDED"]

Act = Callable[[Sketch, Given], None]

_MIB: Final = 1 << 20


def _number(setting: str, factor: int = 1) -> Act:
    return lambda sketch, given: sketch.settings.update({setting: sketch.number(given) * factor})


def _text(setting: str) -> Act:
    return lambda sketch, given: sketch.settings.update({setting: given.value})


def _switch(setting: str, value: object) -> Act:
    return lambda sketch, given: sketch.settings.update({setting: value} if is_true(given.value) else {})


def _hook(stage: str) -> Act:
    return lambda sketch, given: sketch.hook(stage, given.value)


def _attribute(name: str) -> Act:
    return lambda sketch, given: setattr(sketch, name, given.value)


# -- where it listens -------------------------------------------------------------------------------------


def _bind(sketch: Sketch, given: Given) -> None:
    address = given.value.partition(",")[0]
    if given.raw.strip() in (":$(PORT)", "0.0.0.0:$(PORT)"):
        sketch.notes.append("PORT of the environment is read without being asked for")
    sketch.add("BIND", f"unix:{address}" if "/" in address else address)


def _keep_alive(sketch: Sketch, given: Given) -> None:
    if given.value.lower() in ("", "true", "yes", "on", "1", "false", "no", "off", "0"):
        return  # a switch; with a greater number it is seconds too
    sketch.settings["KEEP_ALIVE_TIMEOUT"] = sketch.number(given)


def _secure(sketch: Sketch, given: Given) -> None:
    address, *files = given.value.split(",")
    if len(files) < 2:
        raise fail(given, "address,certificate,key")
    sketch.add("BIND", address)
    sketch.settings.update(TLS_CERT=files[0], TLS_KEY=files[1])


def _refuse_socket(_: Sketch, given: Given) -> None:
    raise ConfigError(
        f"{given.place}: {given.name} = {given.value}: Vivace speaks HTTP, not the protocol of that socket;"
        f" write http-socket = {given.value}, and proxy_pass instead of uwsgi_pass in nginx",
        key=given.name,
    )


def _socket_mode(sketch: Sketch, given: Given) -> None:
    sketch.settings["UNIX_MODE"] = given.value if given.value.isdigit() else "666"


# -- processes --------------------------------------------------------------------------------------------


def _workers(sketch: Sketch, given: Given) -> None:
    most = sketch.number(given) if not given.value.startswith("%") else 0
    sketch.workers = most, sketch.workers[1]


def _cheaper(sketch: Sketch, given: Given) -> None:
    sketch.workers = sketch.workers[0], sketch.number(given)


def _buffer(sketch: Sketch, given: Given) -> None:
    if sketch.number(given) > 32_768:  # ours takes more than theirs without being asked
        sketch.settings["REQUEST_MAX_HEADER_SIZE"] = sketch.number(given)


# -- the app ----------------------------------------------------------------------------------------------


def _module(sketch: Sketch, given: Given) -> None:
    sketch.module, _, function = given.value.partition(":")
    sketch.function = function or sketch.function


def _mount(sketch: Sketch, given: Given) -> None:
    prefix, _, target = given.value.partition("=")
    if not target:
        raise fail(given, "/prefix=file.py or /prefix=module:app")
    place, _, function = target.partition(":")
    sketch.add(
        "MOUNTS", f"{prefix.rstrip('/') or '/'}={place}:{function.removesuffix('()') or 'application'}"
    )


def _environment(sketch: Sketch, given: Given) -> None:
    name, _, value = given.value.partition("=")
    sketch.environ[name.strip()] = value.strip()


def _no_environment(sketch: Sketch, given: Given) -> None:
    sketch.environ[given.value] = None


def _python_path(sketch: Sketch, given: Given) -> None:
    sketch.paths.append(given.value)


def _touch(sketch: Sketch, given: Given) -> None:
    name = str(Path(sketch.folder or ".", given.value).absolute())
    before = sketch.settings.get("TOUCH_RELOAD", "")
    sketch.settings["TOUCH_RELOAD"] = f"{before}{os.pathsep}{name}" if before else name


def _static(sketch: Sketch, given: Given) -> None:
    prefix, _, folder = given.value.partition("=")
    if not folder:
        raise fail(given, "/prefix=folder")
    if given.name == "static-map2":  # the prefix is a part of the path on the disk
        folder = f"{folder.rstrip('/')}{prefix}"
    sketch.add("STATIC", f"{prefix}={folder}")


# -- logs -------------------------------------------------------------------------------------------------


def _log_file(sketch: Sketch, given: Given) -> None:
    if given.value.count(":") and not given.value.startswith("/"):
        sketch.add("LOG_TO", f"syslog+udp://{given.value}")
    else:
        sketch.add("LOG_TO", f"file://{Path(sketch.folder or '.', given.value).absolute()}")
    if given.name.startswith("daemonize"):
        sketch.notes.append(f"{given.name}: the server stays in the foreground; its log goes to the file")


def _syslog(sketch: Sketch, _: Given) -> None:
    sketch.add("LOG_TO", "syslog+udp://127.0.0.1")


def _logger(sketch: Sketch, given: Given) -> None:
    words = given.value.split(None, 1)
    kind, _, rest = words[-1].partition(":") if words else ("", "", "")  # a name may stand before it
    if kind in ("file", "stdio", "fd"):
        place = f"file://{Path(sketch.folder or '.', rest).absolute()}" if kind == "file" else "stdout"
    elif kind == "systemd":
        place = "journald://"
    elif kind == "syslog":
        place = "syslog+udp://127.0.0.1" + (f"?app={rest.partition(',')[0]}" if rest else "")
    elif kind in ("rsyslog", "socket") and rest:
        address, _, name = rest.partition(",")
        place = f"syslog+udp://{address}" + (f"?app={name}" if name and kind == "rsyslog" else "")
    else:
        sketch.warn(given, f"there is no place {kind!r} for logs; docs/logs.md names those of LOG_TO")
        return
    sketch.add("LOG_TO", place)


# -- beside the workers -----------------------------------------------------------------------------------


def _daemon(sketch: Sketch, given: Given) -> None:
    sketch.daemon(given, given.value, critical=given.name == "attach-control-daemon", keep_on_reload=False)


def _smart(sketch: Sketch, given: Given) -> None:
    _pid_file, _, command = given.value.partition(" ")
    if not command.strip():
        raise fail(given, "a pid file and a command")
    sketch.daemon(given, command.strip(), adopt=True)
    sketch.notes.append(f"{given.name}: the program has to stay in the foreground; its pid file is not read")


def _daemon_by_keys(sketch: Sketch, given: Given) -> None:
    keys: dict[str, str] = {}
    last = ""
    for part in given.value.split(","):
        name, equals, value = part.partition("=")
        if equals and name in _DAEMON_KEYS:
            keys[last := name] = value
        elif last:  # the comma is a part of the command
            keys[last] += f",{part}"
    command = keys.get("cmd") or keys.get("command") or keys.get("exec")
    if not command:
        raise fail(given, "cmd=program and its arguments")
    more: dict[str, object] = {"adopt": True} if "pidfile" in keys else {"keep_on_reload": False}
    if is_true(keys.get("control", "false")):
        more["critical"] = True
    if "stopsignal" in keys:
        import signal

        number = keys["stopsignal"]
        try:
            more["stop_signal"] = signal.Signals(int(number)).name if number.isdigit() else number
        except ValueError:
            raise fail(given, "stopsignal with the number or the name of a signal") from None
    if "touch" in keys:
        more["watch"] = keys["touch"].split(";")
    sketch.daemon(given, command, **more)


_DAEMON_KEYS: Final = frozenset(
    (
        *(
            "cmd",
            "command",
            "exec",
            "freq",
            "pidfile",
            "control",
            "daemonize",
            "daemon",
            "touch",
            "stopsignal",
        ),
        *("stop_signal", "reloadsignal", "reload_signal", "stdin", "uid", "gid", "ns_pid", "max_throttle"),
    )
)


def _hook_of(stage: str) -> Act:
    """For ``hook-...``, whose value says what kind of action it is."""

    def act(sketch: Sketch, given: Given) -> None:
        kind, _, rest = given.value.partition(":")
        if kind in ("exec", "execjail", "safeexec"):
            sketch.hook(stage, rest)
        else:
            sketch.warn(given, f"of the actions of hooks there is exec:, not {kind}:")

    return act


def _spooler(sketch: Sketch, given: Given) -> None:
    folder = Path(sketch.folder or ".", given.value.split("=")[-1]).absolute()
    sketch.settings["TASKS_URL"] = f"sqlite:///{folder}/tasks.sqlite3"  # three strokes, and that of the path
    sketch.notes.append(f"{given.name}: functions of uwsgidecorators become @app.task, see docs/tasks.md")


def _stats(sketch: Sketch, given: Given) -> None:
    address = given.value
    if "/" in address:
        sketch.settings["STATS_BIND"] = f"unix:{address}"
        return
    host, _, port = address.rpartition(":")
    if host not in ("127.0.0.1", "localhost", "[::1]"):
        sketch.warnings.append(
            f"{given.place}: {given.name} = {address} would tell every machine: 127.0.0.1:{port} is taken;"
            " ADMIN_BIND with ADMIN_TOKEN is for others"
        )
        host = "127.0.0.1"
    sketch.settings["STATS_BIND"] = f"{host}:{port}"


def _memory_report(sketch: Sketch, given: Given) -> None:
    if is_true(given.value):
        sketch.settings["MEMORY_REPORT"] = 60


ALIASES: Final = {
    "H": "virtualenv", "L": "disable-logging", "M": "master", "Q": "shared-queue", "R": "max-requests",
    "b": "buffer-size", "d": "daemonize", "home": "virtualenv", "l": "listen", "p": "processes",
    "pp": "pythonpath", "py-auto-reload": "py-autoreload", "pyhome": "virtualenv", "pymodule": "module",
    "python-auto-reload": "py-autoreload", "python-autoreload": "py-autoreload", "python-path": "pythonpath",
    "q": "queue", "s": "socket", "t": "harakiri", "venv": "virtualenv", "w": "module", "workers": "processes",
    "wsgi": "module", "z": "socket-timeout", "file": "wsgi-file", "log-syslog": "syslog",
    "stats-server": "stats", "req-logger": "logger", "log-to": "logto", "logto2": "logto",
    "chmod": "chmod-socket", "chown": "chown-socket", "hook-post-app": "hook-accepting1",
    "cheap": "cheaper-initial", "smart-attach-daemon2": "smart-attach-daemon", "daemonize2": "daemonize",
}  # fmt: skip
"""Other names of options."""

ACTS: Final[dict[str, Act]] = {
    "http-socket": _bind, "http": _bind, "http11-socket": _bind, "http-to-https": _bind,
    "https": _secure, "https-socket": _secure,
    **dict.fromkeys(
        ("socket", "uwsgi-socket", "fastcgi-socket", "scgi-socket", "puwsgi-socket", "suwsgi-socket"),
        _refuse_socket,
    ),
    "chmod-socket": _socket_mode, "chown-socket": _text("UNIX_OWNER"), "listen": _number("BACKLOG"),
    "pidfile": _text("PID_FILE"), "pidfile2": _text("PID_FILE"), "safe-pidfile": _text("PID_FILE"),
    "processes": _workers, "threads": _number("THREADS"), "cheaper": _cheaper,
    "lazy-apps": _switch("PRELOAD", "off"), "lazy": _switch("PRELOAD", "off"),
    "max-requests": _number("WORKER_MAX_REQUESTS"),
    "max-requests-delta": _number("WORKER_MAX_REQUESTS_JITTER"),
    "max-worker-lifetime": _number("WORKER_MAX_LIFETIME"),
    "reload-on-rss": _number("WORKER_MAX_MEMORY", _MIB),
    "evil-reload-on-rss": _number("WORKER_MEMORY_LIMIT", _MIB),
    "reload-mercy": _number("GRACEFUL_SHUTDOWN_TIMEOUT"),
    "worker-reload-mercy": _number("GRACEFUL_SHUTDOWN_TIMEOUT"),
    "harakiri": _number("RESPONSE_TIMEOUT"), "http-timeout": _number("WRITE_TIMEOUT"),
    "http-keepalive": _keep_alive, "limit-post": _number("REQUEST_MAX_SIZE"),
    "buffer-size": _buffer, "module": _module, "wsgi-file": _attribute("module"),
    "callable": _attribute("function"), "mount": _mount, "env": _environment, "unenv": _no_environment,
    "chdir": _attribute("folder"), "chdir2": _attribute("folder"), "pythonpath": _python_path,
    "py-autoreload": _switch("AUTO_RELOAD", True),
    "touch-reload": _touch, "touch-chain-reload": _touch, "touch-workers-reload": _touch,
    "static-map": _static, "static-map2": _static,
    "disable-logging": _switch("ACCESS_LOG", False), "logto": _log_file, "daemonize": _log_file,
    "syslog": _syslog, "logger": _logger,
    "attach-daemon": _daemon, "attach-control-daemon": _daemon, "attach-daemon2": _daemon_by_keys,
    "smart-attach-daemon": _smart,
    **dict.fromkeys(
        ("exec-asap", "exec-pre-jail", "exec-post-jail", "exec-in-jail", "exec-as-root", "exec-as-user",
         "exec-pre-app"),
        _hook("before_start"),
    ),
    "exec-post-app": _hook("after_ready"), "exec-as-user-atexit": _hook("before_stop"),
    **dict.fromkeys(
        ("hook-asap", "hook-pre-jail", "hook-post-jail", "hook-in-jail", "hook-as-root", "hook-as-user",
         "hook-pre-app"),
        _hook_of("before_start"),
    ),
    "hook-accepting1": _hook_of("after_ready"), "hook-accepting1-once": _hook_of("after_ready"),
    "hook-as-user-atexit": _hook_of("before_stop"), "hook-master-start": _hook_of("before_start"),
    "stats": _stats, "memory-report": _memory_report,
    "spooler": _spooler, "spooler-processes": _number("TASK_WORKERS"),
}  # fmt: skip
"""Options that become something."""

NOT_NEEDED: Final[dict[str, str]] = {
    **dict.fromkeys(("master", "no-orphans"), "there is a supervisor wherever something needs one"),
    "die-on-term": "SIGTERM always is a graceful stop",
    "hook-master-term": "SIGTERM always is a graceful stop",
    **dict.fromkeys(("vacuum", "need-app", "strict", "thunder-lock", "enable-threads", "single-interpreter",
                     "close-on-exec", "close-on-exec2", "auto-procname"), "always so"),
    **dict.fromkeys(("procname", "procname-prefix", "procname-prefix-spaced", "procname-append"),
                    "ps shows the name of the app"),
    **dict.fromkeys(("plugin", "plugins", "need-plugin", "plugins-dir", "plugin-dir", "protocol"),
                    "all is built in"),
    "harakiri-verbose": "the log always says where a request was stuck",
    "py-tracebacker": "vivace ctl dump shows the stacks",
    "min-worker-lifetime": "a planned replacement is never held to be a crash",
    "max-worker-lifetime-delta": "a tenth by chance",
    "offload-threads": "files always leave without a worker's time",
    **dict.fromkeys(("honour-range", "static-cache-paths", "fileserve-mode", "static-cache-paths-name"),
                    "ranges and ETags are always there"),
    "log-master": "every process writes for itself and never blocks",
    **dict.fromkeys(("log-reopen", "log-master-bufsize", "threaded-logger", "log-date", "logdate"),
                    "always so"),
    **dict.fromkeys(("ignore-sigpipe", "ignore-write-errors", "disable-write-exception",
                     "write-errors-tolerance"), "a client that left is no error"),
    **dict.fromkeys(("http-websockets", "http-chunked-input", "http-auto-chunked", "http-raw-body"),
                    "always so"),
    **dict.fromkeys(("post-buffering", "post-buffering-bufsize", "socket-timeout", "so-keepalive",
                     "tcp-nodelay", "so-send-timeout", "threads-stacksize", "threads-stack-size",
                     "no-defer-accept", "http-processes", "wsgi-disable-file-wrapper", "py-call-osafterfork",
                     "py-call-uwsgi-fork-hooks", "manage-script-name", "project", "max-fd"),
                    "not needed here"),
}  # fmt: skip
"""Options for which nothing has to be done, and why."""

_CHEAPER: Final = "WORKERS=2..8 follows the load by itself"
_ALARM: Final = "alarms are told of events, not of lines of the log: [[alarm]], see docs/alarms.md"
_CRON: Final = "schedules stand in the code: @app.cron, @app.every, @app.watch, see docs/schedules.md"
_MULE: Final = "long-lived processes stand in the code: @app.service, @app.pool, see docs/services.md"
_ASYNC: Final = "there is an event loop in each worker; WSGI apps run in THREADS threads, ASGI apps on it"
_USER: Final = "start the server as the user that it should be"
_PROXY: Final = "that is a matter for a proxy in front, or for the app"
_NONE: Final = "there is nothing like it"
_TOUCH: Final = "kill -HUP or vivace ctl restart load the code anew; AUTO_RELOAD=1 does when a file changes"

ELSEWHERE: Final[dict[str, str]] = {
    **dict.fromkeys(("cheaper-algo", "cheaper-initial", "cheaper-step", "cheaper-overload", "cheaper-idle",
                     "cheaper-rss-limit-soft", "cheaper-rss-limit-hard", "cheaper-busyness-max",
                     "cheaper-busyness-min", "cheaper-busyness-multiplier", "cheaper-busyness-verbose",
                     "cheaper-busyness-backlog-alert", "cheaper-busyness-backlog-step",
                     "cheaper-busyness-backlog-multiplier", "cheaper-busyness-penalty", "idle",
                     "die-on-idle"), _CHEAPER),
    **dict.fromkeys(("alarm", "log-alarm", "alarm-list", "alarm-freq", "alarm-fd", "alarm-backlog",
                     "alarm-segfault", "alarm-cheap", "alarm-msg-size"), _ALARM),
    **dict.fromkeys(("cron", "cron2", "unique-cron", "legion-cron", "cron-harakiri", "fs-reload",
                     "fs-brutal-reload", "fs-signal", "signal-timer", "snmp"), _CRON),
    **dict.fromkeys(("mule", "mules", "farm", "mule-reload-mercy", "mule-harakiri", "mule-msg-size"), _MULE),
    **dict.fromkeys(("spooler-frequency", "spooler-max-tasks", "spooler-harakiri", "spooler-ordered",
                     "spooler-chdir", "spooler-quiet", "spooler-import", "spooler-external", "import",
                     "shared-import", "spooler-signal-as-task"),
                    "tasks stand in the code: @app.task, see docs/tasks.md"),
    **dict.fromkeys(("gevent", "gevent-monkey-patch", "gevent-early-monkey-patch", "async", "ugreen",
                     "greenlet", "asyncio", "tornado", "loop"), _ASYNC),
    **dict.fromkeys(("uid", "gid", "chroot", "add-gid", "pivot-root", "unshare", "cap", "drop-after-init",
                     "drop-after-apps"), _USER),
    **dict.fromkeys(("touch-mules-reload", "touch-spoolers-reload", "touch-logrotate", "touch-logreopen",
                     "touch-exec", "touch-signal", "reload-on-exception"), _TOUCH),
    "master-fifo": "vivace ctl is what tells a running server something, see docs/control.md",
    **dict.fromkeys(("reload-on-as", "evil-reload-on-as", "limit-as"),
                    "the address space says little; reload-on-rss is WORKER_MAX_MEMORY"),
    "virtualenv": "Vivace runs in the Python in which it is installed: install it in that environment",
    **dict.fromkeys(("static-index", "static-expires", "static-expires-uri", "static-expires-type",
                     "static-gzip", "static-gzip-all", "static-gzip-dir", "static-gzip-ext",
                     "static-gzip-prefix", "static-gzip-suffix", "static-safe", "static-skip-ext",
                     "check-static", "check-static-docroot", "mimefile"),
                    "app.static() of a Vivace app has options for files, STATIC has none"),
    **dict.fromkeys(("log-format", "logformat", "log-4xx", "log-5xx", "log-slow", "log-big", "log-zero",
                     "log-sendfile", "log-ioerror", "log-micros", "log-x-forwarded-for", "log-route",
                     "log-req-route", "log-encoder", "log-req-encoder", "log-drain", "log-filter",
                     "log-maxsize", "log-backupname", "log-prefix", "logfile-chown", "logfile-chmod",
                     "log-socket", "logger-list", "crypto-logger"),
                    "LOG_FORMAT is text or JSON lines, which tools can filter; LOG_TO says where it goes"),
    **dict.fromkeys(("route", "route-host", "route-uri", "route-run", "add-header", "http-to",
                     "http-modifier1", "ssl-option", "http-gzip", "http-auto-gzip"), _PROXY),
    **dict.fromkeys(("emperor", "vassals", "subscribe-to", "fastrouter", "legion", "cache", "cache2", "queue",
                     "shared-queue", "sharedarea", "rpc", "enable-metrics", "metric", "carbon", "statsd",
                     "stats-push", "cpu-affinity", "harakiri-no-arh", "zerg", "zerg-server", "pyrun",
                     "paste", "ini-paste", "web3", "pecan", "django"), _NONE),
}  # fmt: skip
"""Options that have no counterpart among our settings, and what to do instead."""
