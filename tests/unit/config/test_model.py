from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.model import Cluster, Config, Cors, Directory, SecondFactor, Server, Sessions, Slurm, Store, Throttle, Totp

TREE: dict[str, dict[str, Any]] = {
    "server": {"listen": "127.0.0.1:8080"},
    "store": {"url": "sqlite:////var/lib/gateway.db", "key_ring_file": "/etc/ring"},
    "directory": {"urls": ["ldaps://ldap.demo.example"], "user_base": "dc=demo,dc=example"},
    "slurm": {"default_cluster": "main"},
    "clusters": {"main": {"url": "unix:/run/slurmrestd.sock", "jwt_key_file": "/etc/slurm/jwt.key"}},
}


def config_with(section: str, **settings: object) -> Config:
    return Config.model_validate({**TREE, section: {**TREE.get(section, {}), **settings}})


def directory(**settings: object) -> Directory:
    return Directory.model_validate({**TREE["directory"], **settings})


def cluster(**settings: object) -> Cluster:
    return Cluster.model_validate({"url": "unix:/run/slurmrestd.sock", **settings})


@pytest.mark.parametrize(
    ("section", "setting", "value"),
    [
        ("submissions", "keep", "19h"),
        ("server", "workers", "2"),
        ("server", "workers", 0),
        ("server", "workers", 65),
        ("server", "workers", True),
        ("server", "listen", None),
        ("server", "socket_mode", "0o660"),
        ("server", "socket_mode", "1777"),
        ("server", "socket_mode", "0660\n"),
        ("server", "trusted_proxies", "127.0.0.1"),
        ("server", "max_body", 50),
        ("store", "url", "sqlite:///relative.db"),
        ("store", "url", "sqlite://"),
        ("store", "url", "sqlite:////var/lib/gateway.db?mode=memory"),
        ("store", "url", "postgresql://host/gateway"),
        ("directory", "urls", []),
        ("directory", "urls", "ldaps://ldap.demo.example"),
        ("directory", "user_base", ""),
        ("directory", "user_filter", "objectClass=person"),
        ("directory", "user_filter", "(objectClass=person)\n"),
        ("directory", "login_attribute", "uid)(cn"),
        ("directory", "name_attribute", "uid;binary"),
        ("directory", "uid_attribute", ""),
        ("directory", "group_member_attribute", "member="),
        ("directory", "max_binds", 0),
        ("totp", "window", 3),
        ("totp", "window", -1),
        ("totp", "issuer", "a:b"),
        ("totp", "issuer", ""),
        ("sessions", "cache", "1001ms"),
        ("sessions", "idle", "0s"),
        ("throttle", "account", 0),
        ("throttle", "address", -1),
        ("slurm", "minimum_uid", 0),
        ("slurm", "minimum_uid", 1000.0),
        ("slurm", "token_lifetime", "9s"),
        ("slurm", "token_lifetime", "61m"),
        ("audit", "file", "audit.log"),
        ("log", "level", "INFO"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_at_its_place(section: str, setting: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        config_with(section, **{setting: value})
    assert {error["loc"][:2] for error in caught.value.errors()} == {(section, setting)}


@pytest.mark.parametrize("section", ["server", "store", "directory", "totp", "sessions", "throttle", "slurm", "audit", "log"])
def test_a_setting_that_does_not_exist_is_refused_in_every_table(section: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        config_with(section, passwords="hunter2")


def test_a_problem_does_not_show_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        config_with("server", workers="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("section", [Server, Store, Slurm, Sessions, Throttle, Totp])
def test_a_table_cannot_be_changed_once_it_is_read(section: type[Any]) -> None:
    assert section.model_config["frozen"] is True


def test_a_setting_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config_with("log", level="debug").totp.window = 2  # type: ignore[misc]


def test_without_clusters_there_is_nothing_to_carry_requests_to() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        Config.model_validate({**TREE, "clusters": {}})


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://ldap",
            "ldapi:///",
            "ldap://",
            "ldaps://",
            "ldaps:///dc=demo",
            "ldaps://ldap/dc=demo",
            "ldaps://ldap/?uid",
            "ldap",
            "",
            "ldaps://[::1",
        ),
        *("LDAP://ldap", "Ldaps://ldap", " ldap://ldap", "ld\tap://ldap", "ldaps://h:port", "ldaps://h:99999", "ldaps://h:0", "ldaps://a,b"),
        *("ldaps://a b", "ldap://localhost@evil.example"),
    ],
)
def test_what_is_no_ldap_server_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        directory(urls=[url])


@pytest.mark.parametrize("url", ["ldaps://ldap.demo.example", "ldaps://ldap.demo.example:1636", "ldaps://192.0.2.7", "ldaps://[2001:db8::1]:636"])
def test_an_ldap_server_is_named_by_its_url(url: str) -> None:
    assert directory(urls=[url]).urls == (url,)


@pytest.mark.parametrize(
    "host", ["ldap.demo.example", "192.0.2.7", "127.0.0.1.demo.example", "localhost.demo.example", "127.0.0.1", "localhost", "[::1]"]
)
def test_passwords_are_not_sent_in_the_clear_by_default(host: str) -> None:
    with pytest.raises(ValidationError, match="passwords in the clear"):
        directory(urls=[f"ldap://{host}"])


@pytest.mark.parametrize("urls", [["ldap://ldap.demo.example"], ["ldap://localhost", "ldap://ldap.demo.example"]])
def test_passwords_are_not_sent_in_the_clear_over_a_network_even_when_asked(urls: list[str]) -> None:
    with pytest.raises(ValidationError, match="passwords in the clear"):
        directory(urls=urls, allow_plaintext=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:389", "[::1]:389"])
def test_passwords_may_go_in_the_clear_on_loopback_when_asked(host: str) -> None:
    assert directory(urls=[f"ldap://{host}"], allow_plaintext=True).allow_plaintext


def test_a_plain_url_will_do_with_start_tls() -> None:
    assert directory(urls=["ldap://ldap.demo.example"], start_tls=True).start_tls


def test_a_service_account_needs_its_password_file() -> None:
    with pytest.raises(ValidationError, match="go together"):
        directory(bind_dn="cn=gateway,dc=demo,dc=example")


def test_a_password_file_needs_its_service_account() -> None:
    with pytest.raises(ValidationError, match="go together"):
        directory(bind_password_file="/etc/slurm-gateway/ldap-password")


def test_a_server_that_is_none_is_one_problem() -> None:
    with pytest.raises(ValidationError) as caught:
        directory(urls=["LDAP://x"])
    assert caught.value.error_count() == 1


def test_a_directory_has_a_server() -> None:
    with pytest.raises(ValidationError, match="names no server"):
        directory(urls=[])


@pytest.mark.parametrize("keys", [{}, {"jwt_key_file": "/a", "jwt_private_key_file": "/b", "jwt_kid": "k"}])
def test_a_cluster_has_exactly_one_key(keys: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either jwt_key_file"):
        cluster(**keys)


def test_an_rsa_key_needs_the_id_that_slurm_finds_it_by() -> None:
    with pytest.raises(ValidationError, match="go together"):
        cluster(jwt_private_key_file="/etc/slurm/jwt.pem")


def test_the_id_of_a_key_goes_with_an_rsa_key() -> None:
    with pytest.raises(ValidationError, match="go together"):
        cluster(jwt_key_file="/etc/slurm/jwt.key", jwt_kid="k")


@pytest.mark.parametrize("keys", [{"jwt_key_file": "/a"}, {"jwt_private_key_file": "/b", "jwt_kid": "k"}])
def test_a_cluster_has_a_key_of_either_kind(keys: dict[str, str]) -> None:
    assert str(cluster(**keys).url) == "unix:/run/slurmrestd.sock"


def test_the_pool_leaves_slurmrestd_room_for_others() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        cluster(jwt_key_file="/a", pool=124)


def test_without_further_word_everything_has_its_documented_default() -> None:
    config = Config.model_validate(TREE)
    assert (config.sessions.lifetime, config.sessions.idle, config.totp.window, config.slurm.token_lifetime, config.slurm.minimum_uid) == (
        43200,
        3600,
        1,
        60,
        1000,
    )


def test_active_directory_has_other_defaults() -> None:
    found = directory(kind="active_directory")
    assert (found.login_attribute, found.name_attribute, found.nested_groups) == ("sAMAccountName", "sAMAccountName", True)
    assert found.user_filter == "(&(objectCategory=person)(objectClass=user))"
    assert (directory().login_attribute, directory().nested_groups) == ("uid", False)


def test_what_is_set_for_active_directory_holds_but_nested_groups_are_always_followed() -> None:
    found = directory(kind="active_directory", login_attribute="mail", name_attribute="uid", user_filter="(uid=*)", nested_groups=False)
    assert (found.login_attribute, found.name_attribute, found.user_filter, found.nested_groups) == ("mail", "uid", "(uid=*)", True)


def test_no_group_takes_the_required_ones_name() -> None:
    with pytest.raises(ValidationError, match="required_group"):
        directory(groups={"required": "cn=anybody,dc=demo,dc=example"})


@pytest.mark.parametrize("kinds", [["totp"], ["radius"], ["totp", "radius"]])
def test_second_factors_stand_in_an_order_in_which_each_is_asked(kinds: list[str]) -> None:
    assert SecondFactor.model_validate({"kinds": kinds}).kinds == tuple(kinds)


@pytest.mark.parametrize("kinds", [[], ["totp", "totp"], ["radius", "totp"], ["sms"]])
def test_a_second_factor_that_is_never_asked_is_a_mistake(kinds: list[str]) -> None:
    with pytest.raises(ValidationError):
        SecondFactor.model_validate({"kinds": kinds})


ORIGINS = [
    "https://portal.example.org",
    "https://portal:8443",
    "http://localhost:3000",
    "http://127.0.0.1",
    "http://[::1]:8080",
    "https://xn--bcher-kva.example",
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_origin_is_what_a_browser_sends(origin: str) -> None:
    assert Cors.model_validate({"origins": [origin]}).origins == (origin,)


NO_ORIGINS = {
    "*": "'*' is not taken",
    "null": "must be scheme",
    "": "must be scheme",
    "https://portal.example.org/": "must be scheme",
    "https://portal.example.org/app": "must be scheme",
    "https://Portal.example.org": "must be scheme",
    "HTTPS://portal.example.org": "must be scheme",
    "portal.example.org": "must be scheme",
    "https://*.example.org": "must be scheme",
    "https://a.example.org https://b.example.org": "must be scheme",
    "https://user@portal.example.org": "must be scheme",
    "https://portal.example.org\r\nSet-Cookie: a=b": "must be scheme",
    "https://portal.example.org\n": "must be scheme",
    "https://b\u00fccher.example": "must be scheme",
    "https://portal.example.org:": "must be scheme",
    "https://portal.example.org:08443": "must be scheme",
    "https://portal.example.org:65536": "must be scheme",
    "https://" + "a." * 130 + "org": "must be scheme",
    "chrome-extension://abcdef": "must be scheme",
    "https://portal.example.org:443": "browsers leave out",
    "http://localhost:80": "browsers leave out",
    "http://portal.example.org": "not on this machine",
    "http://localhost.example.org": "not on this machine",
}


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_what_no_browser_would_send_or_nobody_should_trust_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(NO_ORIGINS[origin])):
        Cors.model_validate({"origins": [origin]})
