"""`app.static` and `DirectoryHandler` as Sanic programs use them.

Rules of this file:

- Files are found and sent by `vivace.framework.static`: no path leaves the folder but by links that were
  allowed.
- Differs: a folder without an index is a 404 instead of an error of the server, HEAD tells the real length,
  a range unit that is not known is ignored (RFC 9110 section 14.2), several ranges are sent.
"""

import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from vivace.compat.sanic.content_range import malformed_range
from vivace.errors import RangeNotSatisfiable
from vivace.framework.files import FileResponse
from vivace.framework.registry import Registry
from vivace.framework.response import HTTPResponse
from vivace.framework.static import StaticFiles
from vivace.http.ranges import ByteRange

__all__ = ["DirectoryHandler", "Files", "ServingFiles"]


class RangedFile(FileResponse):
    """A file that refuses a malformed Range in Sanic's words."""

    __slots__ = ()

    def read_ranges(self, value: str) -> list[ByteRange] | None:
        """What of the file a Range field asks for.

        Raises:
            RangeNotSatisfiable: It is malformed, or nothing of it lies within the file.
        """
        unit, _, asked = value.partition("=")
        if unit.strip().lower() != "bytes":
            return None
        try:
            ranges = super().read_ranges(value)
        except RangeNotSatisfiable:
            ranges = []
        if ranges or self.size == 0:
            return ranges
        raise malformed_range(asked, self.size)


class Files(StaticFiles):
    """Serves a file or a folder by Sanic's rules; what is not there may come later.

    Raises:
        TypeError: It is of another type than `resource_type`, or no path.
        ValueError: It is no path, or `resource_type` is no type.
    """

    __slots__ = ("_conditional", "_link_dirs", "_link_files", "_ranged")

    def __init__(
        self,
        root: Any,
        *,
        resource_type: str | None,
        index: str | Iterable[str] | None,
        directory_view: bool,
        content_type: str | None = None,
        conditional: bool = True,
        ranged: bool = False,
        link_files: bool = False,
        link_dirs: bool = False,
    ) -> None:
        path = _as_path(root)
        _check_type(path, resource_type)
        super().__init__(
            path if path.exists() else Path("/"),
            index=(index,) if isinstance(index, str) else tuple(index or ()),
            content_type=_with_charset(content_type),
            follow_symlinks=True,
            hidden=True,
            directory_view=directory_view,
        )
        self._root = str(path.resolve())
        self._conditional = conditional
        self._ranged = ranged
        self._link_files = link_files
        self._link_dirs = link_dirs

    def _make(self, descriptor: int, found: os.stat_result, content_type: str) -> FileResponse:
        made = RangedFile(descriptor, found, 200, {"Cache-Control": "no-cache"}, content_type)
        made.conditional = self._conditional
        made.ranged = self._ranged
        if not self._ranged:
            del made.headers["Accept-Ranges"]
        return made

    def _may_send(self, path: str, real: str) -> bool:
        if super()._may_send(path, real):
            return True
        folder = os.path.realpath(os.path.dirname(path))
        if not super()._may_send(path, folder):
            return self._link_dirs and (self._link_files or not os.path.islink(path))
        return self._link_dirs if os.path.isdir(real) else self._link_files


def _with_charset(content_type: str | None) -> str | None:
    if content_type and content_type.startswith("text/") and "charset" not in content_type:
        return f"{content_type}; charset=utf-8"
    return content_type


def _as_path(given: Any) -> Path:
    if isinstance(given, bytes):
        raise TypeError("Static file or directory must be a path-like object or string")
    if not isinstance(given, (str, PathLike)):
        raise ValueError(f"Static route must be a valid path, not {given}")  # noqa: TRY004  # as in Sanic
    return Path(given)


def _check_type(path: Path, resource_type: str | None) -> None:
    if resource_type not in (None, "file", "dir"):
        raise ValueError("The resource_type should be set to 'file' or 'dir'")
    if resource_type == "dir" and path.is_file():
        raise TypeError(f"Resource type improperly identified as directory. '{path}'")
    if resource_type == "file" and not path.is_file():
        raise TypeError(f"Resource type improperly identified as file. '{path}'")


class DirectoryHandler:
    """Says how the folders below a path are served; for ``app.static(directory_handler=)``.

    Args:
        uri: Where the folder appears.
        directory: The folder.
        directory_view: List folders without an index.
        index: Files that stand for their folder.
        root_path: The folder that nothing leaves; default: `directory`.
        follow_external_symlink_files: Send files that a link names which leads out of it.
        follow_external_symlink_dirs: Send what lies in folders that such a link names.
    """

    def __init__(
        self,
        uri: str,
        directory: Path,
        directory_view: bool = False,
        index: str | Iterable[str] | None = None,
        root_path: Path | None = None,
        follow_external_symlink_files: bool = False,
        follow_external_symlink_dirs: bool = False,
    ) -> None:
        self.base = uri.strip("/")
        self.directory = directory
        self.directory_view = directory_view
        self.index: tuple[str, ...] = (index,) if isinstance(index, str) else tuple(index or ())
        self.root_path = root_path if root_path is not None else directory
        self.follow_external_symlink_files = follow_external_symlink_files
        self.follow_external_symlink_dirs = follow_external_symlink_dirs

    async def handle(self, request: Any, path: str) -> HTTPResponse:
        """The index or the list of a folder.

        Raises:
            FileNotFound: There is neither.
        """
        below = path.strip("/").removeprefix(self.base).strip("/")
        files = Files(
            self.directory,
            resource_type="dir",
            index=self.index,
            directory_view=self.directory_view,
            link_files=self.follow_external_symlink_files,
            link_dirs=self.follow_external_symlink_dirs,
        )
        return await files.serve(request, f"{below}/" if below else "")


class ServingFiles(Registry):
    """An app or a blueprint that serves files as Sanic's do."""

    __slots__ = ()

    def static(  # type: ignore[override]
        self,
        uri: str,
        file_or_directory: str | PathLike[str],
        pattern: str = r"/?.+",
        use_modified_since: bool = True,
        use_content_range: bool = False,
        stream_large_files: bool | int = False,
        name: str = "static",
        host: str | None = None,
        strict_slashes: bool | None = None,
        content_type: str | None = None,
        apply: bool = True,
        resource_type: str | None = None,
        index: str | Iterable[str] | None = None,
        directory_view: bool = False,
        directory_handler: DirectoryHandler | None = None,
        follow_external_symlink_files: bool = False,
        follow_external_symlink_dirs: bool = False,
    ) -> None:
        """Serve a file, or the files below a folder, by GET and HEAD.

        Args:
            uri: Where it appears.
            file_or_directory: What is served.
            pattern: No effect, as in Sanic.
            use_modified_since: Answer 304 where the client's copy is as new.
            use_content_range: Answer Range.
            stream_large_files: No effect: no file is held in memory.
            name: For `url_for`.
            host: Only for this host.
            strict_slashes: A trailing slash counts; for a single file.
            content_type: For all of them; default: by their names.
            apply: Kept for its place.
            resource_type: ``file`` or ``dir``: refuse anything else.
            index: Files that stand for their folder.
            directory_view: List folders that have no index.
            directory_handler: Says this and the rest of it instead.
            follow_external_symlink_files: Send files that a link names which leads out of the folder.
            follow_external_symlink_dirs: Send what lies in folders that such a link names.

        Raises:
            TypeError: It is of another type than `resource_type`, or no path.
            ValueError: It is no path, or two arguments contradict each other.
        """
        del pattern, stream_large_files, apply
        if directory_handler is not None:
            if directory_view or index:
                raise ValueError(
                    "When explicitly setting directory_handler, you cannot set either directory_view or "
                    "index. Instead, pass these arguments to your DirectoryHandler instance."
                )
            directory_view, index = directory_handler.directory_view, directory_handler.index
            follow_external_symlink_files = directory_handler.follow_external_symlink_files
            follow_external_symlink_dirs = directory_handler.follow_external_symlink_dirs
        files = Files(
            file_or_directory,
            resource_type=resource_type,
            index=index,
            directory_view=directory_view,
            content_type=content_type,
            conditional=use_modified_since,
            ranged=use_content_range,
            link_files=follow_external_symlink_files,
            link_dirs=follow_external_symlink_dirs,
        )
        self._serve_files(files, uri, name=name, host=host, strict_slashes=strict_slashes)
