"""A benchmark replaces its own part of a document and nothing else."""

from pathlib import Path

import pytest

from benchmarks.section import Section


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "figures.md"
    file.write_text(
        "# über\n<!-- a: begin -->\nold\n<!-- a: end -->\nkept\n<!-- b: begin -->\n<!-- b: end -->\n", "utf-8"
    )
    return file


def test_only_what_is_between_the_marks_is_replaced(document: Path) -> None:
    Section(document, "a").write("new\ntext")
    Section(document, "b").write("other")
    assert document.read_text("utf-8") == (
        "# über\n<!-- a: begin -->\nnew\ntext\n<!-- a: end -->\nkept\n"
        "<!-- b: begin -->\nother\n<!-- b: end -->\n"
    )


def test_what_was_written_elsewhere_meanwhile_is_kept(document: Path) -> None:
    section = Section(document, "a")
    document.write_text(document.read_text("utf-8") + "later\n", "utf-8")
    section.write("new")
    assert document.read_text("utf-8").endswith("later\n")


@pytest.mark.parametrize("text", ["nothing", "<!-- a: begin -->", "<!-- a: end --> <!-- a: begin -->"])
def test_without_marks_it_says_so_at_once(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plain.md"
    file.write_text(text, "utf-8")
    with pytest.raises(SystemExit, match="no lines <!-- a: begin --> and <!-- a: end -->"):
        Section(file, "a")
    assert file.read_text("utf-8") == text


def test_without_the_file_it_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="gone.md"):
        Section(tmp_path / "gone.md", "a")
