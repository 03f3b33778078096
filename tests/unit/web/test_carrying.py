"""What is made of an answer. The way there is in tests/web/test_carrying.py and test_streaming.py."""

from __future__ import annotations

from gateway.web.carrying import Answer


def test_an_answer_goes_out_as_it_came() -> None:
    response = Answer(status=500, headers={"Content-Type": "application/json", "Retry-After": "5"}, content=b'{"errors":[]}').response()
    assert (response.status, response.content_type, response.headers["Retry-After"], response.body) == (
        500,
        "application/json",
        "5",
        b'{"errors":[]}',
    )
