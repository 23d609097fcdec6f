"""json-head, the first version: what does a HEAD request to `?url=` answer?

    vivace run json_head_first.py
    curl 'http://127.0.0.1:8000/?url=http://127.0.0.1:8000/'

The second command lets it ask itself.
"""

import aiohttp

from vivace import HTTPResponse, Request, Vivace, html, json

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
    url = request.args.get("url")
    if url:
        async with aiohttp.ClientSession() as session:
            head_info = await head(session, url)
            return json(head_info, headers={"Access-Control-Allow-Origin": "*"})
    else:
        return html("Try /?url=xxx")


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8006)
