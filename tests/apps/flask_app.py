"""A Flask app that does what its users do; `vivace run tests.apps.flask_app:create_app` makes it.

Where a test has to see what happened, the app says it by `note`, with a word that the test chose.
"""

import hashlib
import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    after_this_request,
    flash,
    g,
    get_flashed_messages,
    jsonify,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from tests.apps.support import note, wait_for_gate_in_thread

FOLDER = "APPS_FOLDER"
"""The environment variable that tells where the files to send are."""

shop = Blueprint("shop", __name__, url_prefix="/shop")
_busy = 0
_most = 0
_lock = threading.Lock()


class Sold(Exception):
    """What is asked for is gone."""


def create_app() -> Flask:
    """The app, as a factory gives it."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY="not a secret", MAX_CONTENT_LENGTH=64 << 20)
    app.register_blueprint(shop)
    for add in (add_sessions, add_bodies, add_streams, add_errors, add_hooks, add_views):
        add(app)
    return app


@shop.get("/items/<int:number>")
def show_item(number: int) -> dict[str, Any]:
    return {"number": number, "link": url_for("shop.show_item", number=1, _external=True)}


def add_sessions(app: Flask) -> None:
    @app.post("/login")
    def login() -> AnyResponse:
        session["name"] = request.form["name"]
        flash("Welcome")
        return redirect(url_for("home"))

    @app.get("/")
    def home() -> str:
        page = "{{ session.get('name', 'nobody') }}: {{ ', '.join(get_flashed_messages()) }}"
        return render_template_string(page, get_flashed_messages=get_flashed_messages)

    @app.get("/logout")
    def logout() -> AnyResponse:
        session.clear()
        return redirect(url_for("home"), 303)


def add_bodies(app: Flask) -> None:
    @app.post("/upload")
    def upload() -> dict[str, Any]:
        return {
            "title": request.form["title"],
            "files": [describe(f) for f in request.files.getlist("files")],
        }

    @app.put("/octets")
    def octets() -> dict[str, Any]:
        """A body that is read as it comes."""
        count = 0
        while piece := request.stream.read(65536):
            count += len(piece)
        return {"octets": count}

    @app.post("/data")
    def data() -> dict[str, Any]:
        return {"sha256": hashlib.sha256(request.get_data()).hexdigest()}

    @app.post("/json")
    def sent_json() -> AnyResponse:
        return jsonify(request.get_json())

    @app.post("/unread")
    def unread() -> str:
        return "not read"


def describe(file: FileStorage) -> dict[str, Any]:
    """What was uploaded."""
    return {"name": file.filename, "sha256": hashlib.sha256(file.read()).hexdigest()}


def add_streams(app: Flask) -> None:
    @app.get("/lines/<word>")
    def lines(word: str) -> AnyResponse:
        def produce() -> Iterator[str]:
            yield f"first of {request.args['who']}\n"  # what needs the context of the request
            wait_for_gate_in_thread(word)
            yield "second\n"

        return Response(stream_with_context(produce()), mimetype="text/plain")

    @app.get("/endless/<word>")
    def endless(word: str) -> AnyResponse:
        def produce() -> Iterator[bytes]:
            try:
                while True:
                    yield b"more " * 1000
            finally:
                note(f"{word} closed")

        return Response(produce())

    @app.get("/breaks")
    def breaks() -> AnyResponse:
        def produce() -> Iterator[str]:
            yield "first\n"
            raise RuntimeError("swordfish")

        return Response(produce())

    @app.get("/file")
    def file() -> AnyResponse:
        return send_file(Path(os.environ[FOLDER]) / "big.bin", conditional=True, etag=True)

    @app.get("/attachment")
    def attachment() -> AnyResponse:
        return send_file(
            io.BytesIO(b"made here"), "text/plain", as_attachment=True, download_name="größe.txt"
        )


def add_errors(app: Flask) -> None:
    @app.get("/fails")
    def fails() -> str:
        raise RuntimeError("swordfish")

    @app.get("/teapot")
    def teapot() -> str:
        abort(418, "no coffee here")

    @app.get("/sold")
    def sold() -> str:
        raise Sold("item 1")

    @app.errorhandler(Sold)
    def explain(error: Sold) -> tuple[AnyResponse, int]:
        return jsonify(sold=str(error)), 410

    @app.errorhandler(404)
    def missing(error: HTTPException) -> tuple[str, int]:
        return f"nothing at {request.path}", 404


def add_hooks(app: Flask) -> None:
    @app.before_request
    def begin() -> str | None:
        g.word = request.args.get("word")
        return "closed today" if "closed" in request.args else None

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["x-after"] = "yes"
        return response

    @app.teardown_request
    def tear_down(error: BaseException | None) -> None:
        if g.word:
            note(f"{g.word} torn down, {error!r}")

    @app.get("/cookies")
    def cookies() -> str:
        @after_this_request
        def set_more(response: Response) -> Response:
            response.set_cookie("two", "2", httponly=True)
            return response

        answer: str = request.cookies.get("one", "none")
        return answer


def add_views(app: Flask) -> None:
    @app.route("/about/<path:name>", methods=["GET", "POST"])
    def about(name: str) -> dict[str, Any]:
        names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR")
        flags = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "wsgi.url_scheme", "HTTP_X_MANY")
        shown = {key: request.environ.get(key) for key in names + flags}
        return {**shown, "name": name, "url": request.url, "link": url_for("about", name="x", _external=True)}

    @app.get("/thread")
    def thread() -> dict[str, Any]:
        """How many were in here at a time."""
        global _busy, _most
        with _lock:
            _busy += 1
            _most = max(_most, _busy)
        time.sleep(0.05)
        with _lock:
            _busy -= 1
        return {"thread": threading.current_thread().name, "most": _most, "pid": os.getpid()}

    @app.get("/slow/<word>")
    def slow(word: str) -> str:
        note(f"{word} began")
        wait_for_gate_in_thread(word)
        return "done"

    @app.get("/nothing")
    def nothing() -> tuple[str, int]:
        return "", 204


app = create_app()
