"""``slurm-gateway audit verify``: says whether the trail is what was written; each place where it is not, and what that means."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.cli.audit_files import open_files, own_files, shown, trail_path
from gateway.cli.configuration import configuration
from gateway.cli.privileges import act_as_owner_of
from gateway.config import Config, SecretFileError
from gateway.errors import CommandError, StoreUnavailable
from gateway.observe.audit import AuditKey, audit_key_file, load_audit_key
from gateway.observe.audit.file import head_path, place
from gateway.observe.audit.keys import PublicKey, public_key
from gateway.observe.audit.reading import Opened
from gateway.observe.audit.verify import Fault, Found, Mark, Verifier
from gateway.store.audit_heads import AuditHead, AuditHeadStore
from gateway.store.engine import open_database
from gateway.store.sqlite import database_path

_STORE = "the store"
_LARGEST_KEY = 64 * 1024
_PROGRESS_EVERY = 0.5


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; return 0 when the trail is sound, else 1."""
    keys = {key.fingerprint: key for key in map(_public_key, arguments.public_key or ())}
    # ``audit.jsonl*`` names the head as well, which is found by itself and is no part of the chain.
    arguments.files = [file for file in arguments.files if file not in {head_path(other) for other in arguments.files}]
    if arguments.files and keys and arguments.config is None:
        opened, heads = open_files(arguments.files, None, _with_head(arguments.files)), None
        found = _walk(opened, keys, ())
    else:
        opened, heads, own = _configured(arguments)
        if own is not None:
            keys.setdefault(own.fingerprint, own.public)
        found = _walk(opened, keys, [Mark(trail=head.trail, seq=head.seq, line=head.line_sha256.hex(), where=_STORE) for head in heads or ()])
    with contextlib.closing(opened):
        if heads is None:
            found.notes.append("the head that the store keeps was not looked at")
        found.faults += [Fault(place=file.name, kind="unreadable", text=file.broken) for file in opened.files if file.broken is not None]
        _print_json(found, opened) if arguments.json else _print(found, opened)
    return 0 if found.sound else 1


def _configured(arguments: argparse.Namespace) -> tuple[Opened, tuple[AuditHead, ...] | None, AuditKey | None]:
    """Open what the command line names, or the configured trail; the store's heads are read first, so that they are not ahead of the files."""
    config = configuration(arguments)
    path = trail_path(config)
    named = [file.absolute() for file in arguments.files]
    whole = not named or path in named
    key = _own_key(config)
    if not whole:
        # Opened by whoever runs this: they may lie where the gateway's user may not go. Of copies the store tells nothing.
        return open_files(arguments.files, key, None), None, key
    act_as_owner_of(config.store.key_ring_file.parent)
    heads = _heads_of(config, path)
    opened = open_files(arguments.files, key, path) if named else own_files(config, key)
    if not opened.files and opened.head is None and not heads:
        raise CommandError(f"{path}: there is no trail", "Start the gateway; or name the files.")
    return opened, heads, key


def _own_key(config: Config) -> AuditKey | None:
    try:
        return load_audit_key(audit_key_file(config.audit, config.store))
    except SecretFileError as error:
        sys.stderr.write(f"audit.key_file: {error}\n")
        return None


def _heads_of(config: Config, path: Path) -> tuple[AuditHead, ...] | None:
    """Return what the store knows of this host's trail in this file, under whatever names; None when the store cannot be asked."""
    url = config.store.url
    if url.startswith("sqlite:") and not database_path(url).exists():
        return None

    async def read() -> tuple[AuditHead, ...]:
        database = open_database(config.store)
        try:
            return await AuditHeadStore(database).all()
        finally:
            await database.close()

    try:
        return tuple(head for head in asyncio.run(read()) if head.trail.endswith("." + place(path)))
    except StoreUnavailable:
        return None


def _with_head(files: list[Path]) -> Path | None:
    return next((file for file in files if head_path(file).exists()), None)


def _public_key(path: Path) -> PublicKey:
    try:
        with path.open("rb") as file:
            return public_key(file.read(_LARGEST_KEY))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", "Name the file that 'slurm-gateway audit key' printed.") from None
    except ValueError as error:
        raise CommandError(f"{path}: {error}", "Name the file that 'slurm-gateway audit key' printed.") from None


def _walk(opened: Opened, keys: dict[str, PublicKey], marks: Iterable[Mark]) -> Found:
    verifier = Verifier(keys, tuple(marks))
    progress = _Progress(opened)
    for line in opened.lines():
        verifier.take(line)
        progress.step()
    progress.end()
    return verifier.finish(opened.head, opened.seal, opened.head_name)


class _Progress:
    """How far it is, on a terminal, from time to time."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._wanted = sys.stderr.isatty()
        self._next = time.monotonic() + _PROGRESS_EVERY
        self._shown = False
        self._count = 0

    def step(self) -> None:
        self._count += 1
        if self._wanted and self._count % 1000 == 0 and time.monotonic() > self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY
            done, whole = (sum(sizes) for sizes in zip(*((file.position(), file.size) for file in self._opened.files), strict=True))
            sys.stderr.write(f"\r{100 * done // max(whole, 1):3d} %, {self._count} lines")
            sys.stderr.flush()
            self._shown = True

    def end(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")


def _print(found: Found, opened: Opened) -> None:
    out = [shown(f"{file.name}: {file.size} bytes") for file in opened.files]
    out.append(
        f"{found.lines} line(s)"
        + (f", {found.first_seq} of {shown(found.first_at)} to {found.last_seq} of {shown(found.last_at)}" if found.last_seq else "")
    )
    out.append(f"{found.heads} signed head(s)" + (f", the last is line {found.last_head_seq} of {shown(found.last_head_at)}" if found.heads else ""))
    out += [f"note: {shown(note)}" for note in found.notes]
    out += [f"{shown(fault.place)}: {fault.kind}: {shown(fault.text)}" for fault in found.faults]
    out += [f"and {found.more_faults} more"] if found.more_faults else []
    out.append("sound" if found.sound else f"NOT SOUND: {len(found.faults) + found.more_faults} fault(s)")
    sys.stdout.write("\n".join(out) + "\n")


def _print_json(found: Found, opened: Opened) -> None:
    tree: dict[str, Any] = {"sound": found.sound, "files": [{"file": file.name, "bytes": file.size} for file in opened.files], **asdict(found)}
    sys.stdout.write(json.dumps(tree) + "\n")
