"""A layer for Django Channels that needs no server beside us: ``CHANNEL_LAYERS`` names it, and that is all.

::

    CHANNEL_LAYERS = {"default": {"BACKEND": "vivace.contrib.django.channels.HubLayer"}}

Rules of this package:

- Groups are topics of the hub, followed while a channel of this process is a member: a process gets what its
  own members want, and nothing else. The names of channels hold the address of the process that reads them.
- What a channel holds waits in the process that reads it. So sending to a channel of the same process takes
  no way through the hub.
- Follows the channel layer specification of Channels 4: at most once, in order, never blocking a sender.
"""

from vivace.contrib.django.channels.layer import HubLayer
from vivace.contrib.django.channels.revocable import Revocable

__all__ = ["HubLayer", "Revocable"]
