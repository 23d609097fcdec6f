"""Tests: a folder that is called like a part of `src/vivace` tests that part; what else is here:

certificates.py  an authority of the tests, and what it issues
conftest.py      free ports, and processes that are gone when their test is
services/        servers that tests talk to: PostgreSQL, Redis, NATS, a browser
apps/            apps of other frameworks, served by us
bench/           the measurements measure what they say
docs/            the pages of docs/: their code runs, and what they say of us is so
documents/       programs that other people's documents print, run as they stand there
examples/        the programs of examples/
fuzz/            octets that are nearly right
house/           the rules of the house: layers, sizes, types, maps, the build
peers/           real clients and real faults against a server process of its own
"""
