"""Where a stream of the server meets an app of some kind: native, ASGI 3 and 2, or WSGI.

An interface is the only thing that knows both sides.

    kind, choose                         what an app is, and which interface serves it
    mounts, ports                        several apps: below paths of one, or each at a port of its own
    native                               our own apps
    asgi, asgi_socket, asgi_tls, lifespan
                                         ASGI apps: requests, WebSockets, TLS, start and stop
    asgiref_threads, django_advice       what Django needs there
    wsgi, wsgi_call, wsgi_head, environ  WSGI apps: one call
    wsgi_input, file_wrapper             what it reads and may hand over
    wsgi_reply, wsgi_sender              what it answers, piece by piece
    pool, inline                         in threads, or on the loop's own
    forwarded, hosted                    what ASGI and WSGI share: proxies, limits
    guest, guest_head, guest_input, guest_socket, guest_stream
                                         the other direction: our app under another server
"""
