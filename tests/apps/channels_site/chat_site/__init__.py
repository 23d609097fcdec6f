"""A chat by Django Channels: one app that is also the project."""
