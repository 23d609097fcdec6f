"""Servers that tests talk to: each real, on a free port or socket, with a folder of its own.

Rules of this file:

- A test whose server is not installed is skipped, with the name of what to install.
- Nothing is kept: what a server writes is gone with its test or its session.
"""
