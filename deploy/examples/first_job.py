"""From signing in to a finished job, in Python: python first_job.py https://slurm.example.org alice [/path/to/ca.pem]."""
# ruff: noqa: INP001, S108 - it is run, not imported; /tmp is a folder that every cluster has

import sys
from getpass import getpass

from gateway.client import Gateway, GatewayError

JOB = {
    "job": {
        "name": "first",
        "current_working_directory": "/tmp",
        "standard_output": "/tmp/first-%j.out",
        "environment": {"PATH": "/usr/bin:/bin"},
    },
    "script": "#!/bin/sh\necho Hello from $(id -un)\n",
}

url, user, *ca = sys.argv[1:]
try:
    with Gateway(url, ca=ca[0] if ca else None) as gateway:
        gateway.login(user, getpass("Password: "), input("Code: "))
        number = gateway.submit(JOB).job_id
        print(f"Job {number} is submitted.")
        [job] = gateway.wait(number)
        print(f"Job {job.id}, {job.name}: {job.state}, exit code {job.exit_code}")
        gateway.logout()
except GatewayError as error:
    sys.exit(f"{error}\n{error.hint}")
