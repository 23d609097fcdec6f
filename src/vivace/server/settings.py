"""The part of the configuration that connections read, resolved once per worker.

Rules of this file:

- Frozen: a change of configuration means a new worker.
- Values are plain numbers, so that the hot path reads an attribute and nothing else.
"""

import resource
from dataclasses import dataclass, field, replace
from typing import TypeVar

from vivace.config import Config
from vivace.http.networks import Networks
from vivace.protocols.deflate import DeflateOptions, Deflater
from vivace.protocols.h1 import H1Limits
from vivace.protocols.socket import USUAL, SocketOptions
from vivace.protocols.ws import WsLimits

__all__ = ["ACCEPTS_PER_TURN", "RESERVED_FILES", "ServerSettings", "WebSocketSettings"]

T = TypeVar("T")

ACCEPTS_PER_TURN = 64
"""Connections that a lone worker accepts from a socket in one turn; beside others it takes one."""
RESERVED_FILES = 64
"""Descriptors left to the app, the log and the listeners when the file limit bounds the connections."""


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """What a WebSocket has to know; seconds, and messages for `max_queue`.

    Attributes:
        variants: What was made of it for routes that differ.
    """

    limits: WsLimits
    max_queue: int
    ping_interval: float
    ping_timeout: float
    close_timeout: float
    max_lifetime: float
    deflater: Deflater | None
    variants: "dict[SocketOptions, WebSocketSettings]" = field(default_factory=dict, compare=False)

    def adapted(self, options: SocketOptions) -> "WebSocketSettings":
        """These for a route with options of its own; made once for all routes with the same."""
        if options == USUAL:
            return self
        found = self.variants.get(options)
        if found is None:
            found = self.variants[options] = self._adapt(options)
        return found

    def _adapt(self, options: SocketOptions) -> "WebSocketSettings":
        limits = self.limits
        return replace(
            self,
            limits=WsLimits(
                max_message=_given(options.max_size, limits.max_message),
                max_frame=_given(options.max_frame_size, limits.max_frame),
                max_fragments=_given(options.max_fragments, limits.max_fragments),
            ),
            max_queue=_given(options.max_queue, self.max_queue),
            ping_interval=_given(options.ping_interval, self.ping_interval),
            ping_timeout=_given(options.ping_timeout, self.ping_timeout),
            close_timeout=_given(options.close_timeout, self.close_timeout),
            max_lifetime=_given(options.max_lifetime, self.max_lifetime),
            deflater=self.deflater if options.compress else None,
        )

    @classmethod
    def from_config(cls, config: Config) -> "WebSocketSettings":
        """Take over what WebSockets read of `config`."""
        return cls(
            limits=WsLimits(
                max_message=config.WEBSOCKET_MAX_SIZE,
                max_frame=config.WEBSOCKET_MAX_FRAME_SIZE,
                max_fragments=config.WEBSOCKET_MAX_FRAGMENTS,
            ),
            max_queue=config.WEBSOCKET_MAX_QUEUE,
            ping_interval=config.WEBSOCKET_PING_INTERVAL,
            ping_timeout=config.WEBSOCKET_PING_TIMEOUT,
            close_timeout=config.WEBSOCKET_CLOSE_TIMEOUT,
            max_lifetime=config.WEBSOCKET_MAX_LIFETIME,
            deflater=Deflater(DeflateOptions()) if config.WEBSOCKET_COMPRESSION else None,
        )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a connection has to know; seconds and octets, named as in the configuration."""

    keep_alive: bool
    keep_alive_timeout: float
    head_timeout: float
    body_timeout: float
    body_min_rate: int
    body_rate_grace: float
    response_timeout: float
    write_timeout: float
    half_close_timeout: float
    linger_timeout: float
    graceful_timeout: float
    stop_listeners_timeout: float
    input_buffer: int
    output_buffer: int
    max_connections: int
    accepts_per_turn: int
    max_concurrent: int
    proxy_protocol: bool
    proxies: Networks
    request_id_field: str
    h1: H1Limits
    websocket: WebSocketSettings

    @classmethod
    def from_config(cls, config: Config) -> "ServerSettings":
        """Take over what the server reads of `config`."""
        return cls(
            keep_alive=config.KEEP_ALIVE,
            keep_alive_timeout=config.KEEP_ALIVE_TIMEOUT,
            head_timeout=_shorter(config.HEAD_TIMEOUT, config.REQUEST_TIMEOUT),
            body_timeout=config.BODY_TIMEOUT,
            body_min_rate=config.BODY_MIN_RATE,
            body_rate_grace=config.BODY_RATE_GRACE,
            response_timeout=config.RESPONSE_TIMEOUT,
            write_timeout=config.WRITE_TIMEOUT,
            half_close_timeout=config.HALF_CLOSE_TIMEOUT,
            linger_timeout=config.LINGER_TIMEOUT,
            graceful_timeout=config.GRACEFUL_SHUTDOWN_TIMEOUT,
            stop_listeners_timeout=config.STOP_LISTENERS_TIMEOUT,
            input_buffer=config.REQUEST_BUFFER_SIZE,
            output_buffer=config.WRITE_BUFFER_SIZE,
            max_connections=config.MAX_CONNECTIONS or _connections_by_file_limit(),
            accepts_per_turn=ACCEPTS_PER_TURN if config.WORKERS == 1 else 1,
            max_concurrent=config.MAX_CONCURRENT_REQUESTS,
            proxy_protocol=config.PROXY_PROTOCOL == "on",
            proxies=Networks(config.PROXY_PROTOCOL_FROM),
            request_id_field=config.REQUEST_ID_HEADER,
            h1=H1Limits(
                max_line=config.REQUEST_MAX_LINE_SIZE,
                max_head=config.REQUEST_MAX_HEADER_SIZE,
                max_fields=config.REQUEST_MAX_FIELDS,
            ),
            websocket=WebSocketSettings.from_config(config),
        )

    def horizon(self) -> float:
        """The shortest of the time-outs that ordinary connections live by, in seconds."""
        given = (
            self.keep_alive_timeout,
            self.head_timeout,
            self.body_timeout,
            self.body_rate_grace,
            self.response_timeout,
            self.write_timeout,
        )
        return min((t for t in given if t > 0), default=5.0)


def _given(value: T | None, usual: T) -> T:
    return usual if value is None else value


def _shorter(one: float, other: float) -> float:
    """The shorter of two times, of which 0 is for ever."""
    return min(one, other) if one and other else one or other


def _connections_by_file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 30
    return max(soft - RESERVED_FILES, soft // 2, 1)
