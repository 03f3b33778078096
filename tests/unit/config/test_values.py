from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.config.values import (
    AbsolutePath,
    Duration,
    Endpoint,
    Networks,
    Size,
    duration_text,
    parse_duration,
    parse_endpoint,
    parse_size,
    parse_upstream,
    size_text,
)

ANYTHING = st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.integers()), st.binary())
NO_DURATIONS = [
    "",
    "5",
    "5 m",
    " 5m",
    "5m ",
    "5M",
    "-5m",
    "+5m",
    "1e3s",
    "5m\n",
    ".5s",
    "5.s",
    "0.0001s",
    "\u0665m",
    "5mm",
    "1h30m",
    "9999999999s",
    5,
    5.0,
    None,
]
NO_SIZES = ["", "5", "5 MiB", "5MB", "5mib", "-5B", "1.5MiB", "5B\n", "٥B", "9999999999999B", 5, None]  # noqa: RUF001 - as above
NO_ADDRESSES = [
    "",
    "8080",
    ":8080",
    "localhost",
    "localhost:",
    "localhost:0",
    "localhost:65536",
    "localhost:-1",
    "localhost:８０",  # noqa: RUF001 - full-width digits
    "local host:80",
    "localhost:80\n",
    "::1:80",
    "[::1]",
    "unix:",
    "unix:relative",
    "unix:/a\0b",
    "unix:/" + "a" * 107,
    "unix:/" + "é" * 54,
    8080,
    None,
]


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("60s", 60), ("5m", 300), ("12h", 43200), ("1d", 86400), ("1.5s", 1.5), ("0.25h", 900)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        parse_duration(text)


@given(ANYTHING)
def test_whatever_stands_for_a_duration_is_read_or_refused(value: object) -> None:
    try:
        assert parse_duration(value) >= 0
    except ValueError as error:
        assert "with its unit" in str(error)  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize("text", ["0s", "0ms", "0.000d"])
def test_a_setting_lasts_longer_than_no_time(text: str) -> None:
    with pytest.raises(ValidationError, match="more than zero"):
        TypeAdapter(Duration).validate_python(text)


@given(st.integers(1, 10**9))
def test_a_duration_is_written_as_it_would_be_read(milliseconds: int) -> None:
    assert parse_duration(duration_text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "500ms"), (1.0, "1s"), (90.0, "90s"), (300.0, "5m"), (5400.0, "90m"), (43200.0, "12h"), (86400.0, "1d")]
)
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("text", "count"), [("4096B", 4096), ("64KiB", 65536), ("50MiB", 52428800), ("1GiB", 1073741824)])
def test_a_size_is_read_in_bytes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        parse_size(text)


@given(ANYTHING)
def test_whatever_stands_for_a_size_is_read_or_refused(value: object) -> None:
    try:
        assert parse_size(value) >= 0
    except ValueError as error:
        assert "with its unit" in str(error)  # noqa: PT017 - both outcomes are right


def test_a_setting_is_larger_than_no_bytes() -> None:
    with pytest.raises(ValidationError, match="more than zero"):
        TypeAdapter(Size).validate_python("0B")


@given(st.integers(0, 10**11))
def test_a_size_is_written_as_it_would_be_read(count: int) -> None:
    assert parse_size(size_text(count)) == count


@pytest.mark.parametrize(("count", "text"), [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1536B"), (52428800, "50MiB"), (1073741824, "1GiB")])
def test_a_size_is_written_in_the_largest_unit_that_divides_it(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("unix:/run/slurm-gateway/http.sock", Endpoint(path="/run/slurm-gateway/http.sock")),
        ("unix:/" + "a" * 106, Endpoint(path="/" + "a" * 106)),
        ("127.0.0.1:8080", Endpoint(host="127.0.0.1", port=8080)),
        ("gateway.example:1", Endpoint(host="gateway.example", port=1)),
        ("[::1]:65535", Endpoint(host="::1", port=65535)),
    ],
)
def test_an_address_is_a_unix_socket_or_a_host_and_a_port(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="unix"):
        parse_endpoint(text)


@given(st.one_of(ANYTHING, st.text().map("unix:/".__add__), st.text(alphabet="[]:.-0123456789abz")))
def test_an_address_is_written_as_it_would_be_read(value: object) -> None:
    try:
        endpoint = parse_endpoint(value)
    except ValueError:
        return
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("unix:/run/slurmrestd.sock", Endpoint(path="/run/slurmrestd.sock")),
        ("http://127.0.0.1:6820", Endpoint(host="127.0.0.1", port=6820)),
        ("http://[::1]:6820/", Endpoint(host="::1", port=6820)),
    ],
)
def test_slurmrestd_is_reached_by_a_unix_socket_or_http(text: str, endpoint: Endpoint) -> None:
    assert parse_upstream(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1:6820", "https://127.0.0.1:6820", "http://127.0.0.1", "http://host:1/slurm", "http://u@host:1", "HTTP://host:1", 1, None]
)
def test_slurmrestd_is_reached_in_no_other_way(text: object) -> None:
    with pytest.raises(ValueError, match="is written"):
        parse_upstream(text)


@pytest.mark.parametrize("text", ["", "relative", "~/key", "./key", "/a\0b", 1, None])
def test_what_is_no_absolute_path_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match="absolute path"):
        TypeAdapter(AbsolutePath).validate_python(text)


@pytest.mark.parametrize("text", ["192.0.2.0/24", "2001:db8::/32", "127.0.0.1/32"])
def test_a_network_is_read_as_it_is_written(text: str) -> None:
    assert str(TypeAdapter(Networks).validate_python(text)) == text


@pytest.mark.parametrize("text", ["192.0.2.1/24", "192.0.2.0/33", "nginx", "", 3221225985, None])
def test_what_is_no_network_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Networks).validate_python(text)


@pytest.mark.parametrize("text", ["[::::]:80", "[fe80]:1"])
def test_what_only_looks_like_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an address is written"):
        parse_endpoint(text)


def test_http_over_a_unix_socket_is_not_written_so() -> None:
    with pytest.raises(ValueError, match="slurmrestd"):
        parse_upstream("http://unix:/run/x")
