"""The settings about clients: how long they may take, how much they may send, whom to believe, and TLS.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["CLIENT_SETTINGS"]

_TIME: Final = "Time-outs"
_SIZE: Final = "Limits"
_FORM: Final = "Limits of forms and queries"
_SOCKET: Final = "WebSockets"
_TRUST: Final = "Behind a proxy"
_TLS: Final = "TLS"


def _seconds(name: str, default: float, help: str, group: str) -> Setting:  # noqa: A002
    return Setting(name, "float", default, help, group, "s", minimum=0)


def _count(name: str, default: int, unit: str, minimum: int, help: str, group: str) -> Setting:  # noqa: A002
    return Setting(name, "int", default, help, group, unit, minimum=minimum)


CLIENT_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("KEEP_ALIVE", "bool", True, "Let a connection carry more than one request.", _TIME),
    _seconds(
        "KEEP_ALIVE_TIMEOUT", 5.0, "How long a connection may idle between requests; 0 is for ever.", _TIME
    ),
    _seconds(
        "HEAD_TIMEOUT", 10.0, "How long the head of a request may take to arrive; 0 is for ever.", _TIME
    ),
    Setting(
        "REQUEST_TIMEOUT",
        "float",
        60.0,
        "Time for a whole request, buffered, to arrive (408); 0, or unset for a hosted app: for ever.",
        _TIME,
        "s",
        minimum=0,
    ),
    Setting(
        "RESPONSE_TIMEOUT",
        "float",
        60.0,
        "Time for a handler to start a response (503); 0, or unset for a hosted app: for ever.",
        _TIME,
        "s",
        minimum=0,
    ),
    _seconds(
        "LOOP_TIMEOUT",
        10.0,
        "How long a worker's loop may stand still before it is replaced; 0, or DEBUG: for ever.",
        _TIME,
    ),
    _seconds("BODY_TIMEOUT", 20.0, "How long a body may bring no octet at all (408); 0 is for ever.", _TIME),
    _count(
        "BODY_MIN_RATE",
        512,
        "octets/s",
        0,
        "The least rate at which a body has to arrive (408); 0 is any.",
        _TIME,
    ),
    _seconds("BODY_RATE_GRACE", 10.0, "How long a body may take before its rate is judged.", _TIME),
    _seconds(
        "WRITE_TIMEOUT", 30.0, "How long a client may read nothing of a response; 0 is for ever.", _TIME
    ),
    _seconds(
        "HALF_CLOSE_TIMEOUT", 1.0, "How long a client that sent its last octet is still answered.", _TIME
    ),
    _seconds(
        "LINGER_TIMEOUT", 2.0, "How long input is swallowed after a refusal, so that it can be read.", _TIME
    ),
    _count(
        "REQUEST_MAX_SIZE",
        104_857_600,
        "octets",
        0,
        "The largest body of a request (413); hosted apps take any if not set.",
        _SIZE,
    ),
    _count("REQUEST_MAX_HEADER_SIZE", 32768, "octets", 256, "The largest head of a request (431).", _SIZE),
    _count(
        "REQUEST_MAX_LINE_SIZE",
        16384,
        "octets",
        64,
        "The longest request line (414) and field line (431).",
        _SIZE,
    ),
    _count("REQUEST_MAX_FIELDS", 100, "fields", 1, "The most header fields of a request (431).", _SIZE),
    _count(
        "REQUEST_BUFFER_SIZE",
        65536,
        "octets",
        1024,
        "Unread input per connection above which reading pauses.",
        _SIZE,
    ),
    _count(
        "WRITE_BUFFER_SIZE",
        65536,
        "octets",
        0,
        "Unsent output per connection above which a handler waits.",
        _SIZE,
    ),
    _count(
        "WSGI_BUFFER_SIZE",
        1_048_576,
        "octets",
        1,
        "Body of a request, or part of a response that waits for its client, held in memory for a WSGI app.",
        _SIZE,
    ),
    _count(
        "WSGI_SPOOL_SIZE",
        67_108_864,
        "octets",
        0,
        "Body of a request held in a temporary file before a WSGI app gets it; a larger one is streamed.",
        _SIZE,
    ),
    _count(
        "MAX_CONCURRENT_REQUESTS",
        10_000,
        "requests",
        1,
        "Requests that one worker handles at a time (503 beyond).",
        _SIZE,
    ),
    Setting(
        "MAX_CONNECTIONS",
        "int",
        0,
        "Connections that one worker holds; 0 is the limit of open files less 64.",
        _SIZE,
        "connections",
        minimum=0,
    ),
    _count("COOKIE_MAX_COUNT", 100, "cookies", 0, "The most cookies of a request.", _FORM),
    _count("QUERY_MAX_FIELDS", 1000, "fields", 0, "The most fields of a query or form.", _FORM),
    _count("FORM_MAX_PARTS", 1000, "parts", 0, "The most parts of a multipart form.", _FORM),
    _count("FORM_MAX_PART_HEADER_SIZE", 16384, "octets", 64, "The largest head of a part.", _FORM),
    _count("FORM_MAX_FIELD_SIZE", 1_048_576, "octets", 0, "The largest part that is no file.", _FORM),
    _count("FORM_MAX_MEMORY", 8_388_608, "octets", 0, "The memory that one form may take.", _FORM),
    _count("FORM_SPOOL_SIZE", 1_048_576, "octets", 0, "A file above this size goes to disk.", _FORM),
    Setting(
        "TLS_CERT",
        "str",
        "",
        "The certificate to serve HTTPS with, and its chain: a file in PEM form.",
        _TLS,
        flag="--cert",
        scope="process",
    ),
    Setting(
        "TLS_KEY",
        "str",
        "",
        "Its private key: a file in PEM form.",
        _TLS,
        flag="--key",
        scope="process",
    ),
    Setting(
        "TLS_CERT_PASSWORD",
        "str",
        "",
        "The password of the private keys.",
        _TLS,
        flag="-",
        secret=True,
        scope="process",
    ),
    Setting(
        "TLS_FOLDERS",
        "paths",
        "",
        "Folders with fullchain.pem and privkey.pem each, chosen by the name that a client asks for.",
        _TLS,
        flag="--tls",
        scope="process",
    ),
    Setting(
        "TLS_STRICT_HOST",
        "bool",
        False,
        "Refuse clients that ask for no name, or for one that no certificate has.",
        _TLS,
        scope="process",
    ),
    Setting(
        "TLS_CLIENT_CA",
        "str",
        "",
        "Authorities whose certificates clients have to show: a file or folder in PEM form.",
        _TLS,
        scope="process",
    ),
    Setting(
        "TLS_CIPHERS",
        "str",
        "",
        "The ciphers of TLS 1.2 in OpenSSL's words; empty is a safe choice.",
        _TLS,
        scope="process",
    ),
    Setting(
        "TLS_RELOAD",
        "float",
        10.0,
        "How often a worker looks for renewed certificates; 0 is never.",
        _TLS,
        unit="s",
        minimum=0,
        scope="process",
    ),
    Setting(
        "TLS_REDIRECT_PORT",
        "int",
        0,
        "A port that answers plain HTTP by sending clients to https; 0 is none.",
        _TLS,
        minimum=0,
        maximum=65535,
        scope="process",
    ),
    Setting(
        "AUTO_TLS",
        "bool",
        False,
        "While developing (DEBUG): serve HTTPS with a certificate made here for LOCALHOST.",
        _TLS,
        scope="process",
    ),
    Setting(
        "LOCALHOST",
        "str",
        "localhost",
        "The name that AUTO_TLS makes a certificate for.",
        _TLS,
        flag="-",
        scope="process",
    ),
    Setting(
        "LOCAL_TLS_CERT",
        "str",
        "",
        "Where AUTO_TLS finds or keeps its certificate; empty is a folder of this user.",
        _TLS,
        flag="-",
        scope="process",
    ),
    Setting(
        "LOCAL_TLS_KEY",
        "str",
        "",
        "Where AUTO_TLS finds or keeps its key.",
        _TLS,
        flag="-",
        scope="process",
    ),
    Setting(
        "LOCAL_CERT_CREATOR",
        "choice",
        "auto",
        "What makes that certificate.",
        _TLS,
        flag="-",
        choices=("auto", "trustme", "mkcert"),
        scope="process",
    ),
    _count(
        "WEBSOCKET_MAX_SIZE",
        1_048_576,
        "octets",
        0,
        "Of a message from a client, inflated; beyond it is closed with 1009. 0 is no limit.",
        _SOCKET,
    ),
    _count(
        "WEBSOCKET_MAX_FRAME_SIZE",
        0,
        "octets",
        0,
        "Of a frame as it was sent; 0: only the limit of the message holds.",
        _SOCKET,
    ),
    _count("WEBSOCKET_MAX_FRAGMENTS", 16_384, "frames", 0, "Of a message; 0 is no limit.", _SOCKET),
    _count(
        "WEBSOCKET_MAX_QUEUE",
        32,
        "messages",
        1,
        "Received and not taken by the handler; then the client is not read for a while.",
        _SOCKET,
    ),
    _seconds("WEBSOCKET_PING_INTERVAL", 20.0, "Between two pings to a client; 0 sends none.", _SOCKET),
    _seconds(
        "WEBSOCKET_PING_TIMEOUT",
        20.0,
        "For a sign of life after a ping; then the connection is given up. 0 waits for ever.",
        _SOCKET,
    ),
    _seconds(
        "WEBSOCKET_CLOSE_TIMEOUT", 5.0, "For the client's answer to a close; then it is dropped.", _SOCKET
    ),
    _seconds(
        "WEBSOCKET_RECYCLE_TIMEOUT",
        60.0,
        "How long a worker that is recycled waits for its WebSockets to leave; then they get 1012.",
        _SOCKET,
    ),
    _seconds(
        "WEBSOCKET_MAX_LIFETIME",
        0.0,
        "Age, give or take a tenth, at which one is closed with 1012, to connect anew. 0 is no limit.",
        _SOCKET,
    ),
    Setting(
        "WEBSOCKET_COMPRESSION",
        "bool",
        True,
        "Compress messages for clients that offer it; an idle connection holds no memory for it.",
        _SOCKET,
    ),
    Setting(
        "WEBSOCKET_ORIGINS",
        "str",
        "same",
        "Pages that may connect: same, *, https://example.com, *.example.com; hosted apps judge themselves.",
        _SOCKET,
    ),
    Setting(
        "FORWARDED_SECRET",
        "str",
        None,
        "The secret by which a proxy's Forwarded field is known.",
        _TRUST,
        secret=True,
    ),
    Setting(
        "REAL_IP_HEADER", "header", None, "The field in which the proxy gives the client's address.", _TRUST
    ),
    Setting(
        "PROXIES_COUNT",
        "int",
        None,
        "The number of proxies in front that append to X-Forwarded-For.",
        _TRUST,
        "proxies",
        minimum=0,
    ),
    Setting(
        "FORWARDED_FOR_HEADER",
        "header",
        "X-Forwarded-For",
        "The field to which proxies append addresses; Forwarded for the one of RFC 7239.",
        _TRUST,
    ),
    Setting(
        "TRUSTED_PROXIES",
        "networks",
        "",
        "Addresses and networks of proxies; when set, nobody else's fields are believed. Also unix, *.",
        _TRUST,
        env=("FORWARDED_ALLOW_IPS",),
    ),
)
