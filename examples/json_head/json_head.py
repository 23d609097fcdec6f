"""json-head: HEAD requests to every `?url=`, all at once, answered as JSON that any page may fetch.

    vivace run json_head.py
    curl 'http://127.0.0.1:8000/?url=http://127.0.0.1:8000/&url=http://127.0.0.1:8000/nothing-here'

The second command lets it ask itself.
"""

import asyncio

import aiohttp

from vivace import HTTPResponse, Request, Vivace, html, json

INDEX = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>json-head</title>
<h1>json-head</h1>
<p>HEAD requests as a service: <code>/?url=http://example.com/&amp;url=http://example.org/</code>
<form action="/"><input name="url" type="url" placeholder="http://example.com/"> <button>HEAD</button></form>
</html>
"""

app = Vivace(__name__)


async def head(session: aiohttp.ClientSession, url: str) -> dict[str, object]:
    try:
        async with session.head(url) as response:
            return {
                "ok": True,
                "headers": dict(response.headers),
                "status": response.status,
                "url": url,
            }
    except Exception as e:
        return {
            "ok": False,
            "error": str(e),
            "url": url,
        }


@app.route("/")
async def handle_request(request: Request) -> HTTPResponse:
    urls = request.args.getlist("url")
    if urls:
        async with aiohttp.ClientSession() as session:
            head_infos = await asyncio.gather(*[head(session, url) for url in urls])
            return json(
                head_infos,
                headers={"Access-Control-Allow-Origin": "*"},
            )
    else:
        return html(INDEX)


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8006)
