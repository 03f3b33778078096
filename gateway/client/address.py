"""Where a gateway is, and which certificate it must show (pure but for reading the CA)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from gateway.client.errors import GatewayError

_HINT = "Give the address that your administrators told you: https://gateway.example.org"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = "/:@!$&'()*+,;=-._~%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A gateway's address; ``base`` is the path that stands before all others, without a slash at its end."""

    host: str
    port: int
    base: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> Address:
        """Return the address that ``url`` names; raise GatewayError for one that no token may be sent to."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _refused(f"{url} is no address", _HINT) from None
        if host is None or parts.scheme not in {"https", "http"} or parts.username is not None or parts.query or parts.fragment:
            raise _refused(f"{url} is no https:// address", _HINT)
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise _refused(f"{url} is not encrypted", "A password and a token would go over the network for everybody to read: use https://.")
        return cls(host=host, port=port or (443 if parts.scheme == "https" else 80), base=parts.path.rstrip("/"), tls=parts.scheme == "https")

    @property
    def url(self) -> str:
        """The address as it is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.tls else 80)
        return f"http{'s' if self.tls else ''}://{host}{'' if usual else f':{self.port}'}{self.base}"

    def target(self, path: str, query: tuple[tuple[str, str], ...] = ()) -> str:
        """Return what stands in a request's first line for ``path``, which may have a query of its own."""
        path, _, own = path.partition("?")
        words = "&".join(part for part in (quote(own, safe=f"{_SAFE}?"), urlencode(query)) if part)
        return f"{self.base}{quote(path, safe=_SAFE)}{f'?{words}' if words else ''}"


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return a context that takes certificates of the system's CAs, or of the ones in ``ca`` (PEM) alone; raise GatewayError."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise _refused(f"--ca {ca}: {error.strerror or 'is no certificate'}", "Name a file with the CA's certificate (PEM).") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _refused(message: str, hint: str) -> GatewayError:
    return GatewayError(message, hint=hint, reason="bad_address")
