"""XML files, read without what could be expanded."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from fullconv.errors import DataError
from fullconv.text import note, read_text


class _Builder(ET.TreeBuilder):
    """Refuses a document type, and with it every entity, before anything could be expanded."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise DataError("has a document type (DTD)")


def parse_xml(path: Path, tool: str) -> ET.Element:
    """The root of a file that ``tool`` writes.

    Raises:
        DataError: no XML, or one with a document type.
    """
    note(path)
    try:
        return ET.parse(path, ET.XMLParser(target=_Builder())).getroot()
    except DataError as error:
        raise DataError(f"{path}: {error}, which {tool} never writes; refused: remove it, or export again") from None
    except (ET.ParseError, ValueError, LookupError) as error:
        read_text(path)  # names the encoding, where that is what is wrong
        raise DataError(f"{path}: not readable XML ({error}); export it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); add it, or take it off the list") from error


def parse_xml_text(text: str, where: str) -> ET.Element:
    """The root of XML that another program sent.

    Raises:
        DataError: no XML, or one with a document type.
    """
    try:
        return ET.fromstring(text, ET.XMLParser(target=_Builder()))
    except DataError as error:
        raise DataError(f"{where}: {error}; refused") from None
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{where}: not readable XML ({error})") from error
