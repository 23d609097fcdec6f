"""Files below a folder, and nothing else, at whatever path a stranger asks for.

Rules of this file:

- The path is percent-decoded once. ``..``, ``.``, empty names and names with backslash, colon or controls are
  no files; a second layer of escapes is part of a name.
- Each name is opened below the descriptor of the folder before it with O_NOFOLLOW: no path is ever resolved,
  so that a folder swapped for a symbolic link between two steps leads nowhere.
- Symbolic links are followed only on request, and then only to what lies inside the folder.
- Names that begin with a dot are hidden; a folder is listed on request only; whatever is wrong is a plain
  404.
"""

import os
import stat
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from vivace.errors import DeclarationError, FileNotFound
from vivace.framework.files import FileResponse, cache_control, open_regular
from vivace.framework.listing import Entry, list_folder
from vivace.framework.mime import guess_content_type
from vivace.framework.response import HTTPResponse
from vivace.http.url import unquote_path

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["StaticFiles"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_DEPTH = 64


class _IsFolder(Exception):
    """There is a folder, which is to be listed."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__()
        self.entries = entries


class StaticFiles:
    """Serves a file or a folder; the arguments are those of `Registry.static`.

    Attributes:
        is_file: It is a single file.

    Raises:
        ConfigError: It does not exist or is of another type than `resource_type`.
    """

    __slots__ = (
        "_content_type",
        "_follow",
        "_hidden",
        "_index",
        "_max_age",
        "_root",
        "_view",
        "is_file",
    )

    def __init__(
        self,
        root: str | PathLike[str],
        *,
        index: tuple[str, ...] = (),
        content_type: str | None = None,
        follow_symlinks: bool = False,
        hidden: bool = False,
        max_age: int | None = None,
        resource_type: str | None = None,
        directory_view: bool = False,
    ) -> None:
        self._view = directory_view
        self._root = str(Path(root).resolve())
        self.is_file = Path(self._root).is_file()
        if not self.is_file and not Path(self._root).is_dir():
            raise DeclarationError(
                f"static: {os.fspath(root)!r} is no file and no folder (looked for {self._root})"
            )
        if resource_type is not None and (resource_type == "file") != self.is_file:
            raise DeclarationError(
                f"static: {os.fspath(root)!r} is no {resource_type}", allowed=("file", "dir")
            )
        self._index = index
        self._content_type = content_type
        self._follow = follow_symlinks
        self._hidden = hidden
        self._max_age = max_age

    async def serve(self, request: "Request", __file_uri__: str = "") -> HTTPResponse:
        """The file for a request, or the list of a folder.

        Raises:
            FileNotFound: There is nothing that may be sent.
        """
        try:
            name, descriptor, found = self._open(__file_uri__)
        except _IsFolder as folder:
            return list_folder(request.path, folder.entries)
        except (OSError, ValueError) as error:
            raise FileNotFound("File not found", path=self._root, relative_url=__file_uri__) from error
        return self._respond(name, descriptor, found)

    def _respond(self, name: str, descriptor: int, found: os.stat_result) -> FileResponse:
        try:
            response = self._make(descriptor, found, self._content_type or guess_content_type(name))
        except BaseException:
            os.close(descriptor)
            raise
        response.headers["X-Content-Type-Options"] = "nosniff"
        if self._max_age is not None:
            response.headers["Cache-Control"] = cache_control(self._max_age)
        return response

    def _make(self, descriptor: int, found: os.stat_result, content_type: str) -> FileResponse:
        """The response; for subclasses to override."""
        return FileResponse(descriptor, found, 200, None, content_type)

    def _open(self, raw: str) -> tuple[str, int, os.stat_result]:
        if self.is_file:
            return self._root, *open_regular(self._root)
        names = self._names(raw)
        if self._follow:
            return self._open_inside(names)
        folder = os.open(self._root, _FOLDER)
        try:
            for name in names[:-1]:
                below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = below
            return self._open_last(names[-1], folder)
        finally:
            os.close(folder)

    def _open_last(self, name: str, folder: int) -> tuple[str, int, os.stat_result]:
        if name:
            try:
                return name, *open_regular(name, folder, os.O_NOFOLLOW)
            except FileNotFoundError:
                if not self._index:
                    raise
        below = os.open(name or ".", _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        try:
            for index in self._index:
                try:
                    return index, *open_regular(index, below, os.O_NOFOLLOW)
                except FileNotFoundError:
                    continue
            if self._view:
                raise _IsFolder(self._entries(below))
        finally:
            os.close(below)
        raise FileNotFoundError(name)

    def _open_inside(self, names: list[str]) -> tuple[str, int, os.stat_result]:
        """Follow symbolic links; what they lead to is checked on the path that the kernel found."""
        path = os.path.join(self._root, *names)
        if stat.S_ISDIR(os.stat(path).st_mode):
            folder = path
            path = next((p for i in self._index if Path(p := os.path.join(folder, i)).is_file()), folder)
            if path == folder and self._view and self._may_send(folder, os.path.realpath(folder)):
                raise _IsFolder(self._entries(folder))
        descriptor, found = open_regular(path)
        try:
            real = os.path.realpath(path)
            allowed = self._may_send(path, real)
            # The file that was opened has to be the one that lies there, whatever the links say by now.
            if not allowed or not os.path.samestat(found, os.stat(real, follow_symlinks=False)):
                raise FileNotFoundError(path)
        except BaseException:
            os.close(descriptor)
            raise
        return path, descriptor, found

    def _may_send(self, path: str, real: str) -> bool:
        """Whether what `path` leads to may be sent; for subclasses to override.

        Args:
            path: As it was asked for.
            real: Where it is, without symbolic links.
        """
        return os.path.commonpath((real, self._root)) == self._root

    def _entries(self, folder: str | int) -> list[Entry]:
        """What the list of a folder shows."""
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if self._is_bad(entry.name) or (entry.is_symlink() and not self._shows_link(entry)):
                    continue
                known = entry.stat(follow_symlinks=self._follow)
                if stat.S_ISDIR(known.st_mode) or stat.S_ISREG(known.st_mode):
                    found.append(
                        Entry(entry.name, stat.S_ISDIR(known.st_mode), known.st_size, known.st_mtime)
                    )
        return found

    def _shows_link(self, entry: "os.DirEntry[str]") -> bool:
        if not self._follow:
            return False
        real = os.path.realpath(entry.path)
        return os.path.exists(real) and self._may_send(entry.path, real)

    def _names(self, raw: str) -> list[str]:
        """The names of a path, checked; the last one is empty where a folder is meant."""
        names = unquote_path(raw.encode("latin-1")).split("/")
        checked = names if names[-1] else names[:-1]
        if len(names) > _MAX_DEPTH or any(self._is_bad(name) for name in checked):
            raise ValueError("not a file name")
        return names

    def _is_bad(self, name: str) -> bool:
        if name in ("", ".", "..") or (name[0] == "." and not self._hidden):
            return True
        return any(c in "\\:" or c < " " or "\x7f" <= c <= "\x9f" for c in name)
