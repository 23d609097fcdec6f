"""The web framework: apps, routes, requests, responses. Knows streams, and no server below them."""
