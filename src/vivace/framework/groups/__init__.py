"""Clients in groups: who joined what, and how each message reaches all of them.

Rules of this package:

- The hub knows nothing of clients, and clients nothing of the hub: `room` is where they meet.
- Nothing here is imported before the first client joins a group.
"""
