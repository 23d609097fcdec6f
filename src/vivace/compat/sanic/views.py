"""sanic.views: class views as Sanic's programs decorate them.

Rules of this file: only what differs from the class of the framework.
"""

from vivace.framework import views

__all__ = ["HTTPMethodView"]


class HTTPMethodView(views.HTTPMethodView):
    """Base of class views; a decorator around plain methods gets what they return, not a coroutine."""

    hands_results = True
