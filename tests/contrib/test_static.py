"""Static files in development: which requests get one, and when there is none."""

from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed, SuspiciousFileOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from vivace.contrib.django.static import serve_static_files, static_name

NAME = "vivace.contrib.django.static.serve_static_files"


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"the site")


async def answer_later(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"the site")


def test_the_app_puts_the_middleware_first_and_once() -> None:
    assert settings.MIDDLEWARE[0] == NAME
    with override_settings(MIDDLEWARE=["other", NAME]):
        apps.get_app_config("vivace").ready()
        assert settings.MIDDLEWARE == ["other", NAME]


@pytest.mark.parametrize(
    ("debug", "wanted", "used"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_when_it_is_used(debug: bool, wanted: bool | None, used: bool) -> None:
    given: dict[str, Any] = {"DEBUG": debug} | ({} if wanted is None else {"VIVACE_STATIC": wanted})
    with override_settings(**given):
        if used:
            serve_static_files(answer)
        else:
            with pytest.raises(MiddlewareNotUsed):
                serve_static_files(answer)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/static/a.css", "a.css"),
        ("HEAD", "/static/a/b%20c.css", "a/b c.css"),
        ("POST", "/static/a.css", None),
        ("GET", "/statically", None),
        ("GET", "/", None),
    ],
)
def test_which_file_a_request_means(method: str, path: str, name: str | None) -> None:
    with override_settings(STATIC_URL="/static/"):
        assert static_name(RequestFactory().generic(method, path)) == name


@pytest.mark.parametrize("url", ["https://cdn.test/static/", "/", None])
def test_files_that_are_elsewhere_are_not_served(url: str | None) -> None:
    with override_settings(STATIC_URL=url):
        assert static_name(RequestFactory().get("/static/a.css")) is None


@override_settings(DEBUG=True, STATIC_URL="/static/")
def test_a_file_is_served_and_the_rest_is_the_sites() -> None:
    middleware, make = serve_static_files(answer), RequestFactory()
    response = middleware(make.get("/static/papers.css"))
    assert (response.getvalue(), response["content-type"]) == (b"body {}\n", "text/css")
    response.close()
    assert middleware(make.get("/other")).content == b"the site"
    for path in ("/static/nothing.css", "/static/"):
        with pytest.raises(Http404):
            middleware(make.get(path))
    with pytest.raises(SuspiciousFileOperation):
        middleware(make.get("/static/../secret"))


@override_settings(DEBUG=True, STATIC_URL="/static/")
async def test_the_same_for_async_sites() -> None:
    middleware, make = serve_static_files(answer_later), RequestFactory()
    response = await middleware(make.get("/static/papers.css"))
    assert b"".join([piece async for piece in response]) == b"body {}\n"
    response.close()
    assert (await middleware(make.get("/other"))).content == b"the site"
    with pytest.raises(Http404):
        await middleware(make.get("/static/nothing.css"))
