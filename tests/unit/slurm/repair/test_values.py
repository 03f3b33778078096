from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.repair import values
from gateway.slurm.repair.values import Ambiguous, Convert, NotOurs, Raw

CONVERTERS: list[Convert] = [
    values.as_it_is,
    values.plain,
    values.plain_minutes,
    values.plain_memory,
    values.moment,
    values.minutes,
    values.mail_flags,
    values.mail_text,
    values.open_mode_text,
    values.shared_from_exclusive,
    values.shared_from_exclusive_of_words,
    values.exclusive_from_shared,
    values.exclusive_word,
    values.shared_from_oversubscribe,
    values.exclusive_from_oversubscribe,
    values.no_requeue,
    values.comma_list,
    values.gpu_counts,
    values.per_gpu,
    values.tres_from_gres,
]
FOR_EVER = {"set": False, "infinite": True, "number": 0}
JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.sampled_from(["END", "1:00"])),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(st.one_of(st.text(), st.sampled_from(["set", "number", "infinite"])), children, max_size=4),
    ),
    max_leaves=8,
)


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def convert(converter: Convert, value: object) -> object:
    result = converter(raw(value))
    return None if result is None else json.loads(bytes(result))


@pytest.mark.parametrize(
    ("converter", "value", "expected"),
    [
        (values.plain, 5, 5),
        (values.plain, "2G", "2G"),
        (values.plain, None, None),
        (values.plain, {"set": True, "infinite": False, "number": 5}, 5),
        (values.plain, {"set": True, "number": 18446744073709551}, 18446744073709551),
        (values.plain, {"set": False, "infinite": False, "number": 5}, None),
        (values.plain, {"number": 5}, None),
        (values.plain, {"set": True, "number": 0}, 0),
        (values.plain_minutes, {"set": False, "infinite": True, "number": 0}, "UNLIMITED"),
        (values.plain_memory, {"set": False, "infinite": True, "number": 0}, 0),
        (values.moment, {"set": True, "infinite": False, "number": 1900000000}, "uts1900000000"),
        (values.moment, {"set": True, "infinite": False, "number": 0}, None),
        (values.moment, {"set": False}, None),
        (values.moment, 1900000000, "uts1900000000"),
        (values.minutes, "60", "60"),
        (values.minutes, "60:00", 60),
        (values.minutes, "60:01", 61),
        (values.minutes, "1:00:00", 60),
        (values.minutes, "1-00", 1440),
        (values.minutes, "1-02:03", 1563),
        (values.minutes, "1-02:03:04", 1564),
        (values.minutes, "UNLIMITED", FOR_EVER),
        (values.minutes, "-1", FOR_EVER),
        (values.minutes, "0:00", FOR_EVER),
        (values.mail_flags, "END", "END"),
        (values.mail_flags, "end", ["END"]),
        (values.mail_flags, "END,FAIL", ["END", "FAIL"]),
        (values.mail_flags, "TIME_LIMIT_80", ["TIME=80%"]),
        (values.mail_flags, "ALL", ["INVALID_DEPENDENCY", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT"]),
        (values.mail_flags, "NONE", []),
        (values.mail_text, ["END", "TIME=50%"], "END,TIME_LIMIT_50"),
        (values.mail_text, [], "NONE"),
        (values.mail_text, "END", "END"),
        (values.open_mode_text, ["APPEND"], "append"),
        (values.open_mode_text, "append", "append"),
        (values.shared_from_exclusive, "user", ["user"]),
        (values.shared_from_exclusive, ["true"], ["none"]),
        (values.shared_from_exclusive, True, ["none"]),
        (values.shared_from_exclusive, "exclusive", ["none"]),
        (values.shared_from_exclusive_of_words, "exclusive", ["none"]),
        (values.exclusive_from_shared, ["none"], "exclusive"),
        (values.exclusive_from_shared, "mcs", "mcs"),
        (values.exclusive_word, True, "exclusive"),
        (values.exclusive_word, "true", "exclusive"),
        (values.exclusive_word, ["user"], "user"),
        (values.shared_from_oversubscribe, True, ["oversubscribe"]),
        (values.exclusive_from_oversubscribe, True, "oversubscribe"),
        (values.no_requeue, False, True),
        (values.comma_list, ["n1", "n2"], "n1,n2"),
        (values.comma_list, "n[1-2]", "n[1-2]"),
        (values.gpu_counts, 2, "gres/gpu:2"),
        (values.gpu_counts, "a100:1,v100:2", "gres/gpu:a100:1,gres/gpu:v100:2"),
        (values.per_gpu, 4, "gres/gpu:4"),
        (values.per_gpu, "4", "gres/gpu:4"),
        (values.tres_from_gres, "gpu:2,shard:1", "gres/gpu:2,gres/shard:1"),
        (values.tres_from_gres, "gres/gpu:2", "gres/gpu:2"),
    ],
)
def test_a_value_gets_its_other_form(converter: Convert, value: object, expected: object) -> None:
    assert convert(converter, value) == expected


@pytest.mark.parametrize(
    ("converter", "value"),
    [
        (values.plain, {"set": False, "infinite": True, "number": 0}),
        (values.plain, {"set": True, "number": 1.5}),
        (values.plain, {"set": True, "number": "5"}),
        (values.plain, {"set": True}),
        (values.plain, {"set": "true", "number": 5}),
        (values.plain, {"set": True, "number": 5, "more": 1}),
        (values.plain, {"set": True, "number": 10**30}),
        (values.moment, "now+1hour"),
        (values.moment, 120125),
        (values.moment, {"set": True, "number": 100}),
        (values.minutes, 60),
        (values.minutes, "an hour"),
        (values.minutes, "1:2:3:4"),
        (values.minutes, "1-2-3"),
        (values.minutes, "1:٣"),
        (values.mail_flags, "SOMETIMES"),
        (values.mail_flags, ["END"]),
        (values.mail_flags, ""),
        (values.mail_text, ["SOMETIMES"]),
        (values.mail_text, [1]),
        (values.open_mode_text, ["APPEND", "TRUNCATE"]),
        (values.open_mode_text, []),
        (values.shared_from_exclusive, False),
        (values.shared_from_exclusive, "false"),
        (values.shared_from_exclusive, ["user", "mcs"]),
        (values.shared_from_exclusive_of_words, "user"),
        (values.exclusive_from_shared, ["topo"]),
        (values.exclusive_word, "exclusive"),
        (values.exclusive_word, "false"),
        (values.shared_from_oversubscribe, False),
        (values.exclusive_from_oversubscribe, "true"),
        (values.no_requeue, True),
        (values.comma_list, []),
        (values.comma_list, ["n1,n2"]),
        (values.comma_list, [""]),
        (values.gpu_counts, "2 or 3"),
        (values.gpu_counts, None),
        (values.per_gpu, "2G"),
        (values.tres_from_gres, "none"),
        (values.tres_from_gres, "gpu:2;rm"),
    ],
)
def test_a_value_without_a_certain_other_form_stays(converter: Convert, value: object) -> None:
    with pytest.raises(NotOurs):
        converter(raw(value))


def test_no_time_at_all_is_not_made_unlimited_time() -> None:
    with pytest.raises(Ambiguous):
        values.plain_minutes(raw({"set": True, "infinite": False, "number": 0}))


@pytest.mark.parametrize("value", [{"set": True, "infinite": False, "number": 5}, "1:00:00", ["END"], {"a": [1.5]}])
def test_digits_and_spelling_are_kept_where_only_the_name_changes(value: object) -> None:
    given_value = raw(value)
    assert values.as_it_is(given_value) is given_value


@pytest.mark.parametrize(
    ("one", "other", "expected"), [('"a"', '"\\u0061"', True), ("1", "1", True), ("1", '"1"', False), ("1", "1.0", False), ("[1]", "[1 ]", False)]
)
def test_values_are_the_same_only_where_that_is_certain(one: str, other: str, expected: bool) -> None:
    assert values.same(Raw(one.encode()), Raw(other.encode())) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("USR1@60", ("USR1", 60, [])),
        ("10", ("10", 60, [])),
        ("TERM@5", ("TERM", 5, [])),
        ("B:USR1@60", ("USR1", 60, ["BATCH_JOB"])),
        ("r:BUS", ("BUS", 60, ["RESERVATION_JOB"])),
    ],
)
def test_a_signal_has_a_name_seconds_and_whom_it_goes_to(value: str, expected: tuple[str, int, list[str]]) -> None:
    assert values.signal_parts(raw(value)) == expected


@pytest.mark.parametrize("value", ["BUSR1@60", "X:USR1", "", "@60", "USR1@", "USR1@x", 10, None])
def test_another_signal_is_not_taken_apart(value: object) -> None:
    with pytest.raises(NotOurs):
        values.signal_parts(raw(value))


@given(st.sampled_from(CONVERTERS), JSONS)
def test_any_json_is_converted_or_left(converter: Convert, value: object) -> None:
    try:
        result = converter(raw(value))
    except (NotOurs, Ambiguous):
        return
    assert result is None or json.loads(bytes(result)) is not ...


@given(st.integers(1, 10**6), st.integers(0, 59), st.integers(0, 23), st.integers(0, 1000))
def test_minutes_are_those_of_slurm(mins: int, seconds: int, hours: int, days: int) -> None:
    assert convert(values.minutes, f"{mins}:{seconds:02}") == mins + (seconds > 0)
    assert convert(values.minutes, f"{days}-{hours}:{mins}:{seconds}") == days * 1440 + hours * 60 + mins + (seconds > 0)


@given(st.lists(st.sampled_from(["BEGIN", "END", "FAIL", "TIME=90%", "INVALID_DEPENDENCY", "ARRAY_TASKS"]), min_size=2, unique=True))
def test_mail_flags_come_back(flags: list[str]) -> None:
    assert convert(values.mail_flags, convert(values.mail_text, flags)) == flags
