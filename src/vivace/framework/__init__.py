"""The web framework: apps, routes, requests, responses. Knows streams, and no server below them.

Declaring: what decorators and methods of an app or a blueprint take down

    app, named, blueprint, parts, spec   the app and its parts, and what they were told
    options                              what a misspelt option of a decorator is told
    registry, hooks, signal_hooks        decorators for routes; around handlers; for signals
    declaring_work, part_work, work      decorators for tasks, schedules and files that are watched
    beside, processes/, alarms/          processes beside the workers; who is told of what happens
    views, typed_socket, websocket_options, graphql, mount, commands, background
                                         what else an app can declare
    extensible, pickled, shared, state   what others see of an app: extensions, other processes, programs

Compiling: from declarations to tables, once

    compiler, claims, handler, middleware, guess, automatic, patience
                                         what holds for a route; which has which path
    pattern, route, router, urls         paths: taken apart, found, written

Answering: one exchange after the other

    dispatch, announce, threads, protocol    its life, what is told of it, where plain handlers run
    request, body, conn_info, credentials, forwarded, proxies
                                         what came, on which connection, from whom
    response, streaming, error_handler, pages/
                                         what is answered
    files, static, listing, mime         files as answers
    websocket, sse, joins, groups/, hubs     WebSockets, event streams, and groups of their clients

Living: from the start to the stop

    running, arguments                   how an app is started
    lifespan, tasks, signals, ready      what runs with it, and whether it can do its work
    budget, lease, leasing, probe        connections to databases: how many, and who has them
"""
