"""Speaking to the site as a user's program does: HTTPS, trusting the site's CA only."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises ValueError when it is none."""
        document = json.loads(self.body)
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - the same to the caller as what is no JSON
        return document


@dataclass(frozen=True, slots=True)
class Client:
    """One site, by its port and CA."""

    port: int
    ca: Path

    def ask(self, method: str, target: str, document: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request on a connection of its own; raises OSError when there is no answer."""
        trust = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection(LOOPBACK, self.port, timeout=30, context=trust)
        body = None if document is None else json.dumps(document)
        own = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, target, body, {**own, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except http.client.HTTPException as cause:
            raise OSError(f"no HTTP from port {self.port}: {cause!r}") from cause
        finally:
            connection.close()
