"""What the web line of a Procfile starts."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vivace.cli.procfile import run_procfile, web_arguments
from vivace.errors import ConfigError


@pytest.mark.parametrize(
    "line", ["vivace run app:app --workers 2", "exec vivace run app:app --workers 2",
             "/bin/python3 -m vivace run app:app --workers $COUNT"],
)  # fmt: skip
def test_the_arguments_of_the_web_line_are_taken(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNT", "2")
    assert web_arguments(f"web: {line}\n", "Procfile") == ["app:app", "--workers", "2"]


def test_what_is_no_vivace_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"web runs 'uwsgi uwsgi.ini', .* write web: vivace run uwsgi.ini$"):
        web_arguments("web: uwsgi uwsgi.ini\n", "Procfile")
    with pytest.raises(ConfigError, match=r"web runs 'gunicorn app', .* write web: vivace run module:app$"):
        web_arguments("web: gunicorn app\n", "Procfile")
    with pytest.raises(ConfigError, match="has no process web"):
        web_arguments("mail: python mail.py\n", "Procfile")


@click.command()
@click.argument("target")
@click.option("--access-log/--no-access-log", default=None)
@click.option("--workers", type=int, default=None)
@click.option("--procfile", default="")
@click.pass_context
def run(ctx: click.Context, target: str, access_log: bool | None, workers: int | None, procfile: str) -> None:
    """What stands for `vivace run`."""
    if target.endswith("Procfile"):
        run_procfile(ctx, target)
    else:
        click.echo(f"{target} {access_log} {workers} {Path(procfile).name}")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "app:app True 2 Procfile"),
        (["--no-access-log"], "app:app False 2 Procfile"),
        (["--workers", "0"], "app:app True 0 Procfile"),
    ],
)
def test_what_is_given_beats_the_line_also_where_it_says_no(
    tmp_path: Path, given: list[str], told: str
) -> None:
    (tmp_path / "Procfile").write_text("web: vivace run app:app --workers 2 --access-log\n")
    assert CliRunner().invoke(run, [str(tmp_path / "Procfile"), *given]).output == told + "\n"
