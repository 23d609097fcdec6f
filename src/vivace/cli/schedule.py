"""`vivace schedule`: what an app runs by itself, and when next."""

from pathlib import Path
from typing import Any, Final

import click
import msgspec

from vivace.config import Config
from vivace.errors import StartupError

__all__ = ["command"]

COUNT: Final = 5
"""Times that are shown if nobody says how many."""


@click.command(name="schedule")
@click.argument("target", required=False)
@click.option(
    "--count", default=COUNT, show_default=True, type=click.IntRange(1, 1000), help="Times of each."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str | None, count: int, as_json: bool) -> None:
    """Print the schedules of TARGET, which is found as `vivace run` does, with the next times of each."""
    from vivace.supervisor.loading.target import find_target, load_app

    config = Config.load()
    loaded = load_app(target or config.APP or find_target(Path()), config)
    if loaded.kind != "native":
        raise StartupError(f"{loaded.target} is no Vivace app: it has no schedules", stage="schedule")
    found = [entry for app in loaded.app.mounted_apps() for entry in _entries(app.work, count)]
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for entry in found:
        click.echo(f"{entry['name']}: {entry['rule']}{_options(entry)}")
        for moment in entry["next"]:
            click.echo(f"  {moment}")
    if not found:
        click.echo(f"{loaded.target} has no schedules")


def _entries(book: Any, count: int) -> list[dict[str, Any]]:
    now = book.clock()
    found = [
        {
            "name": one.name,
            "rule": str(one.rule),
            "overlap": one.overlap,
            "catch_up": one.catch_up,
            "jitter": one.jitter,
            "next": [moment.isoformat(timespec="seconds") for moment in one.next_slots(now, count)],
        }
        for one in book.schedules
    ]
    watches = [
        {"name": one.name, "rule": f"watch {one.pattern}", "debounce": one.debounce, "next": []}
        for one in book.watches
    ]
    return found + watches


def _options(entry: dict[str, Any]) -> str:
    said = [f"{name} {entry[name]}" for name in ("overlap", "catch_up") if name in entry]
    if entry.get("jitter"):
        said.append(f"jitter {entry['jitter']:g} s")
    if "debounce" in entry:
        said.append(f"debounce {entry['debounce']:g} s")
    return f" ({', '.join(said)})" if said else ""
