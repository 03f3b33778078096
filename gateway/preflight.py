"""What would keep the gateway from starting, beyond the form of its configuration: files, keys, modes, folders. All of it at once."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp.http_parser

from gateway.config import Config, Parts, SecretFileError, read_secret
from gateway.observe.audit import audit_key_file, load_audit_key
from gateway.observe.audit.file import head_path
from gateway.signin.factor.configured import radius_secret
from gateway.slurm.keys import load_signing_key
from gateway.store.migrate import shape_problem
from gateway.store.postgresql import read_password
from gateway.store.sealing import load_key_ring
from gateway.store.sqlite import database_path, is_sqlite


def problems(config: Config) -> tuple[str, ...]:
    """Return everything that is wrong with what ``config`` names, each as ``key: what``; empty when the gateway can start."""
    return problems_of(Parts.of(config))


def problems_of(parts: Parts) -> tuple[str, ...]:
    """Return the same of those sections that are right in themselves."""
    return (*_parser(), *_secrets(parts), *_files(parts), *_folders(parts))


def has_c_parser() -> bool:
    """Tell whether aiohttp parses requests with llhttp: its pure-Python parser has let smuggled requests through before."""
    return aiohttp.http_parser.HttpRequestParser is not aiohttp.http_parser.HttpRequestParserPy


def _parser() -> Iterator[str]:
    if not has_c_parser():
        yield "aiohttp: its C parser is missing or switched off (AIOHTTP_NO_EXTENSIONS); the gateway does not run without it"


def _secrets(parts: Parts) -> Iterator[str]:
    if parts.store is not None:
        ring, store_password = parts.store.key_ring_file, parts.store.password_file
        yield from _attempt("store.key_ring_file", lambda: load_key_ring(ring))
        if parts.audit is not None and parts.audit.file is not None:
            key_file = audit_key_file(parts.audit, parts.store)
            # It leaves alone what is there, so that it is no way out of a key that is damaged.
            making = "" if os.path.lexists(key_file) else "; 'slurm-gateway keys init' makes one"
            yield from (f"{problem}{making}" for problem in _attempt("audit.key_file", lambda: load_audit_key(key_file)))
        if store_password is not None:
            yield from _attempt("store.password_file", lambda: read_password(store_password))
    password = parts.directory.bind_password_file if parts.directory is not None else None
    if password is not None:
        yield from _attempt("directory.bind_password_file", lambda: read_secret(password))
    if parts.radius is not None and (shared := parts.radius.secret_file) is not None:
        yield from _attempt("radius.secret_file", lambda: radius_secret(shared))
    for name, cluster in parts.clusters.items():
        key = "jwt_key_file" if cluster.jwt_key_file is not None else "jwt_private_key_file"
        yield from _attempt(f"clusters.{name}.{key}", lambda cluster=cluster: load_signing_key(cluster))  # type: ignore[misc]


def _attempt(key: str, read: Callable[[], object]) -> Iterator[str]:
    try:
        read()
    except SecretFileError as error:
        yield f"{key}: {error}"


def _files(parts: Parts) -> Iterator[str]:
    if parts.directory is not None:
        yield from _certificates("directory.ca_file", parts.directory.ca_file)
    if parts.store is not None:
        broken = tuple(_certificates("store.ca_file", parts.store.ca_file))
        yield from broken
        if not broken and (problem := shape_problem(parts.store)):
            yield f"store.url: {problem}"


def _certificates(key: str, path: Path | None) -> Iterator[str]:
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        yield f"{key}: {path} holds no certificate in PEM"
    except OSError as error:
        yield f"{key}: {path} cannot be read: {error.strerror}"


def _folders(parts: Parts) -> Iterator[str]:
    if parts.store is not None and is_sqlite(parts.store.url):
        yield from _writable("store.url", database_path(parts.store.url))
    if parts.audit is not None and parts.audit.file is not None:
        yield from _writable("audit.file", parts.audit.file)
        if (head := head_path(parts.audit.file)).exists() and not os.access(head, os.R_OK | os.W_OK):
            yield f"audit.file: {head} may not be written to by this user"
    if parts.server is None:
        return
    for key, listen in (("server.listen", parts.server.listen), ("server.admin_listen", parts.server.admin_listen)):
        if listen is not None and listen.path is not None:
            yield from _folder(key, Path(listen.path).parent)


def _writable(key: str, path: Path) -> Iterator[str]:
    yield from _folder(key, path.parent)
    if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        yield f"{key}: {path} is no file that this user may write to"


def _folder(key: str, folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{key}: the folder {folder} does not exist"
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield f"{key}: the folder {folder} may not be written to by this user"
