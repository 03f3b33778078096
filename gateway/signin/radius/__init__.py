"""RADIUS, as far as checking a code needs it (RFC 2865): ``packet`` (pure) and ``client`` (the exchange over UDP)."""

from gateway.signin.radius.client import RadiusClient
from gateway.signin.radius.packet import Verdict

__all__ = ["RadiusClient", "Verdict"]
