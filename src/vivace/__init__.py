"""Vivace: a Python application server and async web framework in one package.

The public names, and nothing else; each is imported when it is first used (PEP 562), so that a
worker that hosts somebody else's app never loads the framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vivace._build import PURE, force_pure

if PURE:
    force_pure()

__version__ = "0.1.0"
