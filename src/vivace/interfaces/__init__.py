"""Where a stream of the server meets an app of some kind: native, ASGI 3 and 2, or WSGI.

An interface is the only thing that knows both sides. `kind` tells what an app is, `choose` which interface
serves it, `mounts` puts several apps below paths of one; `guest` is the other direction: our app under
another server.
"""
