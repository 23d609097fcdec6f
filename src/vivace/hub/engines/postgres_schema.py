"""What the hub keeps in a PostgreSQL: its tables and the functions that write into them.

A message is a row, whatever its topic. An ordered topic has a row too, with its epoch and the offset of its
newest message; storing one locks that row until the transaction ends, so offsets are in the order of commits
and without holes. A notification only wakes: it says nothing but which of 64 groups of topics has news.

Rules of this file:

- Everything is made by one script, which may be run again; a role that may not create it is given it by hand:
  ``python -m vivace.hub.engines.postgres_schema | psql``.
- Who is present is a row of its hub, for as long as ``until`` says; a crash of the server empties both.
- Names begin with the prefix; they are quoted.
- ``hub_publish`` may be called in any transaction: the message comes when that commits, or never.
"""

import hashlib
import re
import sys
from typing import Final

__all__ = ["BUCKETS", "VERSION", "Names", "bucket_of", "plain_name", "script"]

VERSION: Final = "vivace hub 2"
"""What the comment on the table of messages says: the script has been run."""
BUCKETS: Final = 64
"""Channels over which topics are spread, so that a machine is woken for few that it does not follow."""
RETENTION: Final = 60
"""Seconds for which any message is kept: a machine that is away for less than that misses nothing."""


def bucket_of(topic: str) -> int:
    """The number of the channel that a topic's news come on."""
    return hashlib.md5(topic.encode(), usedforsecurity=False).digest()[0] % BUCKETS


def plain_name(prefix: str) -> str:
    """A prefix as it can stand in any name: letters, digits and some signs stay, the rest becomes ``_``."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", prefix)


class Names:
    """The names of everything.

    Args:
        prefix: Begins them.

    Attributes:
        messages: The table of messages.
        topics: The table of ordered topics.
        hubs: The table of hubs that speak for somebody.
        present: The table of whom they speak for.
        keep: The function that writes down what changed of a hub.
        store: The function that stores one message of the hub's own.
        publish: The function for everybody.
    """

    def __init__(self, prefix: str) -> None:
        plain = plain_name(prefix)
        self._plain = plain
        self.messages = f'"{plain}_hub_messages"'
        self.topics = f'"{plain}_hub_topics"'
        self.hubs = f'"{plain}_hub_hubs"'
        self.present = f'"{plain}_hub_present"'
        self.keep = f'"{plain}_hub_keep"'
        self.store = f'"{plain}_hub_store"'
        self.publish = "hub_publish" if plain == "vivace" else f'"{plain}_hub_publish"'

    def channel(self, bucket: int) -> str:
        """What LISTEN names."""
        return f"{self._plain}_hub_{bucket}"

    @property
    def channels(self) -> str:
        """What a channel's name begins with, as a literal."""
        return f"'{self._plain}_hub_'"


_SCRIPT: Final = """
CREATE TABLE IF NOT EXISTS {topics} (
  topic text PRIMARY KEY,
  epoch text NOT NULL,
  newest bigint NOT NULL,
  history integer NOT NULL,
  ttl double precision NOT NULL,
  used timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS {messages} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  topic text NOT NULL,
  epoch text,
  place bigint,
  body bytea,
  json text,
  made timestamptz NOT NULL DEFAULT clock_timestamp(),
  until timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS {messages_xid} ON {messages} (xid);
CREATE INDEX IF NOT EXISTS {messages_place} ON {messages} (topic, place);
CREATE INDEX IF NOT EXISTS {messages_until} ON {messages} (until);

CREATE OR REPLACE FUNCTION {store}(
  of_topic text, octets bytea, document text, ordered boolean, keep integer, life double precision,
  fresh text, again boolean, OUT its_epoch text, OUT its_place bigint
) LANGUAGE plpgsql AS $body$
DECLARE
  digest bytea;
BEGIN
  IF again THEN
    SELECT m.epoch, m.place INTO its_epoch, its_place FROM {messages} m
     WHERE m.topic = of_topic AND m.body = octets LIMIT 1;
    IF FOUND THEN
      RETURN;
    END IF;
  END IF;
  IF ordered THEN
    INSERT INTO {topics} AS t (topic, epoch, newest, history, ttl)
    VALUES (of_topic, fresh, 1, keep, life)
    ON CONFLICT (topic) DO UPDATE SET newest = t.newest + 1, history = EXCLUDED.history,
      ttl = EXCLUDED.ttl, used = clock_timestamp()
    RETURNING t.epoch, t.newest INTO its_epoch, its_place;
  END IF;
  INSERT INTO {messages} (topic, epoch, place, body, json, until)
  VALUES (of_topic, its_epoch, its_place, octets, document,
    CASE WHEN ordered AND keep > 0 AND life = 0 THEN 'infinity'
    ELSE clock_timestamp() + greatest({retention}, CASE WHEN keep > 0 THEN life ELSE 0 END)
      * interval '1 second' END);
  digest := decode(md5(convert_to(of_topic, 'UTF8')), 'hex');
  PERFORM pg_notify({channels} || (get_byte(digest, 0) % {buckets}), '');
END $body$;

CREATE OR REPLACE FUNCTION {publish}(
  topic text, data jsonb, history integer DEFAULT NULL, ttl double precision DEFAULT 0
) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
  keep integer := history;
  life double precision := ttl;
  stored record;
BEGIN
  IF keep IS NULL THEN
    SELECT t.history, t.ttl INTO keep, life FROM {topics} t WHERE t.topic = {publish_topic};
  END IF;
  SELECT * INTO stored FROM {store}({publish_topic}, NULL, data::text, coalesce(keep, 0) > 0,
    coalesce(keep, 0), coalesce(life, 0), md5(random()::text || clock_timestamp()), false);
  RETURN stored.its_epoch || ':' || stored.its_place;
END $body$;

CREATE UNLOGGED TABLE IF NOT EXISTS {hubs} (
  hub text PRIMARY KEY,
  version bigint NOT NULL,
  until timestamptz NOT NULL
);
CREATE UNLOGGED TABLE IF NOT EXISTS {present} (
  hub text NOT NULL REFERENCES {hubs} ON DELETE CASCADE,
  topic text NOT NULL,
  key text NOT NULL,
  ref text NOT NULL,
  meta bytea NOT NULL,
  PRIMARY KEY (hub, topic, key, ref)
);

CREATE OR REPLACE FUNCTION {keep}(
  of_hub text, its_version bigint, whole boolean, life double precision, topics text[], keys text[],
  refs text[], metas bytea[], gone_topics text[], gone_keys text[], gone_refs text[]
) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
  IF whole THEN
    DELETE FROM {hubs} h WHERE h.hub = of_hub;
    IF life = 0 THEN
      RETURN true;
    END IF;
    INSERT INTO {hubs} VALUES (of_hub, its_version, clock_timestamp() + life * interval '1 second');
  ELSE
    UPDATE {hubs} h SET version = its_version, until = clock_timestamp() + life * interval '1 second'
     WHERE h.hub = of_hub AND h.version IN (its_version, its_version - 1) AND h.until > clock_timestamp();
    IF NOT FOUND THEN
      RETURN false;
    END IF;
  END IF;
  DELETE FROM {present} p USING unnest(gone_topics, gone_keys, gone_refs) AS g(t, k, r)
   WHERE p.hub = of_hub AND p.topic = g.t AND p.key = g.k AND p.ref = g.r;
  INSERT INTO {present} SELECT of_hub, * FROM unnest(topics, keys, refs, metas)
    ON CONFLICT ON CONSTRAINT {present_key} DO UPDATE SET meta = EXCLUDED.meta;
  RETURN true;
END $body$;

COMMENT ON TABLE {messages} IS '{version}';
"""


def script(names: Names) -> str:
    """The SQL that makes everything that is not there yet."""
    table = names.messages.strip('"')
    return _SCRIPT.format(
        topics=names.topics,
        messages=names.messages,
        messages_xid=f'"{table}_xid"',
        messages_place=f'"{table}_place"',
        messages_until=f'"{table}_until"',
        hubs=names.hubs,
        present=names.present,
        present_key=f'"{names.present.strip(chr(34))}_pkey"',
        keep=names.keep,
        store=names.store,
        publish=names.publish,
        publish_topic=f"{names.publish}.topic",
        channels=names.channels,
        buckets=BUCKETS,
        retention=RETENTION,
        version=VERSION,
    )


if __name__ == "__main__":
    sys.stdout.write(script(Names(sys.argv[1] if len(sys.argv) > 1 else "vivace")))
