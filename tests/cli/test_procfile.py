"""What the web line of a Procfile starts."""

import pytest

from vivace.cli.procfile import web_arguments
from vivace.errors import ConfigError


@pytest.mark.parametrize(
    "line", ["vivace run app:app --workers 2", "exec vivace run app:app --workers 2",
             "/bin/python3 -m vivace run app:app --workers $COUNT"],
)  # fmt: skip
def test_the_arguments_of_the_web_line_are_taken(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNT", "2")
    assert web_arguments(f"web: {line}\n", "Procfile") == ["app:app", "--workers", "2"]


def test_what_is_no_vivace_is_refused() -> None:
    with pytest.raises(ConfigError, match="web runs 'gunicorn app'; expected vivace run"):
        web_arguments("web: gunicorn app\n", "Procfile")
    with pytest.raises(ConfigError, match="has no process web"):
        web_arguments("mail: python mail.py\n", "Procfile")
