from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.load import ConfigurationError, Problem, load, locate, parse

GOOD = """\
# The gateway of the demo.
[server]
listen = "unix:/run/slurm-gateway/http.sock"
[store]
url = "sqlite:////var/lib/slurm-gateway/gateway.db"
key_ring_file = "/etc/slurm-gateway/ring"

[directory]
urls = ["ldaps://ldap.demo.example"]
user_base = "ou=people,dc=demo,dc=example"

[slurm]
default_cluster = "main"

[clusters.main]
url = "unix:/run/slurmrestd.sock"
jwt_key_file = "/etc/slurm/jwt.key"
"""
KEYS = st.lists(st.text(string.ascii_letters + string.digits + "_-", min_size=1), min_size=1, max_size=3)


def problems(source: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse(source, "gateway.toml")
    return caught.value.problems


def test_a_file_with_what_is_required_is_a_configuration() -> None:
    config = parse(GOOD, "gateway.toml")
    assert (config.slurm.default_cluster, list(config.clusters), config.sessions.idle) == ("main", ["main"], 3600)


def test_a_mistyped_setting_is_named_with_its_line() -> None:
    (problem,) = problems(GOOD.replace("default_cluster", 'slurm_usr = "x"\ndefault_cluster'))
    assert str(problem) == "gateway.toml:13: slurm.slurm_usr: there is no such setting; README.md lists them all"


def test_a_missing_setting_is_named_with_the_line_of_its_table() -> None:
    (problem,) = problems(GOOD.replace('user_base = "ou=people,dc=demo,dc=example"', ""))
    assert str(problem) == "gateway.toml:8: directory.user_base: is missing"


def test_every_problem_comes_at_once() -> None:
    bad = GOOD.replace('"ou=people,dc=demo,dc=example"', '""').replace("/etc/slurm-gateway/ring", "ring").replace("unix:/run/slurmrestd.sock", "x")
    assert {(problem.place, problem.key) for problem in problems(bad)} == {
        ("gateway.toml:6", "store.key_ring_file"),
        ("gateway.toml:10", "directory.user_base"),
        ("gateway.toml:16", "clusters.main.url"),
    }


def test_an_empty_file_is_told_every_table_that_it_lacks() -> None:
    assert [problem.key for problem in problems("")] == ["server", "store", "directory", "slurm", "clusters"]


def test_a_file_that_is_no_toml_is_told_the_line() -> None:
    (problem,) = problems("[server]\nlisten = unix:/run/x\n")
    assert str(problem) == "gateway.toml:2: Invalid value"


def test_a_problem_does_not_repeat_what_was_typed() -> None:
    assert not any("hunter2" in str(problem) for problem in problems(GOOD + 'pool = "hunter2"\njwt_kid = 7\nhunter = "hunter2"\n'))


def test_the_error_says_all_problems_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^gateway\.toml:1: server: is missing; gateway\.toml:1: store: is missing; "):
        parse("", "gateway.toml")


def test_a_default_cluster_that_is_none_of_the_clusters_is_refused() -> None:
    (problem,) = problems(GOOD.replace('"main"', '"other"'))
    assert str(problem) == "gateway.toml:1: slurm.default_cluster names none of the clusters: main"


@pytest.mark.parametrize("name", ["Main", "-main", "a/b", "", "a" * 41])
def test_a_cluster_whose_name_is_no_piece_of_a_path_is_refused(name: str) -> None:
    (problem,) = problems(GOOD.replace("[clusters.main]", f'[clusters."{name}"]').replace('"main"', f'"{name}"'))
    assert problem.key == f"clusters.{name}"


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("server",), 2),
        (("server", "listen"), 3),
        (("server", "workers"), 2),
        (("clusters",), 1),
        (("clusters", "main", "url"), 16),
        (("clusters", "main", "pool"), 15),
        (("clusters", "other"), 1),
        (("log", "level"), 1),
        ((), 1),
    ],
)
def test_a_setting_is_found_or_else_the_nearest_table_above_it(key: tuple[str, ...], line: int) -> None:
    assert locate(GOOD, key) == line


@pytest.mark.parametrize(
    ("source", "key", "line"),
    [
        ("a = 1\n[ b ] # note\nc = 2", ("b", "c"), 3),
        ("b.c = 1\nb.d = 2", ("b", "d"), 2),
        ("[\"b\"]\n'c' = 1", ("b", "c"), 2),
        ("# b = 1\nb = 2", ("b",), 2),
        ("b = { c = 1 }", ("b", "c"), 1),
        ("[b]\nc = 1\n[d]\nc = 1", ("d", "c"), 4),
    ],
)
def test_a_setting_is_found_in_each_way_that_toml_spells_it(source: str, key: tuple[str, ...], line: int) -> None:
    assert locate(source, key) == line


@given(st.text(), KEYS)
def test_a_place_is_always_a_line_of_the_file(source: str, key: list[str]) -> None:
    assert 1 <= locate(source, tuple(key)) <= max(1, len(source.splitlines()))


@given(st.text(), KEYS)
def test_a_setting_is_found_behind_whatever_comments_come_before_it(comment: str, key: list[str]) -> None:
    lines = [f"# {line}" for line in comment.splitlines()]
    assert locate("\n".join([*lines, f"{'.'.join(key)} = 1"]), tuple(key)) == len(lines) + 1


@given(st.text(alphabet="[]{}=\"'#.,:-+0123456789 \n\ta\u00e9\\"))
def test_whatever_the_file_says_is_refused_in_our_own_words(source: str) -> None:
    assert all(problem.place.startswith("gateway.toml:") and problem.text for problem in problems(source))


def test_a_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    assert load(path) == parse(GOOD, "gateway.toml")


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\xff\xfe[server]", "is not UTF-8"), (b"#" * (1024 * 1024 + 1), "is larger than 1 MiB, which no configuration is")],
)
def test_a_file_that_cannot_be_a_configuration_is_refused(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {text}"


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml: cannot be read: No such file"):
        load(tmp_path / "absent.toml")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("source", ["a = " + "1" * 5000, "a = " + "[" * 50_000])
def test_what_no_parser_should_be_asked_is_refused_in_one_line(source: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(source, "gateway.toml")
    assert len(caught.value.problems) == 1


def test_a_line_separator_that_toml_does_not_know_moves_no_line() -> None:
    assert locate("# \u2028\n[server]\nlisten = 1\n", ("server", "listen")) == 3


def test_what_is_right_of_a_file_is_known_whatever_else_is_wrong() -> None:
    source = GOOD.replace('default_cluster = "', 'default_cluster = "not-', 1) + "\n[server.nonsense]\nx = 1\n"
    with pytest.raises(ConfigurationError) as caught:
        parse(source, "gateway.toml")
    assert "slurm.default_cluster" in {problem.key for problem in caught.value.problems}
    assert (caught.value.parts.server, caught.value.parts.store is None) == (None, False)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("p", "r", "0"), 1),
        (("p", "r", "0", "a"), 2),
        (("p", "r", "1"), 3),
        (("p", "r", "1", "a", "0"), 5),
        (("p", "r", "2", "a"), 7),
        (("q", "0"), 1),
    ],
)
def test_a_table_of_a_list_is_found_by_its_number(key: tuple[str, ...], line: int) -> None:
    assert locate("[[p.r]]\na = 1\n [[ p.r ]] # note\nb = 1\na = [\n1]\n[[p.r]]\n[[p.x]]\na = 1\n", key) == line


RADIUS = '[second_factor]\nkinds = ["radius"]\n'


def test_radius_needs_a_server_and_a_secret() -> None:
    (problem,) = problems(GOOD + RADIUS)
    assert "radius.servers and radius.secret_file must be given" in problem.text


def test_a_unix_account_does_not_take_the_place_of_what_radius_asks() -> None:
    server = '[radius]\nservers = ["127.0.0.1:1812"]\nsecret_file = "/etc/slurm-gateway/radius"\n[enrolment]\nways = ["munge"]\n'
    (problem,) = problems(GOOD + RADIUS + server)
    assert "enrolment.ways has munge" in problem.text
