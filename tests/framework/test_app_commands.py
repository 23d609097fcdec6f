"""Commands of an app: declared by functions, run with arguments from the command line."""

from typing import Any

import pytest

from vivace import Vivace
from vivace.errors import DeclarationError
from vivace.framework.commands import run_command

seen: list[Any] = []


async def seed(count: int, name: str = "x", loud: bool = False, ratio: float = 0.5) -> str:
    """Fill the tables."""
    seen.append((count, name, loud, ratio))
    return f"{count} rows"


def dry_run(dry_run: bool = False) -> bool:
    return dry_run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--count", "3"], (3, "x", False, 0.5)),
        (["--count=3", "--name", "y", "--loud", "yes", "--ratio=2"], (3, "y", True, 2.0)),
    ],
)
def test_parameters_are_options_of_their_types(arguments: list[str], expected: tuple[Any, ...]) -> None:
    app = Vivace("app")
    app.command(seed)
    assert run_command(app.commands, "seed", arguments) == "3 rows"
    assert seen.pop() == expected


def test_a_plain_function_and_dashes() -> None:
    app = Vivace("app")
    app.command(name="dry")(dry_run)
    assert run_command(app.commands, "dry", ["--dry-run", "true"]) is True
    assert run_command(app.commands, "dry", []) is False


@pytest.mark.parametrize("arguments", [[], ["--count", "x"], ["--count", "1", "--what", "2"]])
def test_wrong_arguments_end_it(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command({"seed": seed}, "seed", arguments)
    assert caught.value.code == 2
    assert "usage: seed" in capsys.readouterr().err


def test_help_shows_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command({"seed": seed}, "seed", ["--help"])
    assert "Fill the tables." in capsys.readouterr().out


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(DeclarationError, match="'nope' not found"):
        run_command({"seed": seed}, "nope", [])
