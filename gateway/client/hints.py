"""The gateway's hints speak of calls, for it cannot know who asks; whoever types commands is told of commands (pure)."""

from __future__ import annotations

import re

NOT_LAUNCHED = "Its node could not start the script. Are the job's folder (--chdir) and that of its output (--output) there, on the cluster?"
"""What to do about a job that failed with JobLaunchFailure."""
_CHECK = "'slurm-gateway check FILE' says where it is."
_INSTEAD = tuple(
    (re.compile(said), told)
    for said, told in (
        (r"GET /openapi/v3 has the form(?: of each; it changed between versions of the API)?\.", _CHECK),
        (r"Slurm names no error, but no job either: nothing was submitted\. .*", f"Nothing was submitted. Correct it; {_CHECK}"),
        (r"Send the same request with the same (?:Idempotency-Key|key) .*", "Look for it with 'slurm-gateway jobs' before you submit it again."),
        (r"GET /slurm/[\w.]+/(partitions|nodes|jobs|ping)\b(?: \(or '[^']*'\))?", r"'slurm-gateway \1'"),
        (r"GET /slurm(?:db)?/[\w.]+/job/(\w+)", r"'slurm-gateway job \1'"),
        (r"GET /auth/tokens, then DELETE /auth/tokens/ID", "'slurm-gateway tokens list', then 'slurm-gateway tokens revoke ID'"),
        (r"Sign in \(POST /auth/login\) and use that session's token", "Sign in ('slurm-gateway login'), and run this without the token"),
        (r"GET /auth/tokens lists yours\b", "'slurm-gateway tokens list' shows yours"),
        (r"GET (/[\w./-]*\w)", r"'slurm-gateway api GET \1'"),
        (r"Leave /clusters/NAME out", "Leave --cluster out"),
        (r"Leave it out for [0-9]+ s\b", "Name a shorter time, or leave --expires out"),
        (r'Write scopes as \["read", "submit"\]', "Write --scope read --scope submit"),
    )
)


def of_commands(hint: str) -> str:
    """Return a hint with commands in the place of the calls that they make."""
    for said, told in _INSTEAD:
        hint = said.sub(told, hint)
    return hint
