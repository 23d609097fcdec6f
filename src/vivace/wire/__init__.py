"""Functions on bytes, without state: where an octet is looked at, it is looked at here.

Rules of this package:

- The Python source is the definition. A compiled twin (`_head.pyx`) is an optimisation that may be missing;
  it gives the same values, refuses the same octets and gives the same reasons.
- Octets in, values out: nothing here keeps anything between two calls, nor a pointer into its input.
- Input is taken or refused at its first wrong octet, never repaired (RFC 9112 section 11.2 says why).
"""
