"""The files that ``slurm-gateway nginx`` writes, and what it refuses to put into them."""

from __future__ import annotations

import argparse
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import nginx
from gateway.cli.main import main
from gateway.errors import CommandError
from tests.unit.cli.conftest import failure

SITE = {
    "--server-name": "slurm.example.org",
    "--certificate": "/etc/ssl/slurm.pem",
    "--certificate-key": "/etc/ssl/private/slurm.key",
    "--gateway": "unix:/run/slurm-gateway/gateway.sock",
}
MAIN = {
    "--include": "/etc/slurm-gateway/site.conf",
    "--pid": "/run/nginx.pid",
    "--error-log": "/var/log/error.log",
    "--access-log": "/var/log/access.log",
    "--temp-dir": "/var/tmp/nginx",
}
CONFIGURATION = """
[server]
listen = "unix:/run/from-the-configuration.sock"
max_body = "7KiB"
[store]
url = "sqlite:////var/lib/gateway.db"
key_ring_file = "/etc/ring"
[directory]
urls = ["ldaps://ldap.example.org"]
user_base = "dc=example"
[slurm]
default_cluster = "one"
[clusters.one]
url = "unix:/run/slurmrestd.sock"
jwt_key_file = "/etc/jwt.key"
"""


@pytest.fixture(autouse=True)
def _without_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_GATEWAY_CONFIG", raising=False)


def words(action: str, options: dict[str, str], *more: str) -> list[str]:
    return ["nginx", action, *(f"{name}={value}" for name, value in options.items()), *more]


def rendered(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def statements(text: str) -> list[str]:
    """What nginx reads: without comments."""
    return [" ".join(line.split()) for line in re.sub(r"(?m)(^|\s)#.*$", "", text).splitlines() if line.strip()]


def test_a_site_has_its_values_and_no_placeholder_left(capsys: pytest.CaptureFixture[str]) -> None:
    text = rendered(capsys, *words("render", SITE, "--access-log", "/var/log/slurm.log", "--max-body", "9m"))
    lines = statements(text)
    assert "@{" not in text
    for wanted in (
        "server unix:/run/slurm-gateway/gateway.sock max_fails=0;",
        "listen 443 ssl http2 default_server;",
        "listen [::]:443 ssl http2 default_server;",
        "server_name slurm.example.org;",
        "ssl_certificate /etc/ssl/slurm.pem;",
        "ssl_certificate_key /etc/ssl/private/slurm.key;",
        "client_max_body_size 9m;",
        "access_log /var/log/slurm.log slurm_gateway;",
    ):
        assert wanted in lines


def test_the_redirect_leads_to_the_first_name_and_port(capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--server-name", "127.0.0.1", "--listen", "127.0.0.1:8443", "--redirect-listen", "127.0.0.1:8080")
    lines = statements(rendered(capsys, *words("render", SITE, *more)))
    assert 'if ($https = "") { return 308 https://slurm.example.org:8443$request_uri; }' in lines
    assert "listen 127.0.0.1:8080 default_server;" in lines


def test_names_are_matched_whole_and_literally(capsys: pytest.CaptureFixture[str]) -> None:
    text = rendered(capsys, *words("render", SITE, "--server-name", "EXAMPLE.org", "--server-name", "2001:DB8:0::1"))
    assert r'"~^(?:slurm\.example\.org|example\.org|\[2001:db8::1\])$" 0;' in text


def test_the_configuration_gives_the_gateways_address_and_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIGURATION)
    options = {name: value for name, value in SITE.items() if name != "--gateway"}
    lines = statements(rendered(capsys, "--config", str(file), *words("render", options)))
    assert "server unix:/run/from-the-configuration.sock max_fails=0;" in lines
    assert "client_max_body_size 7168;" in lines


def test_the_command_line_comes_before_the_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIGURATION)
    lines = statements(rendered(capsys, "--config", str(file), *words("render", SITE)))
    assert "server unix:/run/slurm-gateway/gateway.sock max_fails=0;" in lines


def test_without_an_address_of_the_gateway_there_is_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    options = {name: value for name, value in SITE.items() if name != "--gateway"}
    assert main(words("render", options)) == 2
    hint = "Give --gateway unix:/path or host:port, or --config FILE."
    assert capsys.readouterr().err == failure("where the gateway listens is not known", hint)


_HOSTILE = (
    "/a b",
    "/a;b",
    "/a'b",
    '/a"b',
    "/a{b",
    "/a}b",
    "/a\nb",
    "/a\\b",
    "/a$b",
    "/a#b",
    "/a\0b",
    "/a*",
    "/a\x7fb",
    "/\u00e4",
    "relative",
    "",
    "unix:/a",
)


@pytest.mark.parametrize("value", _HOSTILE)
@pytest.mark.parametrize("option", ["--certificate", "--certificate-key", "--access-log"])
def test_a_path_that_could_say_more_than_a_path_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(words("render", SITE | {option: value}), option, capsys)


@pytest.mark.parametrize("value", _HOSTILE)
@pytest.mark.parametrize("option", list(MAIN))
def test_the_main_file_refuses_the_same_paths(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(words("main", MAIN | {option: value}), option, capsys)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--server-name", "a b"),
        ("--server-name", "*.example.org"),
        ("--server-name", "~^.*$"),
        ("--server-name", "example.org;"),
        ("--server-name", "example.org:443"),
        ("--server-name", "$host"),
        ("--server-name", "a..b"),
        ("--server-name", "-a.example.org"),
        ("--server-name", "a" * 64),
        ("--server-name", ".".join(["a" * 60] * 5)),
        ("--server-name", "example.org\n"),
        ("--server-name", "b\u00fccher.example"),
        ("--server-name", "1::2::3"),
        ("--server-name", "fe80::1%eth0"),
        ("--server-name", "::1%;} x"),
        ("--server-name", ""),
        ("--listen", "localhost:443"),
        ("--listen", "443 ssl"),
        ("--listen", "443;"),
        ("--listen", "0"),
        ("--listen", "65536"),
        ("--listen", "300.0.0.1:443"),
        ("--listen", "[::g]:443"),
        ("--listen", "unix:/tmp/a"),
        ("--listen", "\u0664\u0664\u0663"),
        ("--redirect-listen", "80\n"),
        ("--gateway", "unix:relative"),
        ("--gateway", "unix:/a;b"),
        ("--gateway", "unix:/a:b"),
        ("--gateway", "localhost"),
        ("--gateway", "localhost:0"),
        ("--gateway", "local host:80"),
        ("--gateway", "localhost:80 backup"),
        ("--gateway", "[::1:80"),
        ("--gateway", "[zz]:80"),
        ("--gateway", "http://localhost:80"),
        ("--login-rate", "5"),
        ("--login-rate", "0r/s"),
        ("--login-rate", "5r/s;"),
        ("--login-burst", "-1"),
        ("--login-burst", "50 delay=1"),
        ("--max-body", "50MB"),
        ("--max-body", "0"),
        ("--max-body", "1m;"),
        ("--max-requests", "0"),
        ("--max-requests", "1 dry_run=on"),
        ("--max-streams", "-1"),
        ("--max-streams", "100000"),
    ],
)
def test_a_value_that_is_malformed_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(words("render", SITE | {option: value}), option, capsys)


@pytest.mark.parametrize("value", ["a b", "a;", "$x", "", "root\n", "0"])
def test_a_user_that_is_no_name_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(words("main", MAIN, f"--user={value}"), "--user", capsys)


PATH = "Give an absolute path of ASCII letters, digits and ._/@%+=,~- without spaces."
ADDRESS = "Write it as unix:/absolute/path, host:port or [v6]:port."
COUNT = ("Give a whole number from 1 to 99999.",)
LISTEN = ("Write it as 443, 192.0.2.1:443, *:443 or [2001:db8::1]:443.",)
OURS = "/auth/, /health/, /metrics/, /events/, /clusters/"
HINTS: dict[str, tuple[str, ...]] = {
    "--server-name": ("Give a host name in ASCII (an international one in its xn-- form) or an address, without a port.",),
    "--listen": LISTEN,
    "--redirect-listen": LISTEN,
    "--gateway": (PATH, ADDRESS),
    "--login-rate": ("Write it as 5r/s or 30r/m.",),
    "--login-burst": COUNT,
    "--max-requests": COUNT,
    "--max-streams": COUNT,
    "--max-body": ("Write it as 50m, 512k or a number of bytes.",),
    "--user": ("Give the name of an account.",),
    "--application": (PATH, ADDRESS, f"Write it as /portal/=unix:/absolute/path or /portal/=host:port; {OURS} stay the gateway's own."),
}


def refused(arguments: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names the option, one hint, nothing on standard output, and no byte of the value that a terminal would obey."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    message, hint, end = err.split("\n")
    assert message.startswith(f"slurm-gateway: {option}: ")
    assert message.endswith(" cannot be put into an nginx file")
    assert hint.removeprefix("hint: ") in HINTS.get(option, (PATH,))
    assert end == ""
    assert err.isascii()


def test_a_configuration_with_a_hostile_address_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIGURATION.replace("/run/from-the-configuration.sock", "/run/a;b"))
    options = {name: value for name, value in SITE.items() if name != "--gateway"}
    assert main(["--config", str(file), *words("render", options)]) == 2
    assert capsys.readouterr().out == ""


def test_an_output_is_replaced_whole_and_may_be_read_by_nginx(tmp_path: Path) -> None:
    file = tmp_path / "site.conf"
    file.write_text("x" * 100_000)
    file.chmod(0o600)
    assert main(words("render", SITE, "--output", str(file))) == 0
    assert file.read_text().startswith("# slurm-gateway behind nginx")
    assert file.read_text().endswith("}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_an_output_that_is_a_link_stays_one(tmp_path: Path) -> None:
    available, enabled = tmp_path / "available", tmp_path / "enabled"
    enabled.symlink_to(available)
    assert main(words("render", SITE, "--output", str(enabled))) == 0
    assert enabled.is_symlink()
    assert available.is_file()


def test_a_refused_value_leaves_the_old_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "site.conf"
    file.write_text("the old one")
    assert main(words("render", SITE | {"--certificate": "/a;b"}, "--output", str(file))) == 2
    assert file.read_text() == "the old one"


def test_an_output_that_cannot_be_written_is_one_line_and_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("render", SITE, "--output", str(tmp_path / "missing" / "site.conf"))) == 1
    what = f"{tmp_path}/missing/site.conf cannot be written: No such file or directory"
    assert capsys.readouterr().err == failure(what, "Make its folder, and let yourself write to it.")


def test_the_main_file_keeps_everything_that_nginx_writes_where_it_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = statements(rendered(capsys, *words("main", MAIN, "--include", "/etc/other.conf", "--user", "www-data")))
    for wanted in (
        "user www-data;",
        "pid /run/nginx.pid;",
        "error_log /var/log/error.log warn;",
        "access_log /var/log/access.log slurm_gateway;",
        "include /etc/slurm-gateway/site.conf;",
        "include /etc/other.conf;",
        "client_body_temp_path /var/tmp/nginx/client_body;",
        "proxy_temp_path /var/tmp/nginx/proxy;",
        "fastcgi_temp_path /var/tmp/nginx/fastcgi;",
        "uwsgi_temp_path /var/tmp/nginx/uwsgi;",
        "scgi_temp_path /var/tmp/nginx/scgi;",
    ):
        assert wanted in lines


def test_without_a_user_the_main_file_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert not [line for line in statements(rendered(capsys, *words("main", MAIN))) if line.startswith("user ")]


def test_a_check_without_nginx_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("gateway.cli.nginx.shutil.which", lambda *_arguments, **_options: None)
    assert main(words("render", SITE, "--check")) == 1
    assert capsys.readouterr().err == failure("--check needs nginx, which is not here", "apt install nginx, or leave --check out.")


def test_what_nginx_refuses_is_told_in_its_words_and_not_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\necho 'nginx: [emerg] no' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert main(words("render", SITE, "--check", "--output", str(tmp_path / "site.conf"))) == 1
    hint = "nginx's own words stand above; nothing was written."
    assert capsys.readouterr().err == "nginx: [emerg] no\n" + failure("nginx refuses this configuration", hint)
    assert not (tmp_path / "site.conf").exists()


def test_several_nodes_are_all_named_and_left_out_while_they_are_down(capsys: pytest.CaptureFixture[str]) -> None:
    lines = statements(rendered(capsys, *words("render", SITE, "--gateway", "192.0.2.1:8080")))
    assert "server unix:/run/slurm-gateway/gateway.sock max_fails=1 fail_timeout=2s;" in lines
    assert "server 192.0.2.1:8080 max_fails=1 fail_timeout=2s;" in lines
    assert {"proxy_next_upstream error;", "proxy_next_upstream_tries 2;", "if ($sgw_once) { return 418; }"} <= set(lines)
    assert {"error_page 502 = @slurm_gateway_elsewhere;", "server 192.0.2.1:8080 max_fails=0;"} <= set(lines)
    assert lines.index("hash $sgw_node consistent;") < lines.index("keepalive 64;")  # the other way round nginx would keep no connection


def test_with_one_node_nothing_is_ever_sent_again(capsys: pytest.CaptureFixture[str]) -> None:
    text = rendered(capsys, *words("render", SITE))
    assert "proxy_next_upstream off;" in statements(text)
    assert "error_page 502 =502 /.problem/gateway_unavailable;" in statements(text)
    assert [word for word in ("sgw_once", "sgw_node", "elsewhere", "anyhow") if word in text] == []


def test_applications_are_in_the_site_only_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "auth_request" not in rendered(capsys, *words("render", SITE))
    more = ("--application", "/portal/=unix:/run/portal.sock", "--application", "/slurm/=192.0.2.1:6820", "--verify-cache", "/dev/shm/verify")
    text = rendered(capsys, *words("render", SITE, *more))
    assert "@{" not in text
    lines = statements(text)
    for wanted in (
        "server unix:/run/portal.sock max_fails=0;",
        "server 192.0.2.1:6820 max_fails=0;",
        "location /portal/ {",
        "location /slurm/ {",
        "location /auth/verify { return 404; }",
    ):
        assert wanted in lines
    assert any(line.startswith("proxy_cache_path /dev/shm/verify ") for line in lines)


def test_what_is_cleared_for_the_gateway_is_cleared_for_an_application(capsys: pytest.CaptureFixture[str]) -> None:
    lines = statements(rendered(capsys, *words("render", SITE, "--application", "/portal/=unix:/run/portal.sock")))
    for name in nginx._CLEARED:
        assert lines.count(f'proxy_set_header {name} "";') == 2


@pytest.mark.parametrize(
    "value",
    [
        "/=unix:/a", "portal/=unix:/a", "/portal=unix:/a", "/a//b/=unix:/a", "/../=unix:/a", "/.problem/=unix:/a", "/auth/=unix:/a",
        "/auth/verify/=unix:/a", "/events/=unix:/a", "/clusters/a/=unix:/a", "/health/=unix:/a", "/metrics/=unix:/a", "/a b/=unix:/a",
        "/a;/=unix:/a", "/a$b/=unix:/a", "/portal/=", "/portal/", "/portal/=localhost", "/portal/=unix:/a;b", "/portal/=http://a:1", "~ ^/=unix:/a",
    ],
)  # fmt: skip
def test_an_application_that_is_malformed_or_in_our_place_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(words("render", SITE, f"--application={value}"), "--application", capsys)


def test_a_path_that_leads_to_two_applications_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    twice = ("--application=/portal/=unix:/a", "--application=/portal/=unix:/b")
    assert main(words("render", SITE, *twice)) == 2
    assert capsys.readouterr() == ("", failure("--application: one path leads to two applications", "Name each PREFIX once."))


@pytest.mark.parametrize("value", _HOSTILE)
def test_the_folder_of_what_is_kept_is_a_path(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(words("render", SITE, "--application=/portal/=unix:/a", f"--verify-cache={value}"), "--verify-cache", capsys)


OPTIONS = ["certificate", "certificate_key", "access_log", "login_rate", "login_burst", "max_body", "max_requests", "max_streams", "verify_cache"]
ANYTHING = (
    st.text(max_size=30)
    | st.from_regex(r"/[a-z./;{}$]{0,8}=unix:/[a-z ;{}$\n]{0,8}")
    | st.from_regex(r"/[a-z ;{}$'\"\n\\#]{0,12}")
    | st.from_regex(r"[0-9]{1,5}(?:r/[sm]|[kKmM])?[ ;\n]?")
)


@given(st.sampled_from([*OPTIONS, "server_name", "listen", "redirect_listen", "gateway", "application"]), ANYTHING)
def test_no_value_adds_a_statement(option: str, value: str) -> None:
    given_: dict[str, object] = {name.lstrip("-").replace("-", "_"): text for name, text in SITE.items()} | {
        "server_name": ["slurm.example.org"], "listen": ["443"], "redirect_listen": ["80"], "gateway": ["unix:/run/gateway.sock"],
        "access_log": "/var/log/a.log", "login_rate": "5r/s", "login_burst": "50", "max_body": "50m", "config": None,
        "max_requests": "200", "max_streams": "2000", "application": ["/portal/=unix:/run/portal.sock"], "verify_cache": "/run/verify",
    }  # fmt: skip
    plain = nginx.site_text(argparse.Namespace(**given_))
    try:
        text = nginx.site_text(argparse.Namespace(**given_ | {option: value if option in OPTIONS else [value]}))
    except CommandError:
        return
    assert [text.count(character) for character in ";{}\n"] == [plain.count(character) for character in ";{}\n"]
