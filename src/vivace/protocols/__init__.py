"""Wire protocols as state machines without I/O: octets and the clock in, events and octets out."""
