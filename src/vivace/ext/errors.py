"""What extensions raise.

Rules of this file: a class exists only where a caller would act differently on it.
"""

from vivace.errors import BadRequest, DeclarationError

__all__ = ["ExtensionNotFound", "InitError", "ValidationError"]


class InitError(DeclarationError):
    """An extension cannot be declared or started."""


class ExtensionNotFound(DeclarationError):
    """An extension that is needed is not there."""


class ValidationError(BadRequest):
    """What the client sent is not what the handler's model says."""
