"""What `up` ends with: lines to copy into a shell."""

from __future__ import annotations

import json
from pathlib import Path

from .job import PERSON, description
from .layout import Layout
from .record import Record
from .release import RELEASES

DEMO = Path(__file__).resolve().parents[1] / "demo"


def farewell(layout: Layout, record: Record) -> str:
    """Curl lines that work as they stand, in a shell of root's."""
    site = f"https://127.0.0.1:{record.port}"
    curl = f"curl -sS --cacert {layout.ca}"
    api = RELEASES[record.release].first_job_api
    bearer = '-H "Authorization: Bearer $TOKEN"'
    body = json.dumps(description(layout.home(PERSON), api, "hello"))
    body = body.replace("'", "'\\''")
    demo, state = DEMO, f"--state {layout.root}"
    return f"""
Go on with these lines; the password is this demo's own, drawn at random for it:

# sign in as {PERSON}: password and one-time code, for a token
TOKEN=$({curl} -H 'Accept: text/plain' -u '{PERSON}:{record.passwords[PERSON]}' -H "X-OTP: $({demo} otp {PERSON} {state})" -X POST {site}/auth/login)

# who am I, and what does Slurm say
{curl} {bearer} {site}/auth/session
{curl} {bearer} {site}/slurm/{api}/ping

# submit a job, then look at the jobs and at its output
{curl} {bearer} -H 'Content-Type: application/json' -d '{body}' {site}/slurm/{api}/job/submit
{curl} {bearer} {site}/slurm/{api}/jobs
until grep -s . {layout.home(PERSON)}/hello-*.out; do sleep 1; done

# sign out
{curl} {bearer} -X DELETE {site}/auth/session

What runs: {demo} status {state}
All about this site, for programs: {layout.description}
End it: {demo} down {state}"""
