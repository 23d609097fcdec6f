"""What somebody who comes from uWSGI has: an ini file, and what it means here.

`vivace run uwsgi.ini` serves by it, `vivace config --from-uwsgi uwsgi.ini` prints it as a vivace.toml.
"""

from vivace.compat.uwsgi.meaning import Meaning, read_meaning
from vivace.compat.uwsgi.toml import to_toml

__all__ = ["Meaning", "read_meaning", "to_toml"]
