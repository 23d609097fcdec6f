"""The page that lists a folder of static files.

Rules of this file:

- A name is text that a stranger may have chosen: it is escaped in the page and percent-encoded in links.
- Folders first, then files, each by name. Links are relative to the folder, with or without its last slash.
- No script, nothing loaded from elsewhere.
"""

from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple

from vivace.framework.response import HTML, HTTPResponse
from vivace.http.url import quote_path, unquote_path

__all__ = ["Entry", "list_folder"]

_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Directory Viewer</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}}
td{{padding:0 1em 0 0}}td+td{{white-space:nowrap;text-align:right}}</style>
<h1>{title}</h1>
<table>
{rows}
</table>
</html>
"""


class Entry(NamedTuple):
    """A file or a folder in a folder.

    Attributes:
        name: Its last component.
        is_dir: It is a folder.
        size: In octets.
        modified: In seconds since 1970.
    """

    name: str
    is_dir: bool
    size: int
    modified: float


def list_folder(path: str, entries: list[Entry]) -> HTTPResponse:
    """The page of a folder.

    Args:
        path: Of the request, still percent-encoded.
        entries: What is in it, in any order.
    """
    here = "" if path.endswith("/") else path.rpartition("/")[2] + "/"
    ordered = sorted(entries, key=lambda entry: (not entry.is_dir, entry.name))
    page = _PAGE.format(title=_crumbs(path), rows="\n".join(_row(here, entry) for entry in ordered))
    return HTTPResponse(page.encode("utf-8", "replace"), 200, None, HTML)


def _crumbs(path: str) -> str:
    links = ['<a href="/">/</a>']
    at = "/"
    for name in filter(None, path.split("/")):
        at += name + "/"
        shown = escape(unquote_path(name.encode("latin-1")))
        links.append(f'<a href="{escape(at)}">{shown}/</a>')
    return "".join(links)


def _row(here: str, entry: Entry) -> str:
    slash = "/" if entry.is_dir else ""
    # "./" keeps a colon in a name from looking like a scheme.
    link = escape(("" if here else "./") + here + quote_path(entry.name) + slash)
    changed = datetime.fromtimestamp(entry.modified, UTC)
    size = "" if entry.is_dir else f"{entry.size:,}"
    return (
        f'<tr><td><a href="{link}">{escape(entry.name)}{slash}</a></td>'
        f"<td>{changed:%Y-%m-%d %H:%M}</td><td>{size}</td></tr>"
    )
