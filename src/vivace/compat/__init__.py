"""Vivace in the place of other programs: behind their command lines, under their names.

Rules of this package:

- Each module imports what it stands in for only itself, and says what to install where that is missing.
"""
