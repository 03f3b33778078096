"""One Access-Request and the answers to it (pure). pyrad writes packets and reckons their digests; what is believed of an answer is decided here.

Message-Authenticator stands first in every request and is required in every answer: without it, an answer can be forged by someone
on the way (CVE-2024-3596, BlastRADIUS; RFC 2869 section 5.14).
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field

from pyrad.packet import AccessRequest, AuthPacket, PacketError

from gateway.config import Secret

ENTROPY_BYTES = 17  # one for the Identifier, sixteen for the Request Authenticator
_HEADER = struct.Struct("!BBH16s")
_MAX_PACKET = 4096  # RFC 2865 section 3
# RFC 2865 section 5, RFC 2869 section 5.
_USER_NAME, _USER_PASSWORD, _SERVICE_TYPE, _CALLING_STATION_ID, _NAS_IDENTIFIER, _NAS_PORT_TYPE, _MESSAGE_AUTHENTICATOR = 1, 2, 6, 31, 32, 61, 80
_AUTHENTICATE_ONLY, _VIRTUAL = struct.pack("!I", 8), struct.pack("!I", 5)
_MAX_VALUE = 253


class Verdict(enum.Enum):
    """What a server says: the codes of its packets (RFC 2865 section 3)."""

    ACCEPT = 2
    REJECT = 3
    CHALLENGE = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request, on its way to one server: the bytes to send, and what an answer to it is known by."""

    data: bytes = field(repr=False)
    _packet: AuthPacket = field(repr=False)

    def verdict(self, data: bytes) -> Verdict | None:
        """Return what ``data`` says if it is a whole and authentic answer to this request; None for anything else, which is to be ignored."""
        if not _is_whole(data):
            return None
        try:
            reply = self._packet.CreateReply(packet=data)
            authentic = self._packet.VerifyReply(reply, enforce_ma=True)
        except (PacketError, ValueError):
            return None
        try:
            return Verdict(reply.code) if authentic else None
        except ValueError:
            return None


def question(secret: Secret, entropy: bytes, *, username: str, code: str, address: str, nas_identifier: str) -> Question:
    """Return an Access-Request; ``entropy`` is 17 random bytes, new for each request and each server."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a request is made of {ENTROPY_BYTES} random bytes")
    packet = AuthPacket(code=AccessRequest, id=entropy[0], secret=secret.reveal(), authenticator=entropy[1:])
    packet.add_message_authenticator()
    packet[_USER_NAME] = [username.encode()]
    packet[_USER_PASSWORD] = [packet.PwCrypt(code)]
    packet[_SERVICE_TYPE] = [_AUTHENTICATE_ONLY]
    packet[_CALLING_STATION_ID] = [address.encode()[:_MAX_VALUE]]
    packet[_NAS_IDENTIFIER] = [nas_identifier.encode()]
    packet[_NAS_PORT_TYPE] = [_VIRTUAL]
    return Question(data=packet.RequestPacket(), _packet=packet)


def _is_whole(data: bytes) -> bool:
    """Tell whether the attributes fill the packet to the byte, one Message-Authenticator of sixteen bytes among them."""
    if not _HEADER.size <= len(data) <= _MAX_PACKET or _HEADER.unpack_from(data)[2] != len(data):
        return False
    place, authenticators = _HEADER.size, []
    while place < len(data):
        if len(data) - place < 2:  # noqa: PLR2004 - type and length
            return False
        kind, length = data[place], data[place + 1]
        if length < 2 or place + length > len(data):  # noqa: PLR2004 - likewise
            return False
        if kind == _MESSAGE_AUTHENTICATOR:
            authenticators.append(length - 2)
        place += length
    return authenticators == [16]
