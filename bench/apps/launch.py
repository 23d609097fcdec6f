"""Start a server that has no command line of its own: launch.py SERVER MODULE:APP PORT."""

import importlib
import sys
from typing import Any


def main(server: str, target: str, port: int) -> None:
    module, _, name = target.partition(":")
    app: Any = getattr(importlib.import_module(module), name)
    library: Any = importlib.import_module(server.partition("-")[0])
    if server == "fastpysgi":
        library.run(app, host="127.0.0.1", port=port, loglevel=0)
    elif server == "freastal-asgi":
        library.serve_asgi(app, host="127.0.0.1", port=port)
    elif server == "freastal-wsgi":
        library.serve(app, host="127.0.0.1", port=port)
    else:
        library.run(app, "127.0.0.1", port)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
