"""What the audit commands share: the trail's files, opened, and text from them made harmless for a terminal."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.configuration import EXIT_CONFIGURATION, unusable
from gateway.config import Config, SecretFileError
from gateway.errors import CommandError
from gateway.observe.audit import AuditKey, audit_key_file, load_audit_key
from gateway.observe.audit.reading import Opened, open_trail, siblings


def trail_path(config: Config) -> Path:
    """Return the trail's file; raise CommandError when the trail goes to standard error."""
    if config.audit.file is None:
        raise CommandError("audit.file is not set: the trail goes to standard error, unchained", "Set audit.file.", exit_code=EXIT_CONFIGURATION)
    return config.audit.file


def audit_key(config: Config) -> AuditKey:
    """Return the key that signs the trail; raise CommandError when it cannot be had."""
    key_file = audit_key_file(config.audit, config.store)
    try:
        return load_audit_key(key_file)
    except SecretFileError as error:
        raise unusable("audit.key_file", key_file, error) from None


def own_files(config: Config, key: AuditKey | None) -> Opened:
    """Open the configured trail with everything that it was rotated to; raise CommandError."""
    path = trail_path(config)
    try:
        paths = siblings(path)
    except OSError as error:
        raise CommandError(f"{path.parent}: {error.strerror}", "Run this as the gateway's user or as root.") from None
    return open_files(paths, key, path)


def open_files(paths: list[Path], key: AuditKey | None, headed: Path | None) -> Opened:
    """Open files; raise CommandError."""
    try:
        return open_trail(paths, key, headed=headed)
    except OSError as error:
        raise CommandError(
            f"{error.filename or headed}: {error.strerror}", "Run this as the gateway's user or as root, and name files of a trail."
        ) from None


def shown(value: object) -> str:
    """Return a value as text in which nothing moves a cursor, hides or turns around what stands beside it: all else is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii") for character in str(value).replace("\\", "\\\\")
    )
