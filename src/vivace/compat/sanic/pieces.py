"""Small functions and classes of Sanic's modules on top of what Vivace has.

Rules of this file: nothing is decided here; what does the work lives in the framework.
"""

__all__ = ["Signal"]


class Signal:
    """What a server and a program tell each other; see ``app.run(signal=)``.

    Attributes:
        stopped: The server stops.
    """

    stopped = False
