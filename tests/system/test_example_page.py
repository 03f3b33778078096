"""The example page as somebody uses it: real Chromium, a static server of another origin, the gateway behind nginx, and jobs that really run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.server
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.system.browser import chromium
from tests.system.chain import Chain, chain
from tests.system.support import ROOT, Site, free_port, one_time_code, wait_for

EXAMPLES = ROOT / "deploy" / "examples"
USER = "adele"
LIMIT = 15_000
HOSTILE = "<img src=x onerror=document.title='taken'>"
NAP = "#!/bin/sh\nsleep 3\n"
# What a browser says of each answer with a status of 400 or more, wanted or not.
STATUS = "Failed to load resource: the server responded with a status of"
# Jobs are to be cancelled only shortly after a code was shown.
STALE = """
[[policy.rules]]
name = "cancelling soon after a code"
effect = "allow"
methods = ["DELETE"]
paths = ["/slurm/*/job/*"]
second_factor_within = "2s"

[[policy.rules]]
name = "the rest"
effect = "allow"
paths = ["/slurm/**"]
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve the examples as any static server would, from an origin that is not the gateway's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(EXAMPLES)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def door(site: Site, origin: str) -> Iterator[Chain]:
    """A gateway that lists the page's origin."""
    with chain(site, settings={"cors": f'origins = ["{origin}"]\n', "slurm": ""}) as made:
        yield made


@pytest.fixture(scope="module")
def strict(site: Site, origin: str) -> Iterator[Chain]:
    """One that wants a young second factor for cancelling."""
    with chain(site, settings={"cors": f'origins = ["{origin}"]\n', "slurm": "", "log": f'level = "info"\n{STALE}'}) as made:
        yield made


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    with chromium(site.told["ca_file"]) as started:
        yield started


@dataclass(slots=True)
class Visit:
    """Somebody in front of the page."""

    page: Page
    site: Site
    complaints: list[str]

    @property
    def form(self) -> Locator:
        return self.page.get_by_role("form", name="Sign in")

    def sign_in(self, otp: str | None = None) -> None:
        """Fill in the form and send it; without a code, with one that is good."""
        form = self.form
        form.get_by_label("Gateway").fill(self.site.told["url"])
        form.get_by_label("User").fill(USER)
        form.get_by_label("Password").fill(self.site.password(USER))
        form.get_by_label("Code").fill(self.site.fresh_code(USER) if otp is None else otp)
        form.get_by_role("button", name="Sign in").click()

    def signed_in(self) -> str:
        """Sign in and wait for the list; return the token, which no part of the page shows."""
        with self.page.expect_response("**/auth/login") as answer:
            self.sign_in()
        expect(self.page.get_by_role("heading", name=f"Jobs of {USER}")).to_be_focused(timeout=LIMIT)
        expect(self.page.get_by_role("status")).to_contain_text("Live", timeout=LIMIT)
        return str(answer.value.json()["token"])

    def submit(self, token: str, script: str = NAP, **job: object) -> int:
        """Submit a job elsewhere, with the page's own token: to sign in once more would end its session."""
        self.site._tokens[USER] = (token, time.monotonic())
        return self.site.submit(USER, script, **job)

    def row(self, job_id: int) -> Locator:
        return self.page.locator(f"tr[data-job='{job_id}']")

    def shoot(self, name: str) -> None:
        """Keep a picture where somebody wants them."""
        if folder := os.environ.get("SLURM_GATEWAY_TEST_PICTURES"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture
def visit(browser: Browser, origin: str, door: Chain) -> Iterator[Visit]:
    with visiting(browser, origin, door) as made:
        yield made


@contextlib.contextmanager
def visiting(browser: Browser, origin: str, door: Chain, **how: Any) -> Iterator[Visit]:
    """Open the page, and in the end see that it did nothing that the browser complains of: an error, or what its policy forbids."""
    context = browser.new_context(**how)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{origin}/jobs.html")
    yield Visit(page, door.site, complaints)
    context.close()
    assert [complaint for complaint in complaints if not complaint.startswith(STATUS)] == []


def test_a_wrong_code_is_answered_with_what_to_do(visit: Visit) -> None:
    visit.sign_in("000000")
    alert = visit.page.get_by_role("alert").first
    expect(alert.locator(".what")).to_be_visible(timeout=LIMIT)
    for part in (".what", ".hint", ".id"):
        assert alert.locator(part).inner_text()
    assert len(alert.locator(".id").inner_text().removeprefix("Request ")) == 32
    expect(visit.form.get_by_label("Code")).to_be_focused()
    expect(visit.form.get_by_label("Code")).to_have_value("")
    visit.shoot("refused")


def test_my_jobs_are_listed_and_change_by_themselves(visit: Visit) -> None:
    token = visit.signed_in()
    held = visit.submit(token, hold=True, name="held")
    row = visit.row(held)
    expect(row).to_contain_text("PENDING", timeout=LIMIT)
    expect(row).to_contain_text("JobHeldUser", timeout=LIMIT)
    short = visit.submit(token, name="short")
    expect(visit.row(short)).to_contain_text("RUNNING", timeout=LIMIT)
    expect(visit.page.get_by_role("button", name=f"Cancel job {short}")).to_be_visible()
    visit.shoot("jobs")
    expect(visit.row(short)).to_contain_text("COMPLETED", timeout=LIMIT)
    expect(visit.page.get_by_role("button", name=f"Cancel job {short}")).to_be_hidden()
    visit.page.get_by_role("button", name=f"Cancel job {held}").click()
    expect(visit.row(held)).to_contain_text("CANCELLED", timeout=LIMIT)


def test_a_job_that_is_submitted_elsewhere_appears_without_a_reload(visit: Visit) -> None:
    token = visit.signed_in()
    visit.page.evaluate("window.untouched = true")
    job_id = visit.submit(token, name="elsewhere")
    expect(visit.row(job_id)).to_contain_text("elsewhere", timeout=LIMIT)
    assert visit.page.evaluate("window.untouched")


def test_the_name_of_a_job_is_text_whatever_it_is(visit: Visit) -> None:
    job_id = visit.submit(visit.signed_in(), name=HOSTILE, hold=True)
    expect(visit.row(job_id).locator("td.name")).to_have_text(HOSTILE, timeout=LIMIT)
    assert visit.page.locator("#rows img").count() == 0
    expect(visit.page).to_have_title("My jobs")
    visit.page.get_by_role("button", name=f"Cancel job {job_id}").click()
    expect(visit.row(job_id)).to_contain_text("CANCELLED", timeout=LIMIT)


def test_a_reload_forgets_the_token_and_remembers_the_gateway(visit: Visit) -> None:
    token = visit.signed_in()
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert token not in visit.page.evaluate(kept)
    assert token not in visit.page.content()
    visit.page.reload()
    expect(visit.form.get_by_label("Gateway")).to_have_value(visit.site.told["url"])
    expect(visit.form.get_by_label("User")).to_be_focused()
    expect(visit.form.get_by_label("Password")).to_have_value("")
    expect(visit.page.get_by_role("table")).to_be_hidden()
    assert visit.page.evaluate(kept) == json.dumps([{"slurm-gateway": visit.site.told["url"]}, {}, ""], separators=(",", ":"))


def test_after_signing_out_the_token_is_dead(visit: Visit) -> None:
    token = visit.signed_in()
    visit.page.get_by_role("button", name="Sign out").click()
    expect(visit.form.get_by_label("Password")).to_be_focused(timeout=LIMIT)
    expect(visit.page.get_by_text("Signed out.")).to_be_visible()
    assert visit.page.locator("#rows tr").count() == 0
    answer = visit.site.ask("GET", "/auth/session", headers=[("Authorization", f"Bearer {token}")])
    assert (answer.status, answer.reason) == (401, "token_refused")


def test_a_session_that_ends_elsewhere_leads_back_to_the_form_and_says_why(visit: Visit) -> None:
    token = visit.signed_in()
    visit.site.ask("DELETE", "/auth/session", headers=[("Authorization", f"Bearer {token}")])
    expect(visit.form.get_by_label("Password")).to_be_focused(timeout=LIMIT)
    alert = visit.page.get_by_role("alert").first
    expect(alert.locator(".what")).to_contain_text("token")
    assert alert.locator(".hint").inner_text()
    visit.shoot("ended")
    visit.form.get_by_label("Password").fill(visit.site.password(USER))
    visit.form.get_by_label("Code").fill(visit.site.fresh_code(USER))
    visit.form.get_by_label("Code").press("Enter")
    expect(visit.page.get_by_role("status")).to_contain_text("Live", timeout=LIMIT)
    expect(alert).to_be_hidden()


def test_a_test_job_is_submitted_and_cancelled(visit: Visit) -> None:
    visit.signed_in()
    with visit.page.expect_response("**/job/submit") as answer:
        visit.page.get_by_role("button", name="Submit a test job").click()
    job_id = answer.value.json()["job_id"]
    expect(visit.page.get_by_text(f"Job {job_id} is submitted.").or_(visit.page.get_by_text(f"Job {job_id} is RUNNING."))).to_be_visible()
    expect(visit.row(job_id)).to_contain_text("RUNNING", timeout=LIMIT)
    visit.page.get_by_role("button", name=f"Cancel job {job_id}").click()
    expect(visit.row(job_id)).to_contain_text("CANCELLED", timeout=LIMIT)
    expect(visit.page.get_by_role("heading", name="Jobs of")).to_be_focused()


def test_a_second_factor_that_has_become_old_is_asked_for_again_and_the_work_goes_on(visit: Visit, strict: Chain) -> None:
    visit.site = strict.site
    job_id = visit.submit(visit.signed_in(), name="stale", hold=True)
    signed_in = time.monotonic()
    button = visit.page.get_by_role("button", name=f"Cancel job {job_id}")
    expect(button).to_be_visible(timeout=LIMIT)
    wait_for(lambda: time.monotonic() - signed_in > 2, 5, "an old second factor")
    button.click()
    dialog = visit.page.get_by_role("dialog", name="A new code, please")
    expect(dialog.get_by_label("Code", exact=True)).to_be_focused(timeout=LIMIT)
    visit.shoot("stale")
    dialog.get_by_label("Code", exact=True).fill("000000")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_role("alert").locator(".hint")).to_be_visible(timeout=LIMIT)
    dialog.get_by_label("Code", exact=True).fill(one_time_code(visit.site.secret(USER), int(time.time() // 30) + 1))
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog).to_be_hidden(timeout=LIMIT)
    expect(visit.row(job_id)).to_contain_text("CANCELLED", timeout=LIMIT)


def test_a_proof_that_is_not_given_leaves_everything_as_it_is(visit: Visit, strict: Chain, door: Chain) -> None:
    visit.site = strict.site
    job_id = visit.submit(visit.signed_in(), name="left", hold=True)
    signed_in = time.monotonic()
    button = visit.page.get_by_role("button", name=f"Cancel job {job_id}")
    expect(button).to_be_visible(timeout=LIMIT)
    wait_for(lambda: time.monotonic() - signed_in > 2, 5, "an old second factor")
    button.click()
    expect(visit.page.get_by_role("dialog")).to_be_visible(timeout=LIMIT)
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_enabled()
    assert visit.site.state_of(USER, job_id) == "PENDING"
    assert door.site.call(USER, "DELETE", f"/slurm/latest/job/{job_id}").status == 200


def test_a_gateway_that_is_not_there_is_said_to_be_with_what_it_may_be(visit: Visit, origin: str) -> None:
    visit.site = dataclasses.replace(visit.site, told={**visit.site.told, "url": f"https://127.0.0.1:{free_port()}"})
    visit.sign_in("123456")
    alert = visit.page.get_by_role("alert").first
    expect(alert.locator(".hint")).to_contain_text(f"does the gateway list {origin} in cors.origins?", timeout=LIMIT)
    visit.complaints.clear()  # the browser's own word for it


def test_an_address_that_is_none_of_a_gateway_is_refused_before_a_password_leaves(visit: Visit) -> None:
    visit.site = dataclasses.replace(visit.site, told={**visit.site.told, "url": "http://127.0.0.1:1"})
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.sign_in("123456")
    expect(visit.page.get_by_role("alert").first.locator(".hint")).to_contain_text("https://")
    assert asked == []


def test_where_there_are_no_events_the_list_is_read_again_and_again(visit: Visit) -> None:
    refused = {"status": 403, "content_type": "application/problem+json", "body": "{}", "headers": {"Access-Control-Allow-Origin": "*"}}
    visit.page.route("**/events?*", lambda route: route.fulfill(**refused))
    with visit.page.expect_response("**/auth/login") as answer:
        visit.sign_in()
    token = str(answer.value.json()["token"])
    expect(visit.page.get_by_role("status")).to_contain_text("every few seconds", timeout=LIMIT)
    with visit.page.expect_response(lambda response: "/jobs?" in response.url and response.status == 304, timeout=LIMIT):
        pass
    job_id = visit.submit(token, name="polled")
    expect(visit.row(job_id)).to_contain_text("polled", timeout=LIMIT)


def test_a_stream_that_breaks_off_is_taken_up_where_it_was(visit: Visit) -> None:
    begun: list[str | None] = []

    def answer(route: Route) -> None:
        begun.append(route.request.headers.get("last-event-id"))
        if len(begun) > 1:
            route.continue_()
            return
        told = 'id: elsewhere-1\nevent: ready\ndata: {"cluster": "demo", "jobs": "own", "resumed": false}\n\n'
        route.fulfill(content_type="text/event-stream", body=told, headers={"Access-Control-Allow-Origin": "*"})

    visit.page.route("**/events?*", answer)
    token = visit.signed_in()
    expect(visit.page.get_by_role("status")).to_contain_text("Live", timeout=LIMIT)
    job_id = visit.submit(token, name="between")
    expect(visit.row(job_id)).to_contain_text("between", timeout=LIMIT)
    assert begun == [None, "elsewhere-1"]


def test_what_the_browser_reads_over_and_over_does_not_reach_slurm_each_time(visit: Visit) -> None:
    with visit.page.expect_response(lambda response: "/jobs?" in response.url, timeout=LIMIT) as answer:
        visit.signed_in()
    assert answer.value.request.all_headers()["cache-control"] == "max-age=0"


def test_the_keyboard_alone_will_do(visit: Visit) -> None:
    page, keys = visit.page, visit.page.keyboard
    expect(visit.form.get_by_label("Gateway")).to_be_focused()
    for text in (visit.site.told["url"], USER, visit.site.password(USER), visit.site.fresh_code(USER)):
        keys.type(text)
        keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Live", timeout=LIMIT)
    keys.press("Tab")
    expect(page.get_by_role("button", name="Submit a test job")).to_be_focused()
    with page.expect_response("**/job/submit") as answer:
        keys.press("Enter")
    cancel = page.get_by_role("button", name=f"Cancel job {answer.value.json()['job_id']}")
    expect(cancel).to_be_visible(timeout=LIMIT)
    keys.press("Tab")
    keys.press("Tab")
    expect(cancel).to_be_focused()
    keys.press("Space")
    expect(cancel).to_be_hidden(timeout=LIMIT)
    expect(page.get_by_role("heading", name="Jobs of")).to_be_focused()
    keys.press("Tab")
    keys.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    keys.press("Enter")
    expect(visit.form.get_by_label("Password")).to_be_focused(timeout=LIMIT)


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_everything_fits_the_window(browser: Browser, origin: str, door: Chain, width: int, look: Literal["light", "dark"]) -> None:
    with visiting(browser, origin, door, viewport={"width": width, "height": 740}, color_scheme=look, is_mobile=width < 500) as visit:
        assert fits(visit.page)
        visit.shoot(f"form-{width}-{look}")
        token = visit.signed_in()
        job_id = visit.submit(token, name="a-rather-long-name-without-any-place-where-it-could-be-broken-" * 2, hold=True)
        expect(visit.row(job_id)).to_contain_text("JobHeldUser", timeout=LIMIT)
        visit.shoot(f"jobs-{width}-{look}")
        assert fits(visit.page)
        visit.page.get_by_role("button", name=f"Cancel job {job_id}").click()
        expect(visit.row(job_id)).to_contain_text("CANCELLED", timeout=LIMIT)


def test_a_page_that_was_opened_from_a_file_says_how_to_serve_it(browser: Browser) -> None:
    folder = Path(tempfile.mkdtemp(prefix="sgw-page-", dir="/var/tmp"))  # the browser's user reads it
    folder.chmod(0o755)
    shutil.copy(EXAMPLES / "jobs.html", folder)
    page = browser.new_context().new_page()
    try:
        page.goto(f"file://{folder}/jobs.html")
        expect(page.get_by_role("heading", name="Serve this page")).to_be_visible()
        expect(page.get_by_label("Password")).to_be_hidden()
    finally:
        page.context.close()
        shutil.rmtree(folder)


def fits(page: Page) -> bool:
    """Tell whether nothing has to be scrolled sideways."""
    return bool(page.evaluate("[document.documentElement, ...document.querySelectorAll('.scroll')].every(it => it.scrollWidth <= it.clientWidth)"))
