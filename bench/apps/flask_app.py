"""The measured app on Flask."""

from flask import Flask, Response

app = Flask("bench")


@app.get("/")
def hello() -> Response:
    return Response("Hello, World!", mimetype="text/plain")
