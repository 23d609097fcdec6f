"""The extension ``http``: methods that are answered automatically, and CORS, by settings."""

from typing import TYPE_CHECKING

from vivace.ext.cors import CORS
from vivace.ext.errors import InitError
from vivace.ext.extension import Extension
from vivace.ext.methods import answer_methods

if TYPE_CHECKING:
    from vivace.ext.extend import Extend

__all__ = ["HTTPExtension"]


class HTTPExtension(Extension):
    """HEAD, OPTIONS, TRACE and CORS."""

    name = "http"

    def startup(self, bootstrap: "Extend") -> None:
        """Put both in place.

        Raises:
            InitError: The settings contradict each other.
        """
        del bootstrap
        config = self.config
        answer_methods(
            self.app,
            head=config.HTTP_AUTO_HEAD,
            options=config.HTTP_AUTO_OPTIONS,
            trace=config.HTTP_AUTO_TRACE,
            all_methods=config.HTTP_ALL_METHODS,
            trace_excluded=config.TRACE_EXCLUDED_HEADERS,
        )
        if not config.CORS:
            return
        if config.CORS_AUTOMATIC_OPTIONS and not config.HTTP_AUTO_OPTIONS:
            raise InitError(
                "Configuration mismatch. If CORS_AUTOMATIC_OPTIONS is set to True, then you must run "
                "SanicExt with auto_options=True"
            )
        CORS(
            self.app,
            config.CORS_ORIGINS,
            allow_headers=config.CORS_ALLOW_HEADERS,
            allow_methods=config.CORS_METHODS,
            expose_headers=config.CORS_EXPOSE_HEADERS,
            supports_credentials=config.CORS_SUPPORTS_CREDENTIALS,
            max_age=config.CORS_MAX_AGE,
            send_wildcard=config.CORS_SEND_WILDCARD,
            always_send=config.CORS_ALWAYS_SEND,
            vary_header=config.CORS_VARY_HEADER,
            automatic_options=config.CORS_AUTOMATIC_OPTIONS,
        )
