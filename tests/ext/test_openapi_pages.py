"""The pages that show the document."""

from pathlib import Path
from typing import Any

import pytest

from tests.framework.streams import ask, make_app
from vivace import Vivace
from vivace.ext import Extend
from vivace.ext.errors import InitError
from vivace.ext.openapi.extension import OpenAPIExtension


def make(**settings: Any) -> Vivace:
    app = make_app()
    Extend(app, built_in_extensions=False, extensions=[OpenAPIExtension], **settings)
    return app


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/docs", "text/html; charset=utf-8", '<redoc spec-url="/docs/openapi.json">'),
        ("/docs/redoc", "text/html; charset=utf-8", "<title>ReDoc</title>"),
        ("/docs/swagger", "text/html; charset=utf-8", 'url: "/docs/openapi.json"'),
        ("/docs/swagger-config", "application/json", '"docExpansion":"full"'),
        ("/docs/oauth2-redirect.html", "text/html; charset=utf-8", "swaggerUIRedirectOauth2"),
        ("/docs/openapi.json", "application/json", '"openapi":"3.0.3"'),
    ],
)
async def test_pages(path: str, kind: str, text: str) -> None:
    answer = await ask(make(), target=path)
    assert (answer.status, answer.fields["content-type"]) == (200, kind)
    assert text in answer.body.decode()


async def test_scripts_titles_and_styles_come_from_settings() -> None:
    app = make(
        oas_ui_default="swagger",
        oas_url_prefix="/api/",
        oas_uri_to_json="/spec.json",
        oas_ui_redoc_cdn_url="https://cdn/redoc.js",
        oas_ui_redoc_html_title="<R>",
        oas_ui_redoc_custom_css="b{}",
        oas_ui_swagger_cdn_url="https://cdn/swagger",
        oas_ui_swagger_version="5.0.0",
        swagger_ui_configuration={"x": 1},
    )
    redoc = (await ask(app, target="/api/redoc")).body.decode()
    assert '<script src="https://cdn/redoc.js">' in redoc
    assert "<title>&lt;R&gt;</title>" in redoc
    assert "b{}" in redoc
    swagger = (await ask(app, target="/api")).body.decode()
    assert "https://cdn/swagger/5.0.0/swagger-ui-bundle.min.js" in swagger
    assert 'url: "/api/spec.json"' in swagger
    assert (await ask(app, target="/api/swagger-config")).body == b'{"x":1}'


@pytest.mark.parametrize(
    ("settings", "path", "status"),
    [
        ({"oas": False}, "/docs/openapi.json", 404),
        ({"oas_ui_redoc": False}, "/docs/redoc", 404),
        ({"oas_ui_redoc": False}, "/docs/openapi.json", 200),
        ({"oas_ui_swagger": False}, "/docs/swagger", 404),
        ({"oas_ui_default": None}, "/docs", 404),
    ],
)
async def test_pages_can_be_left_out(settings: dict[str, Any], path: str, status: int) -> None:
    app = make_app()
    Extend(app, **settings)
    assert (await ask(app, target=path)).status == status


async def test_files_can_stand_in_their_places(tmp_path: Path) -> None:
    page, spec = tmp_path / "page.html", tmp_path / "spec.json"
    page.write_text("<p>own</p>")
    spec.write_text('{"own": 1}')
    app = make(oas_path_to_redoc_html=str(page), oas_path_to_swagger_html=page, oas_custom_file=str(spec))
    assert (await ask(app, target="/docs/redoc")).body == b"<p>own</p>"
    assert (await ask(app, target="/docs/swagger")).body == b"<p>own</p>"
    assert (await ask(app, target="/docs/openapi.json")).body == b'{"own": 1}'
    yaml = tmp_path / "spec.yaml"
    yaml.write_text("own: 1")
    answer = await ask(make(oas_custom_file=yaml), target="/docs/openapi.json")
    assert (answer.fields["content-type"], answer.body) == ("application/yaml", b"own: 1")


@pytest.mark.parametrize("setting", ["oas_custom_file", "oas_path_to_redoc_html", "oas_path_to_swagger_html"])
def test_a_file_that_is_not_there_is_named_at_the_start(setting: str, tmp_path: Path) -> None:
    with pytest.raises(InitError, match=rf"{setting.upper()}: '.*gone' cannot be read"):
        make(**{setting: tmp_path / "gone"})


def test_the_label_says_where_the_pages_are() -> None:
    app = make()
    found = next(e for e in app.ext.extensions if e.name == "openapi")
    assert found.label() == f"http://{app.config.HOST}:{app.config.PORT}/docs"
