"""A Django site of the usual shape: settings, URLs, and the two files that a server is given."""
