"""Views of every kind that Django has: sync, async, streaming, with files, forms, sessions and a database.

A view that has to wait waits for a gate, a file that the test makes; what happened is said on standard error.
"""

# Django makes these at run time:
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Iterator

from django.db import connection
from django.forms import ModelForm
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, render

from papers.models import Paper
from tests.apps.support import note, wait_for_gate, wait_for_gate_in_thread

LINES = 50
SHOWN = ("SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "QUERY_STRING", "HTTP_X_TWICE", "CONTENT_TYPE")


class PaperForm(ModelForm):
    class Meta:
        model = Paper
        fields = ["title", "file"]


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"papers", content_type="text/plain")


def show_request(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "method": request.method,
            "scheme": request.scheme,
            "host": request.get_host(),
            "uri": request.build_absolute_uri(),
            "path": request.path,
            "path_info": request.path_info,
            "script_name": request.META["SCRIPT_NAME"],
            "meta": {name: request.META.get(name) for name in SHOWN},
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
        }
    )


async def show_request_async(request: HttpRequest) -> HttpResponse:
    return show_request(request)


def add_paper(request: HttpRequest) -> HttpResponse:
    form = PaperForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        paper = form.save()
        digest = hashlib.sha256()
        with paper.file.open() as file:
            for piece in file.chunks():
                digest.update(piece)
        made = {"number": paper.pk, "size": paper.file.size, "sha256": digest.hexdigest()}
        return JsonResponse(made, status=201)
    return render(request, "paper_form.html", {"form": form}, status=422 if form.errors else 200)


def download(request: HttpRequest, number: int) -> HttpResponseBase:
    paper = get_object_or_404(Paper, pk=number)
    return FileResponse(paper.file.open(), as_attachment=True, filename="paper.bin")


async def count_papers(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"papers": await Paper.objects.acount()})


def query(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.05)")
    return JsonResponse({"thread": threading.get_ident(), "pid": os.getpid()})


def session(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def stream(request: HttpRequest) -> HttpResponseBase:
    gate = request.GET["gate"]

    def lines() -> Iterator[str]:
        yield "first\n"
        wait_for_gate_in_thread(gate)
        for number in range(LINES):
            yield f"line {number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


async def stream_async(request: HttpRequest) -> HttpResponseBase:
    gate = request.GET["gate"]

    async def lines() -> AsyncIterator[str]:
        yield "first\n"
        await wait_for_gate(gate)
        for number in range(LINES):
            yield f"line {number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def wait(request: HttpRequest, gate: str) -> HttpResponse:
    note(f"{gate} began")
    wait_for_gate_in_thread(gate)
    return HttpResponse(b"waited", content_type="text/plain")


async def notice_leaving(request: HttpRequest, word: str) -> HttpResponse:
    note(f"{word} began")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note(f"{word} left")
        raise
    raise AssertionError("nobody sets the event")


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom in a view")
