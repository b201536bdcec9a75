from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.system.xml_files import DEEPEST, parse_xml, read_xml

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<lolz>&b;</lolz>"""
OUTSIDE = b"""<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY secret SYSTEM "%s">]><a>&secret;</a>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_elements_attributes_and_texts(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><a b="é"><c>x &lt; ש</c><c/></a>'
    root = parse_xml(text.encode(encoding))
    assert (root.tag, root.get("b"), [one.text for one in root]) == ("a", "é", ["x < ש", None])


def test_entities_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("never read")
    for data in (LAUGHS, OUTSIDE % str(secret).encode(), b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>'):
        with pytest.raises(ValueError, match="declares a document type"):
            parse_xml(data)


def test_what_is_no_xml_is_refused() -> None:
    for data in (
        b"",
        b"<a>",
        b"<a></b>",
        b"<a>&b;</a>",
        b"\x00\xff",
        b'<?xml version="1.0" encoding="?"?><a/>',
    ):
        with pytest.raises(ValueError, match="it is not XML"):
            parse_xml(data)
    for encoding in (b"shift_jis", b"hex", b"none"):
        with pytest.raises(ValueError):
            parse_xml(b'<?xml version="1.0" encoding="' + encoding + b'"?><a/>')


def test_size_and_depth_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"<a>" + b" " * 1000 + b"</a>")
    with pytest.raises(ValueError, match="larger than"):
        read_xml(tmp_path / "a.xml", limit_bytes=100)
    assert read_xml(tmp_path / "a.xml").tag == "a"
    with pytest.raises(ValueError, match="inside of each other"):
        parse_xml(b"<a>" * (DEEPEST + 1) + b"</a>" * (DEEPEST + 1))
