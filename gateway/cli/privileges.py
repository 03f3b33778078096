"""Root's commands work on the gateway's files as the gateway's own user.

Root that followed the names in a folder of somebody else's could be led to write to, or give away, any file of the system.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from gateway.errors import CommandError


def operator() -> str:
    """Return who runs this: the user behind sudo, else the user of this process."""
    uid = os.getuid()
    if uid == 0 and os.environ.get("SUDO_UID", "").isdigit():
        uid = int(os.environ["SUDO_UID"])
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def act_as_owner_of(folder: Path) -> None:
    """Give up root for good and go on as the owner of ``folder``; do nothing when this is not root, or the folder is root's.

    Raises CommandError when there is no such folder.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = folder.stat()
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}", "Make the folder, and give it to the gateway's user.") from None
    if owner.st_uid == 0:
        return
    os.setgroups([])
    os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
