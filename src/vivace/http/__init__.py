"""The vocabulary of HTTP: headers, URLs, cookies, dates, ranges, negotiation, forms.

Everything here is a value or a pure function. Nothing does I/O, nothing reads a clock, and every loop over
octets of a peer is linear in their number and bounded by a limit with a name.
"""
