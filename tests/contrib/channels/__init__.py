"""The channel layer."""
