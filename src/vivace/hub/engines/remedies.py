"""What a Redis that cannot be used answers, and what can be done about it.

Rules of this file:

- Each case has a sentence of its own: what was seen, then what to do.
- No password is ever in one.
"""

import socket
import ssl
from typing import Final

import hiredis

from vivace.hub.engines.resp import NoGreeting
from vivace.hub.engines.upkeep import LinkDown
from vivace.hub.engines.urls import Address

__all__ = ["explain", "is_about_server"]

_CLUSTER: Final = "it is part of a cluster, which the hub does not speak to: let HUB_URL name a server alone"
_REPLIES: Final = {
    "ERR max number of clients": "it has no room for another connection (maxclients). This machine needs 2:"
    " raise maxclients, take a larger plan, or see by CLIENT LIST who holds them",
    "NOAUTH": "it asks for a password and HUB_URL has none: redis://:password@host",
    "WRONGPASS": "it does not accept the user or the password in HUB_URL",
    "ERR invalid password": "it does not accept the password in HUB_URL",
    "ERR AUTH": "it has no password, or not for this user, but HUB_URL has one: take it out",
    "LOADING": "it is still loading its data: wait, it is tried again",
    "READONLY": "it is a replica, which cannot be written to: let HUB_URL name the primary",
    "MASTERDOWN": "it is a replica that has lost its primary: let HUB_URL name the primary",
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "NOPERM": "its rules (ACL) forbid what the hub does: give the user in HUB_URL +@all ~PREFIX* &PREFIX*,"
    " with HUB_PREFIX for PREFIX",
    "OOM": "it is out of memory (maxmemory): shorten histories, raise maxmemory, or let it evict",
    "MISCONF": "it refuses writes because it cannot save to its disk: make room, or turn saving off",
    "NOSCRIPT": "it has forgotten the hub's scripts: they are loaded anew",
    "ERR DB index": "it has no database of that number: correct the end of HUB_URL",
}


def is_about_server(error: hiredis.ReplyError) -> bool:
    """Whether an answer is about the server's state, so that the same command may succeed later."""
    return _find(str(error)) is not None


def _find(text: str) -> str | None:
    return next((words for start, words in _REPLIES.items() if text.startswith(start)), None)


def explain(error: Exception, address: Address) -> str:
    """What was seen and what to do, in one line.

    Args:
        error: What a connection or a command ended with.
        address: Of the server.
    """
    return f"redis at {address.shown}: {_explain(error, address)}"


def _explain(error: Exception, address: Address) -> str:
    words = _find(str(error)) if isinstance(error, (hiredis.ReplyError, LinkDown)) else None
    if words is not None:
        return f"{words} ({error})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _about_certificate(error)
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}): if it does not speak TLS, use redis:// for rediss://"
    if isinstance(error, TimeoutError):
        return "it did not answer in time: is a firewall in between, does it hang" + (
            ", or does it speak no TLS? Then use redis:// for rediss://" if address.tls else "?"
        )
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: is it running, is the port right?"
    if isinstance(error, socket.gaierror):
        return f"its name cannot be found ({error.strerror})"
    if isinstance(error, NoGreeting) and address.tls is None:
        return f"{error} at once; if it wants TLS, use rediss:// for redis://"
    return str(error) or type(error).__name__


def _about_certificate(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message
    if "ostname" in said or "IP address" in said:
        return (
            f"its certificate is for another name ({said}): use that name, or add ?tls_verify=ca to HUB_URL"
            " to verify who issued it but not the name"
        )
    return (
        f"its certificate is not trusted ({said}): add ?tls_ca=FILE to HUB_URL with the certificate of its"
        " authority, or ?tls_verify=none to take any certificate, which protects against listeners only"
    )
