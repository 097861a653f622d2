"""XML files as elements that know their line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.readers.entries import Entry


@dataclass(slots=True)
class Element:
    """An element with its text and what is inside."""

    tag: str
    file: Path
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def first(self, tag: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, tag: str) -> Iterator[Element]:
        """Children of that name."""
        return (child for child in self.children if child.tag == tag)

    def entry(self) -> Entry:
        """The texts of the children by their names; complaints name the line of this element."""
        values = {child.tag: child.text.strip() for child in self.children}
        return Entry(self.file, self.line, values, f"<{self.tag}>")


def read_xml(file: Path) -> Element:
    """The root of a file.

    Raises:
        DataError: it is missing or no XML, or defines entities.
    """
    parser = expat.ParserCreate()
    top = Element("", file, 1)
    open_elements = [top]

    def begin(tag: str, _: dict[str, str]) -> None:
        element = Element(tag, file, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def words(text: str) -> None:
        open_elements[-1].text += text

    def refuse(*_: object) -> None:  # they can grow without end
        raise DataError(f"{file}:{parser.CurrentLineNumber}: entities are not read")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = words, refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except expat.ExpatError as error:
        problem = expat.ErrorString(error.code)
        raise DataError(f"{file}:{error.lineno}: not XML: {problem}") from error
    return top.children[0]
