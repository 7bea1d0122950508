"""The section of a document that a benchmark writes, between two marks."""

from __future__ import annotations

from pathlib import Path


class Section:
    """The text between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` in ``file``.

    The constructor checks the marks, so that a long benchmark does not fail at its end.

    Raises:
        SystemExit: the file or the marks do not exist.
    """

    def __init__(self, file: Path, name: str) -> None:
        self._file, self._name = file, name
        self._split()

    def write(self, text: str) -> None:
        """Replace the section by ``text``. The rest is read from the file again.

        Raises:
            SystemExit: the marks no longer exist.
        """
        before, after = self._split()
        self._file.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")

    def _split(self) -> tuple[str, str]:
        """Return the document up to and including the first mark, and from the second mark on."""
        begin, end = (f"<!-- {self._name}: {word} -->" for word in ("begin", "end"))
        try:
            whole = self._file.read_text(encoding="utf-8")
        except OSError as error:
            raise SystemExit(f"{self._file}: {error.strerror or error}") from error
        before, opened, rest = whole.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise SystemExit(
                f"{self._file} has no lines {begin} and {end}: add them where the section belongs"
            )
        return before + begin, end + after
