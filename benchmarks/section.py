"""The part of a document that a benchmark writes: what stands between two marks."""

from __future__ import annotations

from pathlib import Path


class Section:
    """What is between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` in ``file``.

    Raises:
        SystemExit: there is no such file, or it has no such marks: said at once, not after an hour's work.
    """

    def __init__(self, file: Path, name: str) -> None:
        self._file, self._name = file, name
        self._around()

    def write(self, text: str) -> None:
        """Put ``text`` in its place; the rest of the document is as it stands on the disk now.

        Raises:
            SystemExit: the marks are gone.
        """
        before, after = self._around()
        self._file.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")

    def _around(self) -> tuple[str, str]:
        """The document up to and with the first mark, and from the second on."""
        begin, end = (f"<!-- {self._name}: {word} -->" for word in ("begin", "end"))
        try:
            whole = self._file.read_text(encoding="utf-8")
        except OSError as error:
            raise SystemExit(f"{self._file}: {error.strerror or error}") from error
        before, opened, rest = whole.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise SystemExit(f"{self._file} has no lines {begin} and {end} to write between")
        return before + begin, end + after
