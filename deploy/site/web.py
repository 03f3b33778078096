"""nginx: TLS in front of the gateway, from the configuration that the gateway itself writes."""

from __future__ import annotations

from collections.abc import Mapping

from . import gateway
from .files import owned_directory
from .https import Client
from .layout import Layout
from .namespace import Namespace
from .ports import LOOPBACK
from .record import Memory
from .services import Service
from .unix_http import OK

USER = "sgw-nginx"


def prepare(memory: Memory, space: Namespace) -> None:
    """Have the gateway write both files, and nginx check them."""
    layout, record = memory.layout, memory.record
    home = owned_directory(layout.nginx, record.ids[USER], mode=0o755)
    temporary = owned_directory(home / "temp", record.ids[USER])
    site = {
        "listen": f"{LOOPBACK}:{record.port}",
        "certificate": layout.tls / "nginx.pem",
        "certificate-key": layout.tls / "nginx.key",
        "access-log": home / "access.log",
        "output": home / "site.conf",
    }
    main = {
        "include": home / "site.conf",
        "pid": home / "nginx.pid",
        "error-log": home / "error.log",
        "access-log": home / "access.log",
        "temp-dir": temporary,
        "output": home / "nginx.conf",
    }
    names = ["--server-name", "localhost", "--server-name", LOOPBACK]
    for words in (["render", *names, *_options(site)], ["main", *_options(main)]):
        # The templates need no secret, so root, whose files these are, may have them written.
        space.run(gateway.command(layout, record, "nginx", *words), "root", env=gateway.variables(layout))
    space.run_logged([*_nginx(layout), "-t"], USER, layout.log("nginx"))


def _options(values: Mapping[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def _nginx(layout: Layout) -> list[str]:
    return ["/usr/sbin/nginx", "-e", str(layout.nginx / "error.log"), "-c", str(layout.nginx / "nginx.conf")]


def service(layout: Layout, port: int) -> Service:
    """Return the server; ready when it carries a request to the gateway."""
    return Service(
        name="nginx",
        user=USER,
        argv=(*_nginx(layout), "-g", "daemon off;"),
        reads=(layout.nginx / "nginx.conf", layout.nginx / "site.conf", layout.tls / "nginx.pem"),
        ready=lambda: Client(port, layout.ca).ask("GET", "/health/live").status == OK,
        stop_limit=10,
    )
