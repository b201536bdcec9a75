"""ELAN's side of its recognizer interface, as in its classes RecognizerParser, LocalRecognizer and XmlTierIO.

ELAN is a program with windows; what it does around a recognizer is little, and repeated here, with its
float32 arithmetic and its ways of cutting text.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from xml.sax.saxutils import escape

import numpy as np

DONE: Final = "RESULT: DONE."
FAILED: Final = "RESULT: FAILED."
_RUN: Final = {"linux": "runLinux", "darwin": "runMac", "win32": "runWin"}


@dataclass(frozen=True)
class Found:
    """A recognizer as ELAN knows it from its metadata."""

    name: str
    title: str
    command: str
    folder: Path
    help_file: str
    parameters: dict[str, str]
    """The default of each, by name; those of files are empty."""
    kinds: dict[str, str]
    """``audio``, ``video``, ``multitier``, ``text`` or ``float``, by name."""


def find(extensions: Path) -> list[Found]:
    """The recognizers in the folders of a folder of extensions."""
    return [parse(path) for path in sorted(extensions.glob("*/*.cmdi"))]


def parse(path: Path) -> Found:
    """RecognizerParser: elements by their local names, attributes without a namespace."""
    elements = [(one.tag.rpartition("}")[2], one) for one in ET.parse(path).iter()]
    (recognizer,) = [one for name, one in elements if name == "recognizer"]
    assert recognizer.get("recognizerType") == "local"
    parameters, kinds = {}, {}
    for name, one in elements:
        key = (one.text or "").strip()
        if name == "numparam":
            parameters[key], kinds[key] = str(np.float32(one.attrib["default"])), one.attrib["type"]
            assert float(one.attrib["min"]) <= float(one.attrib["default"]) <= float(one.attrib["max"])
        elif name == "textparam":
            parameters[key], kinds[key] = one.get("default", ""), "text"
            allowed = one.get("convoc", "").split()
            assert not allowed or parameters[key] in allowed
        elif name in {"input", "output"}:
            parameters[key], kinds[key] = "", one.attrib["type"]
    (help_file,) = [(one.text or "").strip() for name, one in elements if name == "documentation"]
    command = recognizer.attrib[_RUN[sys.platform]]
    title = recognizer.attrib["info"]
    return Found((recognizer.text or "").strip(), title, command, path.parent, help_file, parameters, kinds)


class Run:
    """LocalRecognizer: one run, whose lines are read as they come.

    Args:
        found: what is started, in its folder, by its command split at spaces.
        values: of parameters that the user has set; of files, paths or addresses.
        encoding: of Java, in which the parameters are written, whatever their first line says.
    """

    def __init__(self, found: Found, values: dict[str, str], *, encoding: str = "utf-8") -> None:
        self._process = subprocess.Popen(
            found.command.split(), cwd=found.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=os.environ | {"LC_ALL": "C"},
        )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout
        self.report: list[str] = []
        """All lines, as ELAN shows them."""
        document = parameters_xml(found, found.parameters | values)
        self._process.stdin.write(document.encode(encoding))
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> Iterator[str]:
        """Lines up to and with the result; ELAN then closes the pipe."""
        for line in self._output:
            text = line.decode().rstrip("\r\n")
            self.report.append(text)
            yield text
            if text in {DONE, FAILED}:
                break
        self._output.close()

    def cancel(self) -> int:
        """Java's ``Process.destroy``; the exit status."""
        self._process.terminate()
        status = self._process.wait(60)
        self._output.close()
        return status

    def wait(self) -> int:
        return self._process.wait(600)


def parameters_xml(found: Found, values: dict[str, str]) -> str:
    """What LocalRecognizer writes: addresses of files lose ``file:``."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<PARAM xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="file:avatech-call.xsd">',
        f'<param name="InvocationContext">{escape(found.name)} 2026-07-31 14:23:09+0200</param>',
    ]
    for name, value in values.items():
        plain = escape(value.removeprefix("file:"), {'"': "&quot;", "'": "&apos;"})
        lines.append(f'<param name="{name}">{plain}</param>')
    return "\n".join([*lines, "</PARAM>", ""])


def progress(line: str) -> float | None:
    """The share that ELAN's bar shows after a line; None: the line does not move it."""
    if not line.startswith(("PROGRESS:", "INFO: PROGRESS:")):
        return None
    value = line[line.index(":") + 1 :].strip().split(" ")[0]
    return float(value.removesuffix("%")) / 100 if value.endswith("%") else float(value)


def parse_time(text: str) -> int:
    """XmlTierIO: whole milliseconds, or float32 seconds times 1000, cut off."""
    if "." not in text:
        return int(text)
    return int(np.float32(1000) * np.float32(text))


def read_tiers(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    """XmlTierIO: the segments of each tier; names are split at spaces, values are stripped."""
    root = ET.parse(path).getroot()
    assert root.tag == "TIERS" and len(root), "ELAN says that there are no tiers in the file"
    tiers: dict[str, list[tuple[int, int, str]]] = {}
    for tier in root:
        names = tier.attrib["columns"].split()
        assert tier.tag == "TIER" and names and not tiers.keys() & set(names)
        tiers |= {name.removeprefix("#"): [] for name in names}
        for span in tier:
            start, end = (parse_time(span.attrib[edge]) for edge in ("start", "end"))
            values = [(one.text or "").strip() for one in span]
            assert span.tag == "span" and len(values) == len(names)
            for name, value in zip(names, values, strict=True):
                tiers[name].append((start, end, value))
    return tiers
