"""A shop that does its work beside the requests: nobody waits for a letter, a report or a picture.

Rules of this file:

- What must not be lost is a task: it stands on the spool before the customer hears "thank you".
- What only counts is a service, what computes is a pool; neither runs in a process that answers requests.
- The shop has no other program to run but the mail server, which is a daemon of its vivace.toml.
"""

import logging
import os
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime
from email.message import EmailMessage
from hashlib import pbkdf2_hmac
from pathlib import Path
from smtplib import SMTP
from typing import Any, Final

import msgspec

from vivace import NotFound, Request, Vivace, file, json

HERE: Final = Path(__file__).parent
DATA: Final = Path(os.environ.get("SHOP_DATA", HERE / "data"))
MAIL: Final = ("127.0.0.1", int(os.environ.get("SHOP_MAIL_PORT", "2525")))
PRICES: Final = {"apple": 40, "pear": 60, "plum": 15}
"""In cents."""

LARGE: Final = 100
"""So many of an article are worth a look."""

app: Vivace[Any, Any] = Vivace("shop")
log = logging.getLogger("shop")


class Order(msgspec.Struct):
    """What a customer wants.

    Attributes:
        article: One of `PRICES`.
        count: How many.
        email: Where the confirmation goes.
    """

    article: str
    count: int
    email: str


def database() -> sqlite3.Connection:
    """The orders; migrate.py has made the table."""
    return sqlite3.connect(DATA / "orders.sqlite3", timeout=5)


@app.task(queue="mail", retries=5, backoff="exp:1s..1m", timeout=30)
def confirm(number: int, email: str, text: str) -> None:
    """Write to a customer; again, later, while the mail server is away. A letter twice does no harm."""
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "shop@example.org", email, f"Your order {number}"
    letter.set_content(text)
    with SMTP(*MAIL, timeout=10) as mail:
        mail.send_message(letter)


@app.every("1s", catch_up="none")
def report(slot: datetime) -> None:
    """Write down what was sold so far."""
    with closing(database()) as orders:
        row = orders.execute("SELECT count(*), coalesce(sum(cents), 0) FROM orders").fetchone()
    new = DATA / "report.json.new"
    new.write_bytes(msgspec.json.encode({"orders": row[0], "cents": row[1], "until": slot}))
    new.replace(DATA / "report.json")


@app.cron("0 3 * * *", tz="Europe/Madrid")
def clean() -> None:
    """Forget, at night, the customers of last month."""
    with closing(database()) as orders, orders:
        orders.execute("UPDATE orders SET email = '' WHERE at < datetime('now', '-30 days')")


@app.watch(str(DATA / "prices.json"))
def reprice() -> None:
    """Say that new prices are there; they count when the server loads the code anew."""
    (DATA / "repriced").touch()


@app.service
async def popular(service: Any) -> None:
    """Count what is looked at, in one place for all workers."""
    seen: Counter[str] = Counter()
    async for article in service.messages:
        seen[article] += 1
        (DATA / "popular.json").write_bytes(msgspec.json.encode(seen))


@app.pool(size=2, max_queue=20, timeout=10)
def voucher(name: str) -> str:
    """A code that takes a while to compute, so that nobody can guess many."""
    return pbkdf2_hmac("sha256", name.encode(), b"shop", 200_000).hex()[:12]


@app.on_alarm("task.dead", "daemon.down")
async def tell(alarm: Any) -> None:
    """Write down what somebody should look at; whom else to tell stands in vivace.toml."""
    with (DATA / "alarms.txt").open("a") as told:
        print("over" if alarm.resolved else "new", alarm.event, alarm.subject, alarm.message, file=told)


@app.get("/")
async def index(request: Request) -> Any:
    """The page."""
    return await file(HERE / "static" / "index.html")


@app.get("/articles/<article>")
async def show(request: Request, article: str) -> Any:
    """One article; that it was looked at is counted."""
    if article not in PRICES:
        raise NotFound(f"there is no {article}")
    await popular.send(article)
    return json({"article": article, "cents": PRICES[article]})


@app.post("/orders")
async def buy(request: Request) -> Any:
    """Keep an order and promise a letter."""
    order = msgspec.json.decode(request.body, type=Order)
    if order.article not in PRICES:
        raise NotFound(f"there is no {order.article}")
    cents = PRICES[order.article] * order.count
    number = await app.loop.run_in_executor(None, keep, order, cents)
    text = f"{order.count} x {order.article}: {cents / 100:.2f} euros"
    task = await confirm.enqueue(number, order.email, text)
    log.info("order %d: %s", number, text, extra={"task": task.id, "email": order.email})
    if order.count >= LARGE:
        app.alarm("order.large", f"{order.count} in one order", subject=order.article)
    return json({"order": number, "task": task.id}, status=201)


def keep(order: Order, cents: int) -> int:
    """Write an order down; its number."""
    with closing(database()) as orders, orders:
        row = orders.execute(
            "INSERT INTO orders (article, count, cents, email) VALUES (?, ?, ?, ?)",
            (order.article, order.count, cents, order.email),
        )
        return row.lastrowid or 0


@app.get("/vouchers/<name>")
async def give(request: Request, name: str) -> Any:
    """A voucher, computed in another process; 503 when too many want one."""
    return json({"voucher": await voucher(name)})


@app.get("/report")
async def reported(request: Request) -> Any:
    """What was sold, as of the last report."""
    return await file(DATA / "report.json")
