"""The field names that requests have, in lower case: the compiled leaves make each of them once.

Rules of this file:

- A name that is missing here costs a little time, nothing else; so only what many clients and proxies send.
- They are letters, digits and hyphens: `known.pxd` compares without regard to case on that ground.
"""

from typing import Final

__all__ = ["NAMES"]

NAMES: Final = tuple(
    b"""
    accept accept-charset accept-encoding accept-language access-control-request-headers
    access-control-request-method authorization cache-control connection content-encoding content-length
    content-type cookie date dnt expect forwarded from host if-match if-modified-since if-none-match if-range
    if-unmodified-since keep-alive max-forwards origin pragma prefer priority range referer save-data
    sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user
    sec-gpc sec-purpose sec-websocket-extensions sec-websocket-key sec-websocket-protocol
    sec-websocket-version te traceparent tracestate trailer transfer-encoding upgrade
    upgrade-insecure-requests user-agent via x-csrf-token x-csrftoken x-forwarded-for x-forwarded-host
    x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-server x-real-ip x-request-id
    x-requested-with
    """.split()
)
