"""End to end: real clients and real faults against a server process of its own."""
