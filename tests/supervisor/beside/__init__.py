"""Tests of the processes beside the workers."""
