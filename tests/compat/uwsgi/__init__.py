"""Tests of what a file of uWSGI means here."""
