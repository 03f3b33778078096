"""Applications behind the gateway's sign-in: a real nginx that asks who it is (``auth_request``) and speaks to the application itself."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system import support
from tests.system.chain import chain
from tests.system.front import Message, Site, Start, Stub, exchange, make_certificates, request, starting

TOKEN = "sgw_" + "Alice0123456789" * 3 + "wxyz"
OTHER = "sgw_" + "Bob456789012345" * 3 + "wxyz"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdW4iOiJhbGljZSJ9.c2lnbmF0dXJl-_"
BEARER = f"Authorization: Bearer {TOKEN}"
PORTAL = "/portal/things?x=1"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def verdict(status: str, **headers: str) -> Answer:
    """What a gateway may answer to the question who it is."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{lines}Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n".encode())

    return answer


YES = verdict("200 OK", X_Slurm_User_Name="alice", X_Slurm_User_Token=JWT)


@dataclass(slots=True)
class Portal:
    """The site, the stub in the gateway's place, and the one in the application's."""

    site: Site
    application: Stub

    @property
    def gateway(self) -> Stub:
        return self.site.stub

    @property
    def asked(self) -> int:
        return len(self.gateway.requests)

    async def get(self, *headers: str, target: str = PORTAL) -> Message:
        return await self.site.send(request(target, *headers))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def start(tmp_path: Path, certificates: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path, certificates) as start_one:
        yield start_one


@asynccontextmanager
async def opened(start: Start, folder: Path, patches: dict[str, str] | None = None, nodes: str = "g") -> AsyncIterator[Portal]:
    application = Stub(folder / "app")
    options = {"--application": f"/portal/=unix:{folder}/app", "--verify-cache": f"{folder}/verify"}
    site = await start(options=options, patches=patches, nodes=nodes)
    site.stub.answer = YES
    async with application.serving():
        yield Portal(site, application)


@pytest.fixture
async def portal(start: Start, tmp_path: Path) -> AsyncIterator[Portal]:
    async with opened(start, tmp_path) as portal:
        yield portal


async def until(over: Callable[[], Awaitable[bool]], limit: float) -> float:
    """Wait until something is so, and return how long it took; fail after ``limit`` seconds."""
    began = time.monotonic()
    async with asyncio.timeout(limit):
        while True:
            if await over():
                return time.monotonic() - began
            await asyncio.sleep(0.02)


def is_a_problem(answer: Message, status: int, reason: str) -> None:
    tree = answer.problem
    assert (answer.status, tree["status"], tree["reason"]) == (status, status, reason)
    assert answer.all("X-Request-ID") == [tree["request_id"]]
    assert answer.all("Cache-Control") == ["no-store"]
    assert tree["title"] not in {"", "The server in front of the gateway failed"}
    assert tree["detail"] not in {"", "Something went wrong in the server in front of the gateway."}
    assert tree["hint"] not in {"", "Tell your administrators the request id; it stands in the log of that server."}


# ---- Whom the application sees ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [BEARER, f"authorization: bearer  {TOKEN}", f"X-SLURM-USER-TOKEN: {TOKEN}"])
async def test_the_application_gets_the_identity_and_nothing_that_was_presented(way: str, portal: Portal) -> None:
    answer = await portal.site.send(request(PORTAL, way, "X-OTP: 123456", "Cookie: mine", method="POST", body="a body"))
    assert answer.status == 200
    [seen] = portal.application.requests
    assert (seen.first, seen.body, seen.all("Cookie")) == (f"POST {PORTAL} HTTP/1.1", b"a body", ["mine"])
    assert (seen.all("X-SLURM-USER-NAME"), seen.all("X-SLURM-USER-TOKEN")) == (["alice"], [JWT])
    assert (seen.all("Authorization"), seen.all("X-OTP")) == ([], [])
    assert TOKEN not in str(seen)


async def test_the_gateway_is_shown_the_token_and_nothing_else(portal: Portal) -> None:
    await portal.site.send(request(PORTAL, BEARER, "Cookie: mine", "X-Original-URI: /x", "Content-Type: a/b", method="POST", body="a body"))
    [asked] = portal.gateway.requests
    assert (asked.first, asked.body) == ("GET /auth/verify HTTP/1.1", b"")
    assert dict(asked.headers) == {
        "Authorization": f"Bearer {TOKEN}",
        "Host": "slurm.test",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Request-ID": portal.application.requests[0].all("X-Request-ID")[0],
    }


SPELLINGS = [
    "X-SLURM-USER-NAME", "x-slurm-user-token", "X-Slurm-User-Name", "X_SLURM_USER_NAME", "X_SLURM_USER_TOKEN", "X-SLURM_USER-NAME",
    "X.SLURM.USER.NAME", "X-SLURM-USER-NAME ", "X-SLURM-USER-NAME\t", "X-Forwarded-User", "X-Remote-User", "X-Original-URL", "Forwarded",
]  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
async def test_no_header_of_the_clients_names_somebody_to_the_application(name: str, portal: Portal) -> None:
    for forged in ((f"{name}: root", BEARER), (BEARER, f"{name}: root"), (f"{name}: root", BEARER, f"{name}: root", f"{name.upper()}: root")):
        await portal.get(*forged)
    raw = request(PORTAL, f"{name}: root", BEARER).replace("Connection: close", f"Connection: close, {name}, X-Slurm-User-Name, X-Slurm-User-Token")
    await portal.site.send(raw)
    for seen in portal.application.requests:
        assert (seen.all("X-SLURM-USER-NAME"), seen.all("X-SLURM-USER-TOKEN")) == (["alice"], [JWT])
        assert "root" not in str(seen)


async def test_over_http_2_it_is_the_same(portal: Portal, certificates: Path) -> None:
    words = ["curl", "-sS", "--http2", "--cacert", f"{certificates}/ca.pem", "--resolve", f"slurm.test:{portal.site.port}:127.0.0.1"]
    forged = ["-H", BEARER, "-H", "X-SLURM-USER-NAME: alice", "-H", "X-SLURM-USER-NAME: root", "-H", "X_SLURM_USER_NAME: root"]
    process = await asyncio.create_subprocess_exec(*words, *forged, f"https://slurm.test:{portal.site.port}{PORTAL}", stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0] == b"{}"
    [seen] = portal.application.requests
    assert (seen.all("X-SLURM-USER-NAME"), seen.all("X-SLURM-USER-TOKEN")) == (["alice"], [JWT])


async def test_a_name_that_is_claimed_is_for_the_gateway_to_judge(portal: Portal) -> None:
    assert (await portal.get(BEARER, "X-SLURM-USER-NAME: alice")).status == 200
    portal.gateway.answer = verdict("403 Forbidden")
    is_a_problem(await portal.get(BEARER, "X-SLURM-USER-NAME: root"), 403, "not_permitted")
    assert [asked.all("X-SLURM-USER-NAME") for asked in portal.gateway.requests] == [["alice"], ["root"]]
    assert len(portal.application.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        verdict("200 OK"),
        verdict("200 OK", X_Slurm_User_Name="alice"),
        verdict("200 OK", X_Slurm_User_Token=JWT),
        verdict("200 OK", X_Slurm_User_Name="", X_Slurm_User_Token=JWT),
        verdict("200 OK", X_Slurm_User_Name="alice", X_Slurm_User_Token=""),
        verdict("200 OK", X_Slurm_User_Name="alice bob", X_Slurm_User_Token=JWT),
        verdict("200 OK", X_Slurm_User_Name="alice", X_Slurm_User_Token="not a token"),
        verdict("204 No Content"),
    ],
)
async def test_a_yes_that_names_nobody_is_a_no(answer: Answer, portal: Portal) -> None:
    portal.gateway.answer = answer
    for _ in range(2):
        refused = await portal.get(BEARER, "X-SLURM-USER-NAME: alice", f"X-SLURM-USER-TOKEN2: {JWT}")
        is_a_problem(refused, 502, "application_unavailable")
        assert "nothing was done" in refused.problem["detail"]
    assert portal.application.requests == []
    assert portal.asked == 2  # and it is not kept
    portal.gateway.answer = YES
    assert (await portal.get(BEARER)).status == 200


# ---- What nginx decides itself ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Authorization: Basic YWxpY2U6cGFzc3dvcmQ=", "X-OTP: 123456"),
        (BEARER, f"X-SLURM-USER-TOKEN: {TOKEN}"),
        (BEARER, f"X-SLURM-USER-TOKEN: {OTHER}"),
        ("Authorization: Bearer",),
        (f"Authorization: {TOKEN}",),
        (f"Authorization: Bearer {TOKEN}x",),
        (f"Authorization: Bearer {TOKEN[:-1]}",),
        (f"Authorization: Bearer {TOKEN} {TOKEN}",),
        (f"Authorization: Bearer {JWT}",),
        (f"X-SLURM-USER-TOKEN: {JWT}",),
        (f"X-SLURM-USER-TOKEN: Bearer {TOKEN}",),
        (f"X_SLURM_USER_TOKEN: {TOKEN}",),
        (f"Cookie: token={TOKEN}",),
    ],
)
async def test_who_presents_no_token_of_the_right_form_is_refused_at_once(headers: tuple[str, ...], portal: Portal) -> None:
    answer = await portal.get(*headers)
    is_a_problem(answer, 401, "token_refused")
    assert answer.all("WWW-Authenticate") == ['Bearer realm="slurm-gateway"']
    assert (portal.asked, portal.application.requests) == (0, [])


@pytest.mark.parametrize("target", ["/auth/verify", "//auth/%76erify", "/auth/verify/", "/auth/verify?x", "/.verify", "/%2everify", "//.verify"])
async def test_nobody_outside_asks_for_a_slurm_token(target: str, portal: Portal) -> None:
    answer = await portal.get(BEARER, target=target)
    is_a_problem(answer, 404, "not_found")
    assert JWT not in str(answer)
    assert (portal.asked, portal.application.requests) == (0, [])


@pytest.mark.parametrize("target", ["//portal//x", "/%70ortal/x", "/portal/../portal/x", "/slurm/..%2fportal/x", "/x/../portal/", "/portal/x;a=b"])
async def test_every_spelling_that_leads_to_the_application_is_asked_about(target: str, portal: Portal) -> None:
    portal.gateway.answer = verdict("401 Unauthorized")
    assert (await portal.get(BEARER, target=target)).status == 401
    assert (portal.asked, portal.application.requests) == (1, [])


@pytest.mark.parametrize("target", ["/portal/../auth/session", "/portals", "/slurm/v0.0.38/ping", "/portal/..%2fslurm/x"])
async def test_what_does_not_lead_to_the_application_is_the_gateways(target: str, portal: Portal) -> None:
    await portal.get(BEARER, target=target)
    assert [seen.target for seen in portal.gateway.requests] == [target]
    assert portal.application.requests == []


async def test_the_path_without_its_last_slash_is_sent_on_without_naming_a_host(portal: Portal) -> None:
    answer = await portal.site.send(request("/portal", BEARER, host="elsewhere.test"))
    assert (answer.status, answer.all("Location")) == (301, ["/portal/"])


async def test_another_host_and_plain_http_get_no_further(portal: Portal) -> None:
    is_a_problem(await portal.site.send(request(PORTAL, BEARER, host="elsewhere.test")), 421, "wrong_host")
    assert (await portal.site.send_plain(portal.site.plain_port, request(PORTAL, BEARER))).status == 308
    assert (portal.asked, portal.application.requests) == (0, [])


# ---- What is kept ----------------------------------------------------------------------------------------------------------------------------


async def test_a_yes_is_kept_for_whoever_presents_the_very_same(portal: Portal) -> None:
    for way in (BEARER, BEARER, f"X-SLURM-USER-TOKEN: {TOKEN}"):
        assert (await portal.get(way)).status == 200
    assert portal.asked == 1
    different = [
        (BEARER.replace("wxyz", "wxyZ"),),
        (f"Authorization: Bearer {OTHER}",),
        (BEARER, "X-SLURM-USER-NAME: alice"),
        (BEARER, "X-SLURM-USER-NAME: alice "[:-2]),
    ]
    for number, headers in enumerate(different, start=2):
        assert (await portal.get(*headers)).status == 200
        assert portal.asked == number
    assert len(portal.application.requests) == 7


async def test_a_yes_is_kept_for_the_address_that_it_was_given_to(portal: Portal) -> None:
    assert (await portal.get(BEARER)).status == 200
    connection = await asyncio.open_connection(
        "127.0.0.1", portal.site.port, ssl=portal.site.trust, server_hostname="slurm.test", local_addr=("127.0.0.2", 0)
    )
    portal.gateway.answer = verdict("401 Unauthorized")
    assert (await exchange(*connection, request(PORTAL, BEARER))).status == 401
    assert [asked.all("X-Forwarded-For") for asked in portal.gateway.requests] == [["127.0.0.1"], ["127.0.0.2"]]


async def test_nobody_gets_anothers_answer_by_what_stands_beside_the_token(portal: Portal) -> None:
    """Whatever is put beside somebody's own good token, it is not kept as the answer to another's."""
    portal.gateway.answer = verdict("200 OK", X_Slurm_User_Name="mallory", X_Slurm_User_Token=JWT)
    mine = f"Authorization: Bearer {OTHER}"
    for beside in (f"X-SLURM-USER-NAME: {TOKEN}", f"X-OTP: {TOKEN}", f"Cookie: {TOKEN}", "X-SLURM-USER-NAME:", f"X-SLURM-USER-NAME: x\\n{TOKEN}"):
        await portal.get(mine, beside)
        await portal.get(beside, mine)
    before = portal.asked
    portal.gateway.answer = YES
    assert (await portal.get(BEARER)).status == 200
    assert portal.asked == before + 1
    assert portal.application.requests[-1].all("X-SLURM-USER-NAME") == ["alice"]


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "429 Too Many Requests", "503 Service Unavailable", "404 Not Found"])
async def test_a_no_is_not_kept(status: str, portal: Portal) -> None:
    portal.gateway.answer = verdict(status)
    for _ in range(2):
        assert (await portal.get(BEARER)).status == (503 if status.startswith("404") else int(status[:3]))
    portal.gateway.answer = YES
    assert (await portal.get(BEARER)).status == 200
    assert portal.asked == 3


async def test_what_the_gateway_says_of_keeping_changes_nothing(start: Start, tmp_path: Path) -> None:
    async with opened(start, tmp_path, {"proxy_cache_valid 200 5s": "proxy_cache_valid 200 1s"}) as portal:
        forever = {"X_Accel_Expires": "3600", "Expires": "Thu, 31 Dec 2037 23:55:55 GMT", "Vary": "Cookie"}
        portal.gateway.answer = verdict("200 OK", X_Slurm_User_Name="alice", X_Slurm_User_Token=JWT, **forever)
        assert (await portal.get(BEARER, "Cookie: a")).status == 200
        assert (await portal.get(BEARER, "Cookie: b")).status == 200
        assert portal.asked == 1
        portal.gateway.answer = verdict("401 Unauthorized")

        async def refused() -> bool:
            return (await portal.get(BEARER)).status == 401

        assert await until(refused, 5) < 2.5


SECRETS = [TOKEN[4:40].encode(), OTHER[4:40].encode(), JWT.encode()]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def telling(folder: Path) -> set[Path]:
    """Return the files that have something of a token in them, but for where nginx's error log repeats a request line of the test's."""
    lines = f"?{TOKEN}".encode()
    return {file for file in files(folder) if any(secret in file.read_bytes().replace(lines, b"") for secret in SECRETS)}


def is_for_its_owner_alone(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


async def test_no_token_is_in_a_log_or_in_a_file_that_others_may_read(start: Start, tmp_path: Path) -> None:
    kept = tmp_path / "verify"
    async with opened(start, tmp_path, {"inactive=10s": "inactive=1s"}) as portal:
        for way in (BEARER, f"X-SLURM-USER-TOKEN: {OTHER}"):
            assert (await portal.get(way)).status == 200
        assert await asyncio.to_thread(telling, tmp_path) == set(files(kept))
        assert len(files(kept)) == 2
        assert all(map(is_for_its_owner_alone, (kept, *kept.rglob("*"))))
        portal.gateway.answer = verdict("500 Oops")
        await portal.get(BEARER.replace("wxyz", "0000"))
        await portal.get("X-OTP: 1", target=f"/portal/?{TOKEN}")

        async def gone() -> bool:
            return not files(kept)

        # What is not used any more is gone soon.
        await until(gone, 30)
        assert await asyncio.to_thread(telling, tmp_path) == set()


# ---- When something is down ------------------------------------------------------------------------------------------------------------------


async def test_a_gateway_that_does_not_answer_lets_nobody_through(start: Start, tmp_path: Path) -> None:
    async with opened(start, tmp_path, nodes="x") as portal:
        answer = await portal.get(BEARER)
    is_a_problem(answer, 503, "unavailable")
    assert answer.all("Retry-After") == ["10"]
    assert "server.verify" in answer.problem["hint"]
    assert portal.application.requests == []


async def test_who_is_throttled_is_told_so(portal: Portal) -> None:
    portal.gateway.answer = verdict("429 Too Many Requests", Retry_After="60")
    is_a_problem(await portal.get(BEARER), 429, "throttled")


async def test_an_application_that_is_down_is_said_to_be_so(start: Start, tmp_path: Path) -> None:
    options = {"--application": f"/portal/=unix:{tmp_path}/nobody", "--verify-cache": f"{tmp_path}/verify"}
    site = await start(options=options)
    site.stub.answer = YES
    answer = await site.send(request(PORTAL, BEARER, method="POST", body="{}"))
    is_a_problem(answer, 502, "application_unavailable")
    assert "nothing was done" in answer.problem["detail"]


async def test_an_application_that_breaks_off_is_not_asked_again(portal: Portal) -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    portal.application.answer = hang_up
    answer = await portal.get(BEARER)
    is_a_problem(answer, 502, "application_unavailable")
    assert "not known" in answer.problem["detail"]
    assert len(portal.application.requests) == 1


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "401 Unauthorized", "403 Forbidden", "404 Not Found", "500 Oops", "503 Later"])
async def test_what_the_application_answers_passes_as_it_is(status: str, portal: Portal) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        head = "Content-Length: 3\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\nX-Accel-Redirect: /auth/verify\r\nCache-Control: private"
        writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n\r\nabc".encode())

    portal.application.answer = answer
    got = await portal.get(BEARER)
    assert (got.status, got.body) == (int(status[:3]), b"abc")
    assert (got.all("Location"), got.all("Set-Cookie"), got.all("Cache-Control")) == (["/elsewhere"], ["a=b"], ["private"])


# ---- The real gateway ------------------------------------------------------------------------------------------------------------------------


async def test_with_the_real_gateway_an_ended_session_is_dead_within_five_seconds(site: support.Site, start: Start, tmp_path: Path) -> None:
    application = Stub(tmp_path / "app")
    options = {"--application": f"/portal/=unix:{tmp_path}/app", "--verify-cache": f"{tmp_path}/verify"}
    with chain(site, settings={"server": "verify = true\n"}) as whole:
        front = await start(options=options, gateways=[f"unix:{whole.folder}/gateway.sock"], stub=False)
        async with application.serving():
            token = await asyncio.to_thread(site.token, "bob")
            mine = request(PORTAL, f"Authorization: Bearer {token}", "X-SLURM-USER-NAME: bob")
            assert (await front.send(mine)).status == 200
            [seen] = application.requests
            assert (seen.all("X-SLURM-USER-NAME"), seen.all("X-SLURM-USER-TOKEN")[0].count(".")) == (["bob"], 2)
            is_a_problem(await front.send(request(PORTAL, f"Authorization: Bearer {token}", "X-SLURM-USER-NAME: alice")), 403, "not_permitted")
            is_a_problem(await front.send(request(PORTAL, f"Authorization: Bearer {OTHER}")), 401, "token_refused")
            for hidden in ("/auth/verify", "//auth/verify/", "/auth/%76erify"):
                is_a_problem(await front.send(request(hidden, f"Authorization: Bearer {token}")), 404, "not_found")

            # So that what nginx keeps is as young as it can be.
            assert (await asyncio.to_thread(site.call, "bob", "DELETE", "/auth/session")).status == 204
            site._tokens.pop("bob")

            async def refused() -> bool:
                return (await front.send(mine)).status != 200

            # Five seconds of nginx, and one of what another worker believes of a session.
            assert await until(refused, 20) < 6.5
            answer = await front.send(mine)
            is_a_problem(answer, 401, "token_refused")
            assert answer.all("WWW-Authenticate") == ['Bearer realm="slurm-gateway"']
            await front.stop()
        for log in (tmp_path / "error.log", tmp_path / "access.log", whole.folder / "gateway.log"):
            assert token not in log.read_text()


async def test_a_site_that_did_not_switch_it_on_says_what_is_missing(site: support.Site, start: Start, tmp_path: Path) -> None:
    options = {"--application": f"/portal/=unix:{tmp_path}/app", "--verify-cache": f"{tmp_path}/verify"}
    with chain(site) as whole:
        front = await start(options=options, gateways=[f"unix:{whole.folder}/gateway.sock"], stub=False)
        token = await asyncio.to_thread(site.token, "bob")
        is_a_problem(await front.send(request(PORTAL, f"Authorization: Bearer {token}")), 503, "unavailable")
