"""Slurm's own commands, run on a site's machine as one of its users would run them there."""

from __future__ import annotations

import json
import re
import subprocess

from tests.system.support import Site


def inside(site: Site, user: str, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command on the site's machine as ``user``, in their home, with a login's bare environment."""
    holder = json.loads((site.state / "site.json").read_text())["holder"]["pid"]
    home = site.home(user)
    seeing = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount --bind -o ro "$1" /usr; shift; exec "$@"', "sh"]
    usr = _usr(site)
    enter = ["nsenter", f"--target={holder}", "--mount", "--uts", "--pid", f"--wdns={home}", "--", *([*seeing, usr] if usr else [])]
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all", "--no-new-privs"]
    environment = {"PATH": "/usr/bin:/bin", "SLURM_CONF": site.told["slurm_conf"], "HOME": str(home), "USER": user}
    command = [*enter, *become, "env", f"--chdir={home}", *words]
    return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=check, timeout=60)


def _usr(site: Site) -> str | None:
    """Return the folder that the site's Slurm sees as /usr, None where it is the host's."""
    if site.told["release"] == "bookworm":
        return None
    from deploy.site.release import RELEASES  # noqa: PLC0415 - the demo's own, asked only about its second Debian

    return str(RELEASES[site.told["release"]].usr)


def shown(site: Site, user: str, job_id: int) -> dict[str, str]:
    """Return what ``scontrol show job`` tells ``user`` of a job."""
    told = inside(site, user, "scontrol", "--oneliner", "show", "job", str(job_id)).stdout
    return dict(re.findall(r"(?:^|\s)([A-Z][\w/:]*)=(.*?)(?=\s[A-Z][\w/:]*=|\s*$)", told))


def sbatch(site: Site, user: str, script: str, *words: str) -> int:
    """Submit a script as the site's own ``sbatch`` does, and return the job's number."""
    done = inside(site, user, "sbatch", "--parsable", *words, stdin=script, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.strip())
