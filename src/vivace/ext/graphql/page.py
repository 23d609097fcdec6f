"""The page for people: GraphiQL, in one file that loads nothing else, so that it works without a network.

Rules of this file:

- The page is kept compressed, as most browsers take it; ``scripts/graphiql/build.py`` makes it.
- It may talk to where it came from and to nobody else: its Content-Security-Policy says so.
"""

import gzip
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vivace.framework.response import HTTPResponse

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["show_page"]

FILE: Final = Path(__file__).with_name("graphiql.html.gz")
_FIELDS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
    " img-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Vary": "Accept, Accept-Encoding",
}


@lru_cache(1)
def _packed() -> bytes:
    return FILE.read_bytes()


def show_page(request: "Request") -> HTTPResponse:
    """The page, as the client takes it."""
    if "gzip" in (request.headers.get("accept-encoding") or ""):
        fields = {**_FIELDS, "Content-Encoding": "gzip"}
        return HTTPResponse(_packed(), headers=fields, content_type="text/html; charset=utf-8")
    return HTTPResponse(gzip.decompress(_packed()), headers=_FIELDS, content_type="text/html; charset=utf-8")
