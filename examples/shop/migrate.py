"""Makes the tables of the shop: the hook before_start, which runs once before any worker does."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

DATA = Path(os.environ.get("SHOP_DATA", Path(__file__).parent / "data"))
TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, article TEXT NOT NULL, count INTEGER NOT NULL, cents INTEGER NOT NULL,
    email TEXT NOT NULL, at TEXT NOT NULL DEFAULT (datetime('now'))
)"""

DATA.mkdir(parents=True, exist_ok=True)
with closing(sqlite3.connect(DATA / "orders.sqlite3")) as orders:
    orders.execute("PRAGMA journal_mode = WAL")
    orders.execute(TABLE)
print("the tables are there")
