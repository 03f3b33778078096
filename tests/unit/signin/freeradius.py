"""A real freeradius, as Debian has it, with a configuration of its own: static passwords, no dictionary but its own, loopback only."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import hmac
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECRET = b"a secret that both ends know"
# A PIN with a token's digits behind it; "slow" is asked for a second answer.
USERS = """
alice Cleartext-Password := "1234-567890"
bob Cleartext-Password := "654321"
carol Auth-Type := Accept, Response-Packet-Type := Access-Challenge
"""
_ACCEPT = 2
_CONFIGURATION = """
prefix = /usr
name = radiusd
logdir = {folder}
run_dir = {folder}
db_dir = {folder}
libdir = /usr/lib/freeradius
pidfile = {folder}/radiusd.pid
max_request_time = 5
cleanup_delay = 0
max_requests = 256
log {{
  destination = stderr
  auth = yes
}}
security {{
  user = {user}
  group = {user}
  allow_core_dumps = no
  max_attributes = 200
  reject_delay = 0
  status_server = yes
}}
thread pool {{
  start_servers = 1
  max_servers = 4
  min_spare_servers = 1
  max_spare_servers = 2
  max_requests_per_server = 0
}}
client gateway {{
  ipaddr = 127.0.0.1
  secret = "{secret}"
  require_message_authenticator = yes
}}
modules {{
  pap {{ }}
  files {{
    usersfile = {folder}/users
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  authorize {{
    files
    pap
  }}
  authenticate {{
    pap
  }}
  post-auth {{
    update reply {{
      Message-Authenticator := 0x00
    }}
    Post-Auth-Type REJECT {{
      update reply {{
        Message-Authenticator := 0x00
      }}
    }}
    Post-Auth-Type Challenge {{
      update reply {{
        Message-Authenticator := 0x00
      }}
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class FreeRadius:
    """One that runs: its port, and what it said."""

    port: int
    log: Path


@contextlib.contextmanager
def freeradius(folder: Path) -> Iterator[FreeRadius]:
    """Run one in ``folder`` until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.joinpath("users").write_text(USERS)
    text = _CONFIGURATION.format(folder=folder, secret=SECRET.decode(), port=port, user=getpass.getuser())
    folder.joinpath("radiusd.conf").write_text(text)
    for path in folder.iterdir():
        path.chmod(0o640)
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(["/usr/sbin/freeradius", "-f", "-l", "stdout", "-xx", "-d", str(folder)], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 10
        while not _answers(port):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        yield FreeRadius(port, log)
    finally:
        server.terminate()
        server.wait(10)


def _answers(port: int) -> bool:
    """Ask for its status (RFC 5997): that it is there is seen without spending a code."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.2)
        asker.connect(("127.0.0.1", port))
        head, zeros = struct.pack("!BBH", 12, 1, 38) + bytes(16), struct.pack("!BB16x", 80, 18)
        asker.send(head + struct.pack("!BB16s", 80, 18, _hmac(head + zeros)))
        try:
            return asker.recv(4096)[0] == _ACCEPT  # and not our own packet, should our port be the very one that nobody has yet
        except OSError:
            return False


def _hmac(data: bytes) -> bytes:
    return hmac.new(SECRET, data, hashlib.md5).digest()
