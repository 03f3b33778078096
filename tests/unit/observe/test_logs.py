from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway.observe import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged; everything is put back as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in ("alembic", "asyncio")}
    yield io.StringIO()
    root.handlers[:], root.level, levels = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_time_and_level(stream: io.StringIO) -> None:
    logs.set_up("info", stream)
    structlog.get_logger().info("serving", pid=7)
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["pid"], str(line["timestamp"])[-1]) == ("serving", "info", 7, "Z")


def test_a_librarys_event_has_the_same_form(stream: io.StringIO) -> None:
    logs.set_up("info", stream)
    logging.getLogger("some.library").warning("it is %s", "late")
    (line,) = lines(stream)
    assert (line["event"], line["level"], "timestamp" in line) == ("it is late", "warning", True)


@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_events_below_the_level_are_left_out(stream: io.StringIO, level: str, told: int) -> None:
    logs.set_up(level, stream)
    for logger in (structlog.get_logger(), logging.getLogger("some.library")):
        for name in ("debug", "info", "warning", "error"):
            getattr(logger, name)("event")
    assert len(lines(stream)) == 2 * told


@pytest.mark.parametrize("name", ["alembic", "asyncio"])
def test_the_ordinary_doings_of_chatty_libraries_are_left_out(stream: io.StringIO, name: str) -> None:
    logs.set_up("debug", stream)
    logging.getLogger(name).info("doing")
    logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]


def fail(secret: str) -> None:
    raise ValueError(f"the text with {secret}")


@pytest.mark.parametrize("whose", ["structlog", "library"])
def test_an_exception_is_its_class_and_frames_without_its_text(stream: io.StringIO, whose: str) -> None:
    logs.set_up("info", stream)
    logger = structlog.get_logger() if whose == "structlog" else logging.getLogger("some.library")
    try:
        fail("hunter2")
    except ValueError:
        logger.exception("failed")
    (line,) = lines(stream)
    frames = line["frames"]
    assert isinstance(frames, list)
    assert (line["exception"], frames[-1].endswith(" fail"), "hunter2" in stream.getvalue()) == ("ValueError", True, False)


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31m", "\u2028", "é", "\udcff"])
def test_no_value_can_begin_a_line_of_its_own(stream: io.StringIO, text: str) -> None:
    logs.set_up("info", stream)
    structlog.get_logger().info("request", path=text)
    assert (stream.getvalue().count("\n"), stream.getvalue().isascii(), lines(stream)[0]["path"]) == (1, True, text)
