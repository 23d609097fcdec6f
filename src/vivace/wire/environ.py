"""The header fields of a request as a WSGI application gets them (PEP 3333, RFC 3875 section 4.1.18).

Rules of this file:

- It is the definition; `_environ.pyx` does the same faster.
- A name with an underscore is left out: its key would be that of the name with a hyphen, and a proxy that
  checks or sets the one does not see the other.
- ``Proxy`` is left out: HTTP_PROXY is how a CGI program is told its outgoing proxy (CVE-2016-5385).
"""

from vivace._build import PURE
from vivace.wire.head import split_fields

__all__ = ["add_fields"]


def add_fields(environ: dict[str, object], block: bytes) -> None:
    """Put the fields of a validated block into `environ`.

    ``Content-Type`` and ``Content-Length`` become CONTENT_TYPE and CONTENT_LENGTH, all others HTTP_NAME. The
    values are text of the code points 0 to 255, one for each octet. Those of a repeated field are joined by
    a comma (RFC 9110 section 5.3), of Cookie by a semicolon and a space (RFC 9113 section 8.2.3).

    Args:
        environ: Where they go; it holds no such key yet.
        block: Field lines with their line ends, as `head.parse_head` returns them.
    """
    for name, value in split_fields(block):
        if b"_" in name or name == b"proxy":
            continue
        key = name.decode("ascii").upper().replace("-", "_")
        if name not in (b"content-type", b"content-length"):
            key = "HTTP_" + key
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if name == b'cookie' else ','}{text}"
        environ[key] = text


py_add_fields = add_fields
"""The definition, whatever build runs: for the tests that compare the two."""

if not PURE:
    try:
        from vivace.wire._environ import add_fields
    except ImportError:
        pass
