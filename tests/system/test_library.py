"""The library against the real sites: signing in, submitting, waiting, listening, on both generations of Slurm, blocking and awaiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client import AsyncGateway, Event, Gateway, GatewayError, Job, JobForgottenError, RefusedError, SlurmRefusedError, WaitTimeoutError
from gateway.client.errors import NotSignedInError
from gateway.secret import Secret
from tests.system.conftest import raised
from tests.system.people import signed_in
from tests.system.support import Site, wait_for

USER = "adele"


@pytest.fixture
def gateway(either: Site) -> Iterator[Gateway]:
    with open_at(either) as found:
        yield found


def open_at(site: Site, **settings: Any) -> Gateway:
    return Gateway(site.told["url"], ca=site.told["ca_file"], token=site.token(USER), **settings)


def job(site: Site, script: str, **more: Any) -> dict[str, Any]:
    """A job in the form of the newest versions, whatever the site's is: the gateway brings it into that."""
    return {"job": {**site.job(USER, **more), "script": f"#!/bin/sh\n{script}\n"}}


# Signing in.


def test_signing_in_a_token_for_scripts_and_signing_out(either: Site) -> None:
    code = either.fresh_code(USER)
    with Gateway(either.told["url"], ca=either.told["ca_file"]) as gateway:
        signed_in = gateway.login(USER, either.password(USER), code)
        assert signed_in.username == gateway.username == USER
        assert signed_in.expires_in > 3600
        session = gateway.session()
        assert (session.username, session.kind) == (USER, "session")
        made = gateway.create_token("library", scopes=["read"], expires_in=600)
        assert [token.id for token in gateway.tokens() if token.name == "library"] == [made.id]
        with Gateway(either.told["url"], ca=either.told["ca_file"], token=made.token) as script:
            assert script.session().kind == "token"
            assert script.ping()["pings"]
            with pytest.raises(RefusedError) as caught:
                script.cancel(1)
            assert caught.value.reason == "not_permitted"
        gateway.revoke_token(made.id)
        assert [token.id for token in gateway.tokens() if token.name == "library"] == []
        old = gateway.token
        gateway.logout()
        assert gateway.token is None
    with Gateway(either.told["url"], ca=either.told["ca_file"], token=old) as gateway:
        with pytest.raises(RefusedError) as caught:
            gateway.session()
        assert caught.value.reason == "token_refused"
        gateway.logout()  # what has ended is ended


def test_a_used_code_is_refused_and_not_tried_again(site: Site) -> None:
    code = site.fresh_code(USER)
    with Gateway(site.told["url"], ca=site.told["ca_file"]) as gateway:
        gateway.login(USER, site.password(USER), code)
        with pytest.raises(RefusedError) as caught:
            gateway.login(USER, site.password(USER), code)
    assert caught.value.reason == "credentials_refused"
    assert "works once" in caught.value.hint


def test_a_session_that_has_ended_is_begun_anew_in_the_middle_of_a_submission(either: Site) -> None:
    asked: list[str] = []

    def prove(error: GatewayError) -> Secret:
        asked.append(error.reason)
        return Secret(either.token(USER).encode())

    with Gateway(either.told["url"], ca=either.told["ca_file"], token="sgw_" + "0" * 49, prove=prove) as gateway:
        submitted = gateway.submit(job(either, "true"))
        assert gateway.wait(submitted.job_id)[0].succeeded
    assert asked == ["token_refused"]


def test_what_login_kept_is_what_a_program_goes_on_with(either: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(NotSignedInError) as caught:
        Gateway.from_site()
    assert caught.value.hint == "Sign in first: slurm-gateway login URL"
    signed_in(either, USER, tmp_path)
    with Gateway.from_site() as gateway:
        assert gateway.username == USER


# Jobs.


@pytest.mark.parametrize(("script", "state", "code"), [("exit 0", "COMPLETED", 0), ("exit 7", "FAILED", 7), ("kill -9 $$", "FAILED", 137)])
def test_a_job_is_submitted_and_waited_for(either: Site, gateway: Gateway, script: str, state: str, code: int) -> None:
    submitted = gateway.submit(job(either, script, name="library"))
    [ended] = gateway.wait(submitted.job_id, timeout=60)
    assert (ended.state, ended.exit_code, ended.name) == (state, code, "library")
    assert ended.ended_at is not None
    assert submitted.job_id in {found.id for found in gateway.jobs()}
    assert [found.id for found in gateway.jobs(states=[state]) if found.id == submitted.job_id] == [submitted.job_id]


def test_the_same_key_is_the_same_job(either: Site, gateway: Gateway) -> None:
    tree = job(either, "true")
    key = f"library-{time.time_ns()}"
    assert gateway.submit(tree, key=key).job_id == gateway.submit(tree, key=key).job_id


def test_several_jobs_and_an_array_are_waited_for_together(either: Site, gateway: Gateway) -> None:
    one = gateway.submit(job(either, "exit 1"))
    many = gateway.submit(job(either, "exit $SLURM_ARRAY_TASK_ID", array="0-2"))
    ended = gateway.wait(one.job_id, many.job_id, timeout=90)
    assert sorted(found.exit_code or 0 for found in ended if found.array_job_id == many.job_id) == [0, 1, 2]
    assert [found.exit_code for found in ended if found.id == one.job_id] == [1]


def test_waiting_ends_in_time_and_the_job_goes_on(either: Site, gateway: Gateway) -> None:
    submitted = gateway.submit(job(either, "sleep 300", time_limit=5))
    gateway.wait(submitted.job_id, until="started", timeout=60)
    began = time.monotonic()
    with pytest.raises(WaitTimeoutError) as caught:
        gateway.wait(submitted.job_id, timeout=2)
    assert 1.5 < time.monotonic() - began < 6
    assert caught.value.reason == "wait_timeout"
    gateway.cancel(submitted.job_id)
    gateway.cancel(submitted.job_id)  # twice is once
    [ended] = gateway.wait(submitted.job_id, timeout=60)
    assert ended.state == "CANCELLED"
    gateway.cancel(submitted.job_id)  # to cancel what has ended is nothing


def test_an_unknown_job_is_told_from_one_that_is_forgotten_by_nobody(gateway: Gateway) -> None:
    with pytest.raises(JobForgottenError) as caught:
        gateway.job(999_999)
    assert caught.value.reason == "job_forgotten"
    assert "MinJobAge" in caught.value.hint
    with pytest.raises(JobForgottenError):
        gateway.wait(999_999)
    with pytest.raises(SlurmRefusedError) as refused:
        gateway.cancel(999_999)
    assert refused.value.hint


def test_slurms_refusal_of_a_job_says_what_to_do(either: Site, gateway: Gateway) -> None:
    with pytest.raises(SlurmRefusedError) as caught:
        gateway.submit(job(either, "true", partition="nowhere"))
    assert "partition" in f"{caught.value}{caught.value.hint}".lower()
    assert caught.value.request_id


def test_nodes_and_partitions_are_there(either: Site, gateway: Gateway) -> None:
    [node] = gateway.nodes()
    assert node.cpus
    assert either.partition() in {partition.name for partition in gateway.partitions()}


def test_each_version_that_the_cluster_serves_tells_the_same_job(either: Site, gateway: Gateway) -> None:
    submitted = gateway.submit(job(either, "exit 5", name="versions"))
    gateway.wait(submitted.job_id, timeout=60)
    for version in either.told["api_versions"]:
        with open_at(either, version=version) as older:
            [found] = older.job(submitted.job_id)
            assert (found.state, found.exit_code, found.name, found.user_id) == ("FAILED", 5, "versions", either.uid(USER)), version


def test_a_job_that_slurmctld_has_forgotten_is_told_by_accounting(either: Site, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = gateway.submit(job(either, "exit 0", name="forgotten"))
    gateway.wait(submitted.job_id, timeout=60)
    unknown = wait_for_unknown(gateway)

    def forgets(self: Any, question: Any) -> Any:
        if question.path.startswith("/slurm/") and question.path.endswith(f"/job/{submitted.job_id}"):
            return unknown
        return exchange(self, question)

    exchange = type(gateway._connection)._exchange
    monkeypatch.setattr(type(gateway._connection), "_exchange", forgets)

    def accounted() -> Job | None:
        with contextlib.suppress(JobForgottenError):
            [found] = gateway.job(submitted.job_id)
            # 22.05 calls it so while it has heard of the job's steps alone.
            return found if found.is_over and found.name != "allocation" else None
        return None

    found = wait_for(accounted, 30, "the job's end in accounting")
    assert found is not None
    assert (found.state, found.exit_code, found.name, found.user) == ("COMPLETED", 0, "forgotten", USER)
    assert gateway.wait(submitted.job_id, timeout=10)[0].state == "COMPLETED"


def wait_for_unknown(gateway: Gateway) -> Any:
    """Return the answer that Slurm has for a job that it does not know."""
    from gateway.client.asking import Answer  # noqa: PLC0415 - for this alone

    with pytest.raises(SlurmRefusedError) as caught:
        gateway.call("GET", "/slurm/latest/job/999999")
    assert caught.value.status == 404
    return Answer(status=404, headers={"content-type": caught.value.media_type}, body=caught.value.body or b"")


# Events.


def test_events_tell_of_a_job_from_its_beginning_to_its_end(either: Site, gateway: Gateway) -> None:
    with contextlib.closing(gateway.events(user=USER)) as events, open_at(either) as other:
        assert next(events).kind == "ready"
        submitted = other.submit(job(either, "sleep 1"))
        seen = []
        for event in events:
            seen.append(event)
            if event.job_id == submitted.job_id and event.is_over:
                break
    assert [event.data["job_state"] for event in seen if event.job_id == submitted.job_id][-1] == "COMPLETED"


async def test_awaiting_does_all_of_this_at_once(either: Site) -> None:
    token = await asyncio.to_thread(either.token, USER)
    async with AsyncGateway(either.told["url"], ca=either.told["ca_file"], token=token) as gateway:
        ready, seen = asyncio.Event(), list[Event]()

        async def listen() -> None:
            async with contextlib.aclosing(gateway.events()) as events:
                async for event in events:
                    ready.set()
                    seen.append(event)

        listening = asyncio.create_task(listen())
        await asyncio.wait_for(ready.wait(), 30)
        submitted = await asyncio.gather(*(gateway.submit(job(either, f"exit {code}")) for code in range(4)))
        ended = await asyncio.gather(*(gateway.wait(one.job_id, timeout=90) for one in submitted))
        assert [jobs[0].exit_code for jobs in ended] == [0, 1, 2, 3]
        assert await gateway.username == USER
        assert {one.job_id for one in submitted} <= {found.id for found in await gateway.jobs()}
        expected = {one.job_id for one in submitted}
        await asyncio.to_thread(wait_for, lambda: expected <= {event.job_id for event in seen if event.is_over}, 20, "events of their ends")
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening


async def test_a_wait_that_is_cancelled_leaves_a_gateway_that_goes_on(either: Site) -> None:
    token = await asyncio.to_thread(either.token, USER)
    async with AsyncGateway(either.told["url"], ca=either.told["ca_file"], token=token) as gateway:
        submitted = await gateway.submit(job(either, "sleep 300", time_limit=5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await gateway.wait(submitted.job_id)
        await gateway.cancel(submitted.job_id)
        [ended] = await gateway.wait(submitted.job_id, timeout=60)
        assert ended.state == "CANCELLED"


async def test_a_queue_runs_beside_other_questions(either: Site, tmp_path: Path) -> None:
    token = await asyncio.to_thread(either.token, USER)
    for number in range(3):
        (tmp_path / f"job{number}.json").write_text(json.dumps(job(either, f"exit {number}", name=f"queued{number}")))
    async with AsyncGateway(either.told["url"], ca=either.told["ca_file"], token=token) as gateway:
        told = []
        async with contextlib.aclosing(gateway.queue(tmp_path)) as events:
            async for event in events:
                told.append(event)
                if event.kind == "submitted":
                    await gateway.ping()
    submitted = [event.job_id for event in told if event.kind == "submitted"]
    assert len(set(submitted)) == 3
    assert told[-1].kind == "finished"


async def test_a_queue_that_is_left_early_goes_on_where_it_was(either: Site, tmp_path: Path) -> None:
    token = await asyncio.to_thread(either.token, USER)
    for number in range(2):
        (tmp_path / f"job{number}.json").write_text(json.dumps(job(either, "sleep 2", name=f"left{number}")))
    submitted: list[int | None] = []
    async with AsyncGateway(either.told["url"], ca=either.told["ca_file"], token=token) as gateway:
        for early in (True, False):
            async with contextlib.aclosing(gateway.queue(tmp_path)) as events:
                async for event in events:
                    if event.kind == "submitted":
                        submitted.append(event.job_id)
                        if early:
                            break
    assert len(submitted) == len(set(submitted)) == 2


# Trouble.


@pytest.fixture
def own() -> Iterator[Site]:
    """A site of our own, whose services may be stopped."""
    with raised("SLURM_GATEWAY_TEST_STATE_OWN") as found:
        yield found


def restart(site: Site, service: str) -> None:
    """Have nobody answer for a second."""
    site.demo("stop", service)
    time.sleep(1)
    site.demo("start", service)


def test_the_gateway_and_slurmrestd_may_be_restarted_under_a_wait_and_a_stream(own: Site) -> None:
    with open_at(own, patience=60) as gateway, open_at(own, patience=60) as listener:
        submitted = gateway.submit(job(own, "sleep 12", name="outlives"))
        seen: list[Event] = []
        with contextlib.closing(listener.events(user=USER)) as events:
            seen.append(next(events))

            def listen() -> None:
                for event in events:
                    seen.append(event)
                    if event.job_id == submitted.job_id and event.is_over:
                        return

            thread = threading.Thread(target=listen)
            thread.start()
            ended: list[Job] = []
            failed: list[GatewayError] = []

            def wait() -> None:
                try:
                    ended.extend(gateway.wait(submitted.job_id, timeout=100))
                except GatewayError as error:
                    failed.append(error)

            waiting = threading.Thread(target=wait)
            waiting.start()
            with open_at(own) as third:
                third.wait(submitted.job_id, until="started", timeout=60)
                restart(own, "gateway")
                restart(own, "slurmrestd")
                again = third.submit(job(own, "exit 3"))
            waiting.join(110)
            thread.join(60)
            assert not thread.is_alive()
    assert failed == []
    assert [(found.name, found.state) for found in ended] == [("outlives", "COMPLETED")]
    assert any(event.kind == "reset" for event in seen)
    with open_at(own) as later:
        assert later.wait(again.job_id, timeout=60)[0].exit_code == 3


def test_a_certificate_of_another_ca_is_refused_before_anything_is_sent(site: Site, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "ca.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=other"]
    subprocess.run(command, check=True, capture_output=True)
    with Gateway(site.told["url"], ca=certificate, token=site.token(USER)) as gateway, pytest.raises(GatewayError) as caught:
        gateway.session()
    assert "is not trusted" in str(caught.value)
    assert "--ca FILE" in caught.value.hint
