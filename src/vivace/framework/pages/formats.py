"""The three looks of an error: text, JSON in Sanic's shape, and a small page without any script.

Rules of this file:

- Octets out; each format escapes what it is given.
- A page is below 2 KiB unless it carries a traceback.
"""

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

from vivace.framework.response import encode_json

__all__ = ["Problem", "render_html", "render_json", "render_text"]


class Problem(NamedTuple):
    """An error, ready to be shown.

    Attributes:
        status: Its status.
        title: The phrase of the status.
        message: One sentence for the client.
        context: What the app wants the client to know besides.
        debug: What only the developer may see.
        traceback: The same; empty if there is none.
    """

    status: int
    title: str
    message: str
    context: Mapping[str, Any] | None = None
    debug: Mapping[str, Any] | None = None
    traceback: str = ""


def render_text(problem: Problem) -> bytes:
    """A heading, a bar, the message, and what there is besides under headings of its own."""
    heading = f"⚠️ {problem.status} — {problem.title}"
    parts = [f"{heading}\n{'=' * len(heading)}\n{problem.message}\n"]
    for title, shown in (("\nContext", problem.context), ("Extra", problem.debug)):
        if shown:
            parts.append("\n".join((title, *(f"    {key}: {value}" for key, value in shown.items()))))
    if problem.traceback:
        parts.append(problem.traceback)
    text = "\n".join(parts) if len(parts) > 1 else parts[0] + "\n"
    return text.encode("utf-8", "backslashreplace")


def render_json(problem: Problem) -> bytes:
    """An object with description, status and message."""
    body: dict[str, Any] = {
        "description": problem.title,
        "status": problem.status,
        "message": problem.message,
    }
    if problem.context:
        body["context"] = dict(problem.context)
    if problem.debug:
        body.update(problem.debug)
    if problem.traceback:
        body["traceback"] = problem.traceback.splitlines()
    return encode_json(body)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{status} — {title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 3rem auto; padding: 0 1rem; }}
pre {{ overflow: auto; padding: 1rem; background: #8882; }}
</style>
</head>
<body>
<h1>{status} — {title}</h1>
<p>{message}</p>
{rest}</body>
</html>
"""


def render_html(problem: Problem) -> bytes:
    """A page."""
    rest = "".join(f"<p><b>{escape(key)}</b> {escape(value)}</p>\n" for key, value in _sections(problem))
    if problem.traceback:
        rest += f"<pre>{escape(problem.traceback)}</pre>\n"
    page = _PAGE.format(
        status=problem.status, title=escape(problem.title), message=escape(problem.message), rest=rest
    )
    return page.encode("utf-8", "backslashreplace")


def _sections(problem: Problem) -> list[tuple[str, str]]:
    shown = [*(problem.context or {}).items(), *(problem.debug or {}).items()]
    return [(str(key), str(value)) for key, value in shown]
