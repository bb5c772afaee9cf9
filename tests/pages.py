"""Reads a page as a browser would: what is not closed, what it would fetch, which ids it has."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

_VOID = {"meta"}
_NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


class Balance(HTMLParser):
    """Raises on a tag that is closed in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.references: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def balanced(text: str) -> Balance:
    """Fails on a page whose tags do not match, or whose drawings are no XML."""
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)
    parser.references = {a or b for a, b in re.findall(r"""href="#([^"]+)"|url\(#([^)]+)\)""", text)}
    return parser


def outside(text: str) -> list[str]:
    """Whatever a page would run, or fetch from elsewhere."""
    found = re.findall(r"<script", text)
    found += re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']*""", text)
    found += re.findall(r"url\((?!#)|@import", text)
    return found + [url for url in re.findall(r"https?://[^\s\"'<>]+", text) if url not in _NAMESPACES]
