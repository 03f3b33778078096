"""The kinds of value that a configuration file holds: durations, sizes, addresses, paths of secret files."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 3650 * 86400.0
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def parse_duration(text: object) -> float:
    """Return seconds for ``"500ms"``, ``"60s"``, ``"5m"``, ``"12h"`` or ``"1d"``; raise ValueError for anything else."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('a duration is written with its unit: "500ms", "60s", "5m", "12h" or "1d"')
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: object) -> int:
    """Return bytes for ``"4096B"``, ``"64KiB"``, ``"50MiB"`` or ``"1GiB"``; raise ValueError for anything else."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('a size is written with its unit: "4096B", "64KiB", "50MiB" or "1GiB"')
    return int(match[1]) * _BYTES[match[2]]


def duration_text(seconds: float) -> str:
    """Write seconds the way the file does, in the largest unit that divides them."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms"


def size_text(count: int) -> str:
    """Write bytes the way the file does, in the largest unit that divides them."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= _BYTES[unit] and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return f"{count}B"


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be more than zero")
    return seconds


def _lasting(seconds: float) -> float:
    if seconds > _LONGEST:
        raise ValueError("must be ten years at most")
    return _positive(seconds)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    AfterValidator(_lasting),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "duration"}),
]
Size = Annotated[int, BeforeValidator(parse_size), AfterValidator(_positive), PlainSerializer(size_text), WithJsonSchema({"type": "size"})]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server listens: a unix socket (``path``) or TCP (``host`` and ``port``)."""

    path: str | None = None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})")
# struct sockaddr_un on Linux: 108 bytes with the closing NUL (unix(7)).
_UNIX_PATH_BYTES = 107


def parse_endpoint(text: object) -> Endpoint:
    """Read ``unix:/path``, ``host:port`` or ``[v6]:port``; raise ValueError otherwise."""
    if isinstance(text, str) and text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise ValueError("a unix socket is written unix:/absolute/path")
        if len(path.encode()) > _UNIX_PATH_BYTES:
            raise ValueError(f"the path of a unix socket has at most {_UNIX_PATH_BYTES} bytes")
        return Endpoint(path=path)
    match = _HOST_PORT.fullmatch(text) if isinstance(text, str) else None
    if match is None or not 0 < int(match[2]) < 2**16 or (match[1].startswith("[") and not _is_v6(match[1][1:-1])):
        raise ValueError("an address is written unix:/absolute/path, host:port or [v6]:port")
    return Endpoint(host=match[1].strip("[]"), port=int(match[2]))


def _is_v6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def parse_upstream(text: object) -> Endpoint:
    """Read slurmrestd's address: ``unix:/path`` or ``http://host:port``; raise ValueError otherwise."""
    if isinstance(text, str) and text.startswith("http://") and not text.startswith("http://unix:"):
        return parse_endpoint(text.removeprefix("http://").removesuffix("/"))
    if isinstance(text, str) and text.startswith("unix:"):
        return parse_endpoint(text)
    raise ValueError("slurmrestd's address is written unix:/absolute/path or http://host:port")


Listen = Annotated[Endpoint, BeforeValidator(parse_endpoint), PlainSerializer(str), WithJsonSchema({"type": "address"})]
Upstream = Annotated[Endpoint, BeforeValidator(parse_upstream), PlainSerializer(str), WithJsonSchema({"type": "address"})]


def _absolute(text: object) -> Path:
    if not isinstance(text, str) or not text.startswith("/") or "\0" in text:
        raise ValueError("must be an absolute path")
    return Path(text)


AbsolutePath = Annotated[Path, BeforeValidator(_absolute), PlainSerializer(str), WithJsonSchema({"type": "path"})]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: object) -> Network:
    if not isinstance(text, str):
        raise ValueError('a network is written "192.0.2.0/24" or "2001:db8::/32"')  # noqa: TRY004 - pydantic wants ValueError
    return ipaddress.ip_network(text)


Networks = Annotated[Network, BeforeValidator(_network), PlainSerializer(str), WithJsonSchema({"type": "network"})]
