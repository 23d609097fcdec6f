"""`vivace routes`: what an app answers to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from vivace.config import Config
from vivace.errors import StartupError

__all__ = ["command"]

Row = tuple[str, str, str, str]
"""Methods, path, name, and where it is."""


@click.command(name="routes")
@click.argument("target", required=False)
def command(target: str | None) -> None:
    """Print methods, path, name and place of each route of TARGET, which is found as `vivace run` does."""
    from vivace.supervisor.loading.target import find_target, load_app

    config = Config.load()
    loaded = load_app(target or config.APP or find_target(Path()), config)
    if loaded.kind != "native":
        kind = f"{loaded.kind.rstrip('2').upper()}: {loaded.why}"
        message = (
            f"{loaded.target} is no Vivace app ({kind}): its routes are those of its framework, ask that"
        )
        raise StartupError(message, stage="routes")
    rows = list(_rows(loaded.app, ""))
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]).rstrip())


def _rows(app: Any, root: str) -> Iterator[Row]:
    """The routes of an app, then what is mounted in it."""
    from vivace.interfaces.kind import is_native
    from vivace.interfaces.mounts import describe_mounts
    from vivace.interfaces.native import finalize_app

    finalize_app(app, root)
    heads = {route.uri for route in app.routes if "HEAD" in route.methods}
    for route in app.routes:
        # A route for GET answers HEAD too unless another one does.
        implied = {"HEAD"} if "GET" in route.methods and route.uri not in heads else set()
        yield ",".join(sorted(route.methods | implied)), route.uri, route.name, _place(route)
    for mount in app.mounts:
        path = root + mount.prefix
        if is_native(mount.app) and mount.kind in (None, "native"):
            yield from _rows(mount.app, path)
        else:
            yield "*", f"{path}/*", "", describe_mounts([mount])[0].partition(" ")[2]


def _place(route: Any) -> str:
    """Where the handler is; with its name where that is not the name of the route."""
    handler = getattr(route.handler, "__qualname__", repr(route.handler))
    shown = "" if handler == route.name.rpartition(".")[2] else f"{route.handler.__module__}.{handler} "
    return f"{shown}({route.source})" if route.source else shown.rstrip()
