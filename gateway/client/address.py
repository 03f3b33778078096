"""Where a gateway is, which proxy leads to it, and which certificate it must show (pure but for reading the CA)."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from gateway.client.errors import GatewayError
from gateway.secret import Secret

_HINT = "Give the address that your administrators told you: https://gateway.example.org"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = "/:@!$&'()*+,;=-._~%"
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_LONGEST = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A gateway's address: ``host`` in ASCII; ``base`` is the path that stands before all others, without a slash at its end."""

    host: str
    port: int
    base: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> Address:
        """Return the address that ``url`` names; raise GatewayError for one that no token may be sent to."""
        url = url.strip()
        # Before anything that shows it.
        if "@" in url:
            raise _refused("the address has a user name or a password in it", "Leave it out: https://gateway.example.org. Signing in asks for it.")
        if len(url) > _LONGEST or any(not character.isprintable() or character.isspace() for character in url):
            raise _refused(f"{url[:80]!r} is no address", _HINT)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _refused(f"{url} is no address", _HINT) from None
        if not host or port == 0 or parts.scheme not in {"https", "http"} or parts.query or parts.fragment:
            raise _refused(f"{url} is no https:// address", _HINT)
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise _refused(f"{url} is not encrypted", "A password and a token would go over the network for everybody to read: use https://.")
        tls = parts.scheme == "https"
        return cls(host=_ascii(host), port=port or (443 if tls else 80), base=quote(parts.path.rstrip("/"), safe=_SAFE), tls=tls)

    @property
    def url(self) -> str:
        """The address as it is written."""
        return f"{self.origin}{self.base}"

    @property
    def origin(self) -> str:
        """The address without its path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.tls else 80)
        return f"http{'s' if self.tls else ''}://{host}{'' if usual else f':{self.port}'}"

    def target(self, path: str, query: tuple[tuple[str, str], ...] = ()) -> str:
        """Return what stands in a request's first line for ``path``, which may have a query of its own; raise GatewayError.

        Bytes that cannot stand in a path are written as %XX, those that came from a command line as no UTF-8 too.
        """
        path, _, own = path.partition("?")
        try:
            words = "&".join(part for part in (quote(own, f"{_SAFE}?", errors="surrogateescape"), urlencode(query, errors="surrogateescape")) if part)
            return f"{self.base}/{quote(path.removeprefix('/'), _SAFE, errors='surrogateescape')}{f'?{words}' if words else ''}"
        except UnicodeError:
            raise GatewayError("the path has characters that are none", hint="Write it in UTF-8.", reason="bad_request") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy that leads to the gateway by CONNECT (RFC 9110 section 9.3.6), and what it is shown, if it wants to know who asks."""

    host: str
    port: int
    credentials: Secret | None = field(default=None)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the CONNECT."""
        return {} if self.credentials is None else {"Proxy-Authorization": f"Basic {self.credentials.reveal().decode()}"}

    @property
    def url(self) -> str:
        """The address of the proxy."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def proxy_to(address: Address, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the environment names for ``address`` (https_proxy, no_proxy, as curl reads them); raise GatewayError.

    What is not encrypted goes to loopback alone, and through no proxy.
    """
    said = environment.get("https_proxy") or environment.get("HTTPS_PROXY")
    if not said or not address.tls or _is_excepted(address, environment.get("no_proxy") or environment.get("NO_PROXY") or ""):
        return None
    hint = "Set it as http://proxy.example.org:3128, or name the gateway in NO_PROXY."
    try:
        parts = urlsplit(said if "://" in said else f"http://{said}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refused("HTTPS_PROXY is no address", hint) from None
    if parts.scheme != "http" or not host or _HOST.fullmatch(host) is None:
        raise _refused("HTTPS_PROXY is no http:// address of a proxy", hint)
    return Proxy(host=host, port=port or 80, credentials=_credentials(parts))


def _credentials(parts: SplitResult) -> Secret | None:
    if parts.username is None:
        return None
    from base64 import b64encode  # noqa: PLC0415 - for the few whose proxy asks who they are

    return Secret(b64encode(f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode(errors="surrogateescape")))


def _is_excepted(address: Address, no_proxy: str) -> bool:
    """Tell whether ``no_proxy`` names a host: itself, a domain that it is in, its address's network, or all by ``*``."""
    for word in no_proxy.replace(",", " ").split():
        name, _, port = word.partition(":") if word.count(":") == 1 else (word, "", "")
        if port and port != str(address.port):
            continue
        name = name.lower().lstrip(".").strip("[]")
        if name in {"*", address.host} or address.host.endswith(f".{name}") or ("/" in name and _is_in(address.host, name)):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    import ipaddress  # noqa: PLC0415 - for the few whose NO_PROXY has networks

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return a context that takes certificates of the system's CAs, or of the ones in ``ca`` (PEM) alone; raise GatewayError."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError, whose text names a place in OpenSSL
        why = "is no certificate" if isinstance(error, (ssl.SSLError, ValueError)) else error.strerror
        raise _refused(f"--ca {ca}: {why}", "Name a file with the CA's certificate (PEM).") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _ascii(host: str) -> str:
    """Return a host's name as it is asked for (RFC 5891); raise GatewayError for what is none."""
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise _refused(f"{host} is no name of a host", _HINT) from None
    if _HOST.fullmatch(name) is None:
        raise _refused(f"{host} is no name of a host", _HINT)
    return name


def _refused(message: str, hint: str) -> GatewayError:
    return GatewayError(message, hint=hint, reason="bad_address")
