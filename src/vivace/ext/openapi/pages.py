"""The pages: the document as JSON, and two programs of others that show it.

Rules of this file:

- A page loads its program from where a setting says; nothing of it is part of Vivace.
- Settings are texts of the program's owner; what stands in scripts is written as JSON all the same.
"""

import json
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vivace.ext.config import Config

__all__ = ["REDIRECT_PAGE", "redoc_page", "swagger_page"]

_REDOC: Final = """<!DOCTYPE html>
<html lang="en">
    <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{title}</title>
        <style>
            body {{ margin: 0; padding: 0; }}
            {css}
        </style>
    </head>
    <body>
        <redoc spec-url="{spec}"></redoc>
        <script src="{cdn}"></script>
    </body>
</html>
"""
_SWAGGER: Final = """<!DOCTYPE html>
<html lang="en">
    <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="stylesheet" href="{cdn}/swagger-ui.min.css">
        <title>{title}</title>
        <style>
            body {{ margin: 0; padding: 0; }}
            {css}
        </style>
    </head>
    <body>
        <div id="openapi"></div>
        <script src="{cdn}/swagger-ui-bundle.min.js"></script>
        <script src="{cdn}/swagger-ui-standalone-preset.min.js"></script>
        <script>
            window.onload = () => SwaggerUIBundle({{
                url: {spec},
                configUrl: {config},
                oauth2RedirectUrl: new URL({redirect}, window.location).href,
                dom_id: "#openapi",
                deepLinking: true,
                layout: "StandaloneLayout",
                presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
                plugins: [SwaggerUIBundle.plugins.DownloadUrl]
            }})
        </script>
    </body>
</html>
"""
REDIRECT_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
    <head><meta charset="utf-8"><title>OAuth 2</title></head>
    <body>
        <script>
            const asked = window.opener.swaggerUIRedirectOauth2
            const inHash = /code|token|error/.test(window.location.hash)
            const text = (inHash ? window.location.hash : window.location.search).substring(1)
            const got = Object.fromEntries(new URLSearchParams(text))
            const isValid = got.state === asked.state
            const withCode = ["accessCode", "authorizationCode", "authorization_code"]
            if (withCode.includes(asked.auth.schema.get("flow")) && !asked.auth.code) {
                if (!isValid || !got.code) {
                    const message = got.error ? `${got.error}: ${got.error_description || ""}`
                        : "The server gave no code, or one for another request."
                    asked.errCb({authId: asked.auth.name, source: "auth", level: "error", message})
                } else {
                    delete asked.state
                    asked.auth.code = got.code
                    asked.callback({auth: asked.auth, redirectUrl: asked.redirectUrl})
                }
            } else {
                asked.callback({auth: asked.auth, token: got, isValid, redirectUrl: asked.redirectUrl})
            }
            window.close()
        </script>
    </body>
</html>
"""
"""Where OAuth 2 comes back to; hands what it got to the page that asked."""


def redoc_page(config: "Config", spec: str) -> str:
    """The page of Redoc.

    Args:
        config: Settings: the title, the place of the script ...
        spec: The URL of the document.
    """
    return _REDOC.format(
        title=escape(config.OAS_UI_REDOC_HTML_TITLE),
        css=config.OAS_UI_REDOC_CUSTOM_CSS,
        cdn=escape(config.OAS_UI_REDOC_CDN_URL),
        spec=escape(spec),
    )


def swagger_page(config: "Config", spec: str, settings: str, redirect: str) -> str:
    """The page of Swagger UI.

    Args:
        config: Settings: the title, the place of the scripts ...
        spec: The URL of the document.
        settings: The URL of its own settings.
        redirect: The URL that OAuth 2 comes back to.
    """
    return _SWAGGER.format(
        title=escape(config.OAS_UI_SWAGGER_HTML_TITLE),
        css=config.OAS_UI_SWAGGER_CUSTOM_CSS,
        cdn=escape(f"{config.OAS_UI_SWAGGER_CDN_URL}/{config.OAS_UI_SWAGGER_VERSION}"),
        spec=_script(spec),
        config=_script(settings),
        redirect=_script(redirect),
    )


def _script(value: Any) -> str:
    return json.dumps(value).replace("</", "<\\/")
