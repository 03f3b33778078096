"""What `up` ends with: lines to copy into a shell."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from .job import PERSON, description
from .layout import Layout
from .record import Record
from .release import RELEASES

DEMO = Path(__file__).resolve().parents[1] / "demo"


def farewell(layout: Layout, record: Record) -> str:
    """Lines that work as they stand, in a shell of root's: with curl, and with the gateway's own command."""
    site = f"https://127.0.0.1:{record.port}"
    curl = f"curl -sS --cacert {layout.ca}"
    api = RELEASES[record.release].first_job_api
    bearer = '-H "Authorization: Bearer $TOKEN"'
    home = layout.home(PERSON)
    body = json.dumps(description(home, api, "hello"))
    body = body.replace("'", "'\\''")
    demo, state, command = DEMO, f"--state {layout.root}", shlex.join(record.command)
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
until grep -s . {home}/hello-*.out; do sleep 1; done

# sign out
{curl} {bearer} -X DELETE {site}/auth/session

# the same with the gateway's command, one line at a time: login asks for the password above and for the code that is printed before
{demo} otp {PERSON} {state}
{command} login {site} --ca {layout.ca} --user {PERSON}
printf '%s\\n' '#!/bin/sh' '#SBATCH --chdir={home} --output=again.out' 'echo "Hello again from $(id -un)"' | {command} submit - --wait
{command} jobs
cat {home}/again.out
{command} logout

What runs: {demo} status {state}
All about this site, for programs: {layout.description}
End it: {demo} down {state}"""
