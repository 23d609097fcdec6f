"""Tests of services and pools."""
