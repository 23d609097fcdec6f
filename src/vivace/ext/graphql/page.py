"""The page for people."""

__all__ = ["page"]


def page() -> str:
    """The page."""
    return "<!DOCTYPE html><title>GraphQL</title>"
