"""The app that `web.py` serves."""

import os

from vivace import Vivace

app = Vivace("project")


@app.get("/")
async def index(request: object) -> dict[str, object]:
    return {"hello": "world", "worker": os.getpid()}
