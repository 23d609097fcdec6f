"""`vivace routes`: what an app answers to."""

from pathlib import Path
from typing import Any

import click

from vivace.config import Config
from vivace.errors import StartupError

__all__ = ["command"]


@click.command(name="routes")
@click.argument("target", required=False)
def command(target: str | None) -> None:
    """Print method, path, name and handler of each route of TARGET, which is found as `vivace run` does."""
    from vivace.supervisor.failure import describe_failure
    from vivace.supervisor.target import find_target, load_target

    config = Config.load()
    loaded = load_target(target or config.APP or find_target(Path()), config.INTERFACE)
    if loaded.kind != "native":
        kind = f"{loaded.kind.rstrip('2').upper()}: {loaded.why}"
        message = (
            f"{loaded.target} is no Vivace app ({kind}): its routes are those of its framework, ask that"
        )
        raise StartupError(message, stage="routes")
    try:
        loaded.app.finalize()
    except Exception as error:
        text, code = describe_failure(error)
        raise StartupError(text, stage="routes", exit_code=code) from error
    rows = [_row(route) for route in loaded.app.routes]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    for row in rows:
        click.echo(
            "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]])
        )


def _row(route: Any) -> tuple[str, str, str, str]:
    handler = getattr(route.handler, "__qualname__", repr(route.handler))
    module = getattr(route.handler, "__module__", "")
    place = f" ({route.source})" if route.source else ""
    return ",".join(sorted(route.methods)), route.path, route.name, f"{module}.{handler}{place}"
