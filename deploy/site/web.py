"""nginx: TLS in front of the gateway, from the configuration that the gateway itself writes."""

from __future__ import annotations

from collections.abc import Sequence

from . import gateway
from .accounts import owned_directory
from .https import Client
from .layout import Layout
from .namespace import Namespace
from .ports import LOOPBACK
from .record import Memory
from .services import Service

USER = "sgw-nginx"


def prepare(memory: Memory, space: Namespace) -> None:
    """Have the gateway write both files, and nginx check them."""
    layout, record = memory.layout, memory.record
    owned_directory(layout.nginx, record.ids[USER], mode=0o755)
    owned_directory(layout.nginx / "temp", record.ids[USER])
    _write(memory, space, [
        "--config", str(layout.gateway_config), "nginx", "render", "--server-name", "localhost", "--server-name", LOOPBACK,
        "--listen", f"{LOOPBACK}:{record.port}", "--certificate", str(layout.tls / "nginx.pem"),
        "--certificate-key", str(layout.tls / "nginx.key"),
        "--access-log", str(layout.nginx / "access.log"), "--output", str(layout.nginx / "site.conf"),
    ])  # fmt: skip
    _write(memory, space, [
        "nginx", "main", "--include", str(layout.nginx / "site.conf"), "--pid", str(layout.nginx / "nginx.pid"),
        "--error-log", str(layout.nginx / "error.log"), "--access-log", str(layout.nginx / "access.log"),
        "--temp-dir", str(layout.nginx / "temp"), "--output", str(layout.nginx / "nginx.conf"),
    ])  # fmt: skip
    space.run_logged([*_nginx(layout), "-t"], USER, layout.log("nginx"))


def _write(memory: Memory, space: Namespace, words: Sequence[str]) -> None:
    """Its templates need no secret, so root, who owns nginx's files, may run it."""
    space.run([*memory.record.command, *words], "root", env=gateway.variables(memory.layout))


def _nginx(layout: Layout) -> list[str]:
    return ["/usr/sbin/nginx", "-e", str(layout.nginx / "error.log"), "-c", str(layout.nginx / "nginx.conf")]


def service(layout: Layout, port: int) -> Service:
    return Service(
        name="nginx",
        user=USER,
        argv=(*_nginx(layout), "-g", "daemon off;"),
        reads=(layout.nginx / "nginx.conf", layout.nginx / "site.conf", layout.tls / "nginx.pem"),
        ready=lambda: Client(port, layout.ca).ask("GET", "/health/live").status == 200,
        stop_limit=10,
    )
