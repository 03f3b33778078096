"""``slurm-gateway nginx``: write nginx's configuration from the templates; no value that is given can add a line of its own.

``render`` writes the site (TLS, limits, the way to the gateway), ``main`` a small nginx.conf for an instance that runs it alone.
"""

from __future__ import annotations

import argparse
import importlib.resources
import ipaddress
import os
import re
import shutil
import string
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gateway.errors import CommandError

USAGE = 2
SITE = "slurm-gateway.conf.template"
MAIN = "nginx.conf.template"
VERIFY = "slurm-gateway-verify.conf.template"
_DEFAULT_MAX_BODY = "50m"
_HTTPS_PORT = 443
_CHECK_SECONDS = 30

# Allow-lists: no space, quote, semicolon, brace, dollar, hash, backslash or control character, and none of include's wildcards.
_PATH = re.compile(r"/[A-Za-z0-9._/@%+=,~-]{0,1023}")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_LISTEN = re.compile(r"(?:(\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{7,15}|\*):)?([0-9]{1,5})")
_RATE = re.compile(r"[1-9][0-9]{0,4}r/[sm]")
_COUNT = re.compile(r"[1-9][0-9]{0,4}")
_SIZE = re.compile(r"[1-9][0-9]{0,11}[kKmM]?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_PREFIX = re.compile(r"/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}/){1,8}")
# What stays the gateway's own, whatever stands before or behind it.
_OURS = ("/auth/", "/health/", "/metrics/", "/events/", "/clusters/")
_VERIFY_CACHE = "/run/slurm-gateway-verify"

# Headers that some software believes of a proxy, so that nobody may send them.
_CLEARED = (
    "Forwarded", "Proxy", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Rewrite-URL",
    "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-User", "X-Remote-User",
    "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override",
)  # fmt: skip


class _Template(string.Template):
    """``@{name}``, for in nginx's files the dollar is nginx's own; an @ without a brace behind it is nginx's as well."""

    pattern = r"@(?:(?P<escaped>(?!))|(?P<named>(?!))|\{(?P<braced>[a-z_]+)\}|(?P<invalid>(?!)))"  # type: ignore[assignment]  # compiled by string.Template itself


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("nginx", help="write the nginx configuration", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _register_render(actions)
    _register_main(actions)


def _register_render(actions: Any) -> None:  # noqa: ANN401 - as above
    parser = actions.add_parser("render", help="write the site: TLS, limits and the way to the gateway", allow_abbrev=False)
    add = parser.add_argument
    add("--server-name", action="append", required=True, metavar="NAME", help="a name that clients use, or an address; repeat it for more")
    add("--listen", action="append", metavar="ADDR:PORT", help="where TLS is spoken; repeat it for more (443 and [::]:443 without it)")
    add("--redirect-listen", action="append", metavar="ADDR:PORT", help="where plain HTTP is sent on to the first server name")
    add("--certificate", required=True, metavar="FILE", help="the certificate and its chain (PEM)")
    add("--certificate-key", required=True, metavar="FILE", help="its private key (PEM)")
    add(
        "--gateway",
        action="append",
        metavar="ADDR",
        help="unix:/path or host:port of a gateway; repeat it for more nodes (server.listen of the configuration without it)",
    )
    add("--login-rate", default="5r/s", metavar="RATE", help="sign-ins that an address may send (%(default)s)")
    add("--login-burst", default="50", metavar="N", help="and at once (%(default)s)")
    add("--max-requests", default="200", metavar="N", help="requests of one address under way at once (%(default)s)")
    add("--max-streams", default="2000", metavar="N", help="streams of events and waiting reads of one address at once (%(default)s)")
    add(
        "--application",
        action="append",
        metavar="PREFIX=ADDR",
        help="a path like /portal/ that nginx passes to unix:/path or host:port itself, after asking the gateway who it is (server.verify); "
        "repeat it for more",
    )
    add("--verify-cache", default=_VERIFY_CACHE, metavar="DIR", help="a folder in memory where nginx keeps those answers for 5 s (%(default)s)")
    add("--max-body", metavar="SIZE", help="largest request body (server.max_body of the configuration, else 50m)")
    add("--access-log", metavar="FILE", help="JSON, without query strings; without it, nginx.conf's own log is used")
    add("--check", action="store_true", help="have nginx test the result before it is written")
    add("--output", type=Path, metavar="FILE", help="where to write it; standard output without it")
    parser.set_defaults(run=render)


def _register_main(actions: Any) -> None:  # noqa: ANN401 - as above
    parser = actions.add_parser("main", help="write a small nginx.conf for an instance of its own", allow_abbrev=False)
    add = parser.add_argument
    add("--include", action="append", required=True, metavar="FILE", help="a file that 'render' wrote; repeat it for more")
    add("--pid", required=True, metavar="FILE", help="where nginx writes its process id")
    add("--error-log", required=True, metavar="FILE", help="its error log")
    add("--access-log", required=True, metavar="FILE", help="the access log of sites that name none")
    add("--temp-dir", required=True, metavar="DIR", help="where bodies wait; must be there, and writable for nginx's user")
    add("--user", metavar="NAME", help="whom the workers run as, when nginx is started by root")
    add("--output", type=Path, metavar="FILE", help="where to write it; standard output without it")
    parser.set_defaults(run=main_file)


def render(arguments: argparse.Namespace) -> int:
    """Write the site."""
    text = site_text(arguments)
    if arguments.check:
        check(text, arguments.verify_cache)
    _emit(text, arguments.output)
    return 0


def main_file(arguments: argparse.Namespace) -> int:
    """Write the nginx.conf around it."""
    _emit(main_text(arguments), arguments.output)
    return 0


def site_text(arguments: argparse.Namespace) -> str:
    """Return the site file; raise CommandError for a value that nginx might read as more than a value."""
    names = [_server_name(name) for name in arguments.server_name]
    listen = [_listen(text, "--listen") for text in arguments.listen or ["443", "[::]:443"]]
    plain = [_listen(text, "--redirect-listen") for text in arguments.redirect_listen or []]
    port = int(listen[0].rpartition(":")[2])
    gateways, max_body = _from_configuration(arguments)
    limits = {
        name: _matching(_COUNT, getattr(arguments, name), f"--{name.replace('_', '-')}", "Give a whole number from 1 to 99999.")
        for name in ("login_burst", "max_requests", "max_streams")
    }
    redirect_to = f"https://{names[0]}" + (f":{port}" if port != _HTTPS_PORT else "")
    return _fill(
        SITE,
        **(_one_node(gateways[0]) if len(gateways) == 1 else _several_nodes(gateways, limits)),
        **_applications(arguments, limits, redirect_to),
        **limits,
        cleared=_cleared(" " * 4),
        host_pattern="|".join(map(re.escape, names)),
        server_names=" ".join(names),
        listen="\n".join(
            [f"    listen {address} ssl http2 default_server;" for address in listen] + [f"    listen {address} default_server;" for address in plain]
        ),
        redirect_to=redirect_to,
        certificate=_path(arguments.certificate, "--certificate"),
        certificate_key=_path(arguments.certificate_key, "--certificate-key"),
        login_rate=_matching(_RATE, arguments.login_rate, "--login-rate", "Write it as 5r/s or 30r/m."),
        max_body=max_body,
        access_log=(
            f"access_log {_path(arguments.access_log, '--access-log')} slurm_gateway;"
            if arguments.access_log is not None
            else "# No --access-log was given, so nginx.conf's own applies; a format of its own may show query strings."
        ),
    )


def _one_node(gateway: str) -> dict[str, str]:
    comment = "    # The only one: max_fails=0, for to think it dead for ten seconds would turn one hiccup into many refusals.\n"
    return {
        "gateways": f"{comment}    server {gateway} max_fails=0;",
        "next_upstream": "off",
        "unavailable": _UNAVAILABLE,
        "once": "",
        "to_once": "",
        "location_once": "",
    }


def _several_nodes(gateways: list[str], limits: dict[str, str]) -> dict[str, str]:
    """Return what makes nginx go on with another node when one is down.

    nginx sends a GET or DELETE again even when the first node had it already, a POST only when it had not. So what must not be sent
    twice, and is no POST, takes a way of its own, on which nothing is sent again.
    """
    servers = [f"    server {gateway} max_fails=1 fail_timeout=2s;" for gateway in gateways]
    anyhow = "\n".join(f"    server {gateway} max_fails=0;" for gateway in gateways)
    return {
        "gateways": "\n".join([_SPREAD, *servers]),
        "next_upstream": f"error;\n    proxy_next_upstream_tries {len(gateways)}",
        "unavailable": "= @slurm_gateway_elsewhere",
        "once": _Template(_ONCE).substitute(anyhow=anyhow),
        "to_once": "        if ($sgw_once) { return 418; }\n\n",
        "location_once": _Template(_LOCATION_ONCE).substitute(limits, unavailable=_UNAVAILABLE),
    }


def _applications(arguments: argparse.Namespace, limits: dict[str, str], redirect_to: str) -> dict[str, str]:
    """Return what the site needs for what stands behind the gateway's sign-in: nothing without any."""
    given = [_application(text) for text in arguments.application or []]
    if not given:
        return {"verify_http": "", "verify_server": ""}
    _, *pieces = re.split(r"(?m)^#@ ([a-z]+)\n", _template(VERIFY).read_text(encoding="utf-8"))
    part = {name: _Template(text) for name, text in zip(pieces[::2], pieces[1::2], strict=True)}
    if len({prefix for prefix, _ in given}) < len(given):
        raise CommandError("--application: one path leads to two applications", "Name each PREFIX once.", exit_code=USAGE)
    cache = _path(arguments.verify_cache, "--verify-cache")
    shared = {**limits, "redirect_to": redirect_to, "cleared": _cleared(" " * 8)}
    numbered = [{"number": str(number), "prefix": prefix, "address": address, **shared} for number, (prefix, address) in enumerate(given, 1)]
    return {
        "verify_http": part["http"].substitute(verify_cache=cache) + "".join(part["upstream"].substitute(one) for one in numbered),
        "verify_server": part["server"].substitute() + "".join(part["application"].substitute(one) for one in numbered),
    }


def _cleared(indent: str) -> str:
    return "\n".join(f'{indent}proxy_set_header {name} "";' for name in _CLEARED)


_UNAVAILABLE = "=502 /.problem/gateway_unavailable"
_SPREAD = """\
    # By the token, see below. Whoever does not answer is left out for two seconds, and its people go on at the others meanwhile.
    hash $sgw_node consistent;"""
_ONCE = """\
# What is sent to one node only, even if that turns out to be dead: nginx would send it again though the first may have acted upon it. Of POST it
# knows that by itself. A request that brings a one-time code is such a one, for the code works once.
map $uri $sgw_changing_get {
    default "";
    "~/(?:reconfigure|requeue)(?:/|$)" 1;
}
map $http_authorization $sgw_once_authorization {
    default $sgw_changing_get;
    "~*^\\s*basic" 1;
}
map $http_x_otp $sgw_once_otp {
    default 1;
    "" $sgw_once_authorization;
}
map $request_method $sgw_once {
    default 1;
    GET $sgw_once_otp;
    HEAD $sgw_once_otp;
    POST "";
    OPTIONS "";
}

# Who presents the same token comes to the same node as long as it lives: what a node has kept of Slurm's answers is then never older than what
# the same session changed. Who has none yet (signing in) goes to any.
map "$http_authorization $http_x_slurm_user_token" $sgw_node {
    default $request_id;
    "~(sgw_[0-9A-Za-z]+)" $1;
}

# A node that has failed is tried with one request when its two seconds are over, and is there for the others only when that was answered. If
# the others fail before, nginx has nobody to ask, though that node may be well. Then all are asked, once more, whatever is remembered of them: for
# what changes nothing, and for a submission that certainly has not left.
upstream slurm_gateway_anyhow {
@{anyhow}
}
map "$sgw_once$request_method $upstream_bytes_sent" $sgw_elsewhere {
    default "";
    "~^(?:GET|HEAD|OPTIONS) " 1;
    "~^POST 0(?:(?:,| :) 0)*$" 1;
}

"""
_LOCATION_ONCE = """\

    # No answer of ours has 418; it leads there, and what goes wrong there has its problem document all the same.
    error_page 418 = @slurm_gateway_once;
    recursive_error_pages on;
    location @slurm_gateway_once {
        limit_req zone=slurm_gateway_sign_in burst=@{login_burst} nodelay;
        limit_req_status 429;
        limit_req_log_level warn;
        limit_conn slurm_gateway_requests @{max_requests};
        limit_conn_status 429;
        limit_conn_log_level warn;

        proxy_next_upstream off;
        proxy_pass http://slurm_gateway;
    }

    location @slurm_gateway_elsewhere {
        error_page 500 =500 /.problem/internal_error;
        error_page 502 @{unavailable};
        error_page 504 =504 /.problem/gateway_timeout;
        if ($sgw_elsewhere = "") { return 502; }

        proxy_buffering off;  # it may be a stream of events
        proxy_pass http://slurm_gateway_anyhow;
    }
"""


def main_text(arguments: argparse.Namespace) -> str:
    """Return the nginx.conf; raise CommandError for a value that nginx might read as more than a value."""
    return _fill(
        MAIN,
        user=(
            f"user {_matching(_USER, arguments.user, '--user', 'Give the name of an account.')};"
            if arguments.user is not None
            else "# No --user was given: the workers run as whoever starts nginx."
        ),
        pid=_path(arguments.pid, "--pid"),
        error_log=_path(arguments.error_log, "--error-log"),
        access_log=_path(arguments.access_log, "--access-log"),
        temp_dir=_path(arguments.temp_dir, "--temp-dir").rstrip("/"),
        includes="\n".join(f"    include {_path(name, '--include')};" for name in arguments.include),
    )


def check(site: str, verify_cache: str) -> None:
    """Have nginx test ``site`` within a small nginx.conf; raise CommandError with what nginx says against it.

    nginx makes the folder of a cache even when it only tests, so it is given another one.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise CommandError("--check needs nginx, which is not here", "apt install nginx, or leave --check out.")
    with tempfile.TemporaryDirectory(prefix="slurm-gateway-nginx-") as folder:
        place = Path(folder)
        (place / "site.conf").write_text(site.replace(f"proxy_cache_path {verify_cache} ", f"proxy_cache_path {folder}/verify "))
        files = {"pid": f"{folder}/pid", "error_log": "/dev/null", "access_log": "/dev/null", "temp_dir": folder}
        main = argparse.Namespace(include=[f"{folder}/site.conf"], user=None, **files)
        (place / "nginx.conf").write_text(main_text(main))
        words = [program, "-t", "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf"]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_CHECK_SECONDS, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        raise CommandError("nginx refuses this configuration", "nginx's own words stand above; nothing was written.")


def _from_configuration(arguments: argparse.Namespace) -> tuple[list[str], str]:
    """Return the gateways' addresses and the limit of a body: as the command line has them, else the configuration, if there is one."""
    gateways, max_body = arguments.gateway, arguments.max_body
    if arguments.config is not None and (gateways is None or max_body is None):
        from gateway.cli.configuration import configuration  # noqa: PLC0415 - without a configuration nothing of the server is needed

        server = configuration(arguments).server
        gateways = gateways or [str(server.listen)]
        max_body = max_body or str(server.max_body)
    if gateways is None:
        raise CommandError("where the gateway listens is not known", "Give --gateway unix:/path or host:port, or --config FILE.", exit_code=USAGE)
    return [_address(gateway, "--gateway") for gateway in gateways], _matching(
        _SIZE, max_body or _DEFAULT_MAX_BODY, "--max-body", "Write it as 50m, 512k or a number of bytes."
    )


def _address(text: str, option: str) -> str:
    hint = "Write it as unix:/absolute/path, host:port or [v6]:port."
    if text.startswith("unix:"):
        return "unix:" + _path(text.removeprefix("unix:"), option)
    host, _, port = text.rpartition(":")
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]{2,45})\]", host)
    if not (_is_v6(bracketed[1]) if bracketed else _NAME.fullmatch(host)) or not _is_port(port):
        raise _refused(option, text, hint)
    return text


def _application(text: str) -> tuple[str, str]:
    prefix, _, address = text.partition("=")
    hint = f"Write it as /portal/=unix:/absolute/path or /portal/=host:port; {', '.join(_OURS)} stay the gateway's own."
    if _PREFIX.fullmatch(prefix) is None or prefix.startswith(_OURS):
        raise _refused("--application", text, hint)
    return prefix, _address(address, "--application")


def _server_name(text: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    if ":" in text and _is_v6(bare):
        return f"[{ipaddress.IPv6Address(bare)}]"
    if _NAME.fullmatch(text) is None:
        raise _refused("--server-name", text, "Give a host name in ASCII (an international one in its xn-- form) or an address, without a port.")
    return text.lower()


def _listen(text: str, option: str) -> str:
    hint = "Write it as 443, 192.0.2.1:443, *:443 or [2001:db8::1]:443."
    match = _LISTEN.fullmatch(text)
    if match is None or not _is_port(match[2]):
        raise _refused(option, text, hint)
    try:
        if match[1] not in {None, "*"}:
            ipaddress.ip_address(match[1].strip("[]"))
    except ValueError:
        raise _refused(option, text, hint) from None
    return text


def _is_v6(text: str) -> bool:
    if "%" in text:  # Python lets anything at all follow as the zone of an address
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,4}", text) is not None and int(text) < 2**16


def _path(text: str, option: str) -> str:
    return _matching(_PATH, text, option, "Give an absolute path of ASCII letters, digits and ._/@%+=,~- without spaces.")


def _matching(pattern: re.Pattern[str], text: str, option: str, hint: str) -> str:
    if pattern.fullmatch(text) is None:
        raise _refused(option, text, hint)
    return text


def _refused(option: str, text: str, hint: str) -> CommandError:
    return CommandError(f"{option}: {text[:80]!a} cannot be put into an nginx file", hint, exit_code=USAGE)


def _fill(name: str, **values: str) -> str:
    return _Template(_template(name).read_text(encoding="utf-8")).substitute(values)


def _template(name: str) -> Any:  # noqa: ANN401 - a Traversable, which Python 3.11 and 3.14 keep in different modules
    """Return the template: inside the package once that is installed, at the top of the repository in a checkout."""
    installed = importlib.resources.files("gateway") / "nginx" / name
    return installed if installed.is_file() else Path(__file__).parents[2] / "nginx" / name


def _emit(text: str, output: Path | None) -> None:
    """Write ``text`` to standard output, or whole and at once into ``output``; raise CommandError when that fails."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        _replace(Path(os.path.realpath(output)), text)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}", "Make its folder, and let yourself write to it.") from None


def _replace(path: Path, text: str) -> None:
    # Not named *.conf, or an nginx that reloads just now would include the half of it.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
