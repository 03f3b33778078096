"""Replacing the keys under a running gateway, and moving what it holds from SQLite to PostgreSQL."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

from tests.postgres import Cluster
from tests.system.support import Site, one_time_code


def test_people_sign_in_while_the_keys_are_replaced_and_the_old_one_is_taken_out(site: Site) -> None:
    site.fresh_code("bob")
    step = int(time.time() // 30)
    codes = [one_time_code(site.secret("bob"), step + ahead) for ahead in (-1, 0, 1)]
    assert site.login("bob", codes[0]).status == 200
    before = [key["id"] for key in json.loads(site.gateway("keys", "list", "--json").stdout)]
    rotated = json.loads(site.gateway("keys", "rotate", "--json").stdout)
    assert (rotated["broken"], rotated["key"] in before, rotated["resealed"] > 0) == ([], False, True)
    assert site.login("bob", codes[1]).status == 200
    assert json.loads(site.gateway("keys", "prune", "--json").stdout)["kept"] == [rotated["key"]]
    assert site.login("bob", codes[2]).status == 200


def test_what_the_site_holds_is_moved_to_postgresql(site: Site, tmp_path: Path) -> None:
    site.fresh_code("bob")
    home = Path(site.told["config"]).parent
    backup = home / "backup.jsonl"
    try:
        site.gateway("state", "backup", str(backup))
        assert backup.stat().st_mode & 0o777 == 0o600
        with Cluster() as cluster:
            cluster.create("gateway")
            config = tmp_path / "gateway.toml"
            text = Path(site.told["config"]).read_text()
            config.write_text(re.sub(r'(?m)^url = "sqlite:.*$', f'url = "{cluster.url("gateway")}"', text))
            for folder in (tmp_path, *tmp_path.parents[:2]):
                folder.chmod(folder.stat().st_mode | 0o055)
            _run(site, config, "state", "restore", str(backup))
            moved = {person["user"]: person["authenticators"] for person in json.loads(_run(site, config, "users", "list", "--json"))["users"]}
    finally:
        backup.unlink(missing_ok=True)
    here = {person["user"]: person["authenticators"] for person in json.loads(site.gateway("users", "list", "--json").stdout)["users"]}
    assert moved == {user: count for user, count in here.items() if count}


def _run(site: Site, config: Path, *words: str) -> str:
    return subprocess.run([*site.told["command"], "--config", str(config), *words], capture_output=True, text=True, check=True).stdout
