"""Bodies in YAML: slurmrestd 22.05 ends with "fatal: _yaml_parse_scalar", for everybody, on a document that is a mere scalar (pure).

What can be seen without a YAML parser is asked for: one document, whose first line begins a mapping or a list. No call takes anything else.
"""

from __future__ import annotations

import re

_HEAD = 4096
# As libyaml takes them: at the beginning of a line, which ends in one of five ways.
_MARKERS = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9])(---|\.\.\.)(?=\s|\xc2\x85|\xe2\x80[\xa8\xa9]|\Z)")
# The beginning of a flow collection, of a list, or of a complex key.
_OPENED = re.compile(r"[{\[]|[-?](?:\s|$)")
_QUOTED_KEY = re.compile(r"(?:\"(?:[^\"\\]|\\.)*+\"|'(?:[^']|'')*+')\s*+:(?:\s|$)")
_NO_PLAIN_KEY = frozenset("#!&*|>%@`'\"{}[],?:-")
_COMMENT = re.compile(r"(?:^|\s)#")
_COLON = re.compile(r":(?:\s|$)")


def is_yaml(content_type: str | None) -> bool:
    """Tell whether slurmrestd would read a body of this type as YAML."""
    return content_type is not None and "yaml" in content_type.casefold()


def is_collection(content: bytes) -> bool:
    """Tell whether a body is one YAML document in UTF-8 that begins as a mapping or a list does."""
    lines = content[:_HEAD].decode(errors="replace").removeprefix("\ufeff").splitlines()
    said = [line.strip() for line in lines if _COMMENT.match(line.lstrip()) is None and line.strip()]
    begun = bool(said) and said[0].split(maxsplit=1)[0] == "---"
    if begun:
        rest = said.pop(0)[3:].strip()
        said = [rest, *said] if rest and not rest.startswith("#") else said
    return bool(said) and _begins_collection(said[0]) and _has_one_document(content, begun=begun)


def _begins_collection(line: str) -> bool:
    if _OPENED.match(line) or _QUOTED_KEY.match(line):
        return True
    return line[0] not in _NO_PLAIN_KEY and _COLON.search(_COMMENT.split(line, maxsplit=1)[0]) is not None


def _has_one_document(content: bytes, *, begun: bool) -> bool:
    """Tell whether there is no marker but the one that has ``begun`` the document, and one that ends it with nothing behind."""
    for number, marker in enumerate(_MARKERS.finditer(content)):
        if marker[1] == b"...":
            return not content[marker.end() :].strip()
        if number or not begun:
            return False
    return True
