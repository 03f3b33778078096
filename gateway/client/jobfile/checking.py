"""What is wrong with a job, before anybody submits it: judged by the cluster's own description, after what the gateway would bring up (pure).

An error is what Slurm refuses, or loses without a word; a warning is what it takes though it describes something else, or what is done otherwise
than one might think; a note is what the gateway brings into the form of the cluster's version.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.client.errors import NotUnderstoodError
from gateway.client.jobfile import dialect, shapes
from gateway.client.jobfile.dialect import OLD
from gateway.client.jobfile.places import Path, Places
from gateway.client.jobfile.schema import Schema, Submission

Severity = Literal["error", "warning", "note"]
MOST = 200
"""So many problems are told of one file."""
# References are followed so often: some that lead to several others, and those again, have no end in anybody's lifetime.
_MOST_FOLLOWED = 100_000
_DEEPEST = 50  # of references within each other; Slurm has less than ten
_UNKNOWN = "unknown"
_NEEDED = {"environment", "current_working_directory"}
_NUMBERS = {"set", "infinite", "number"}
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about a job: where (``line`` and ``column`` from 1, ``field`` like ``job.tasks``), what, and what to do."""

    line: int | None
    column: int | None
    field: str
    message: str
    hint: str
    severity: Severity


def check(tree: Any, submission: Submission, places: Places) -> list[Problem]:  # noqa: ANN401 - JSON is what it is
    """Return what is wrong with a submission, in the order of the file; raise NotUnderstoodError if the description cannot be used."""
    checker = _Checker(submission, places)
    try:
        found = list(itertools.islice(checker.problems(tree), MOST))
    except RecursionError as error:
        raise NotUnderstoodError("the cluster's description of its API has no end", hint="Ask your administrators to look at /openapi/v3.") from error
    return sorted(found, key=lambda problem: (problem.line or 0, problem.column or 0))


def name_of(path: Path) -> str:
    """Return a path as people write it: ``jobs[0].tasks``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


class _Checker:
    def __init__(self, submission: Submission, places: Places) -> None:
        self._submission = submission
        self._version = submission.number
        self._places = places
        self._fields = submission.fields()
        told = submission.resolved(submission.schema).get("properties", {}).get("job", {})
        self._validator = validator({**told, "definitions": submission.schema["definitions"]})

    def problems(self, tree: Any) -> Iterator[Problem]:  # noqa: ANN401 - JSON is what it is
        if not isinstance(tree, dict):
            yield self._problem((), f"is {kind_of(tree)}, not an object with a job in it", 'Write {"job": {…}, "script": "#!/bin/sh …"}.')
            return
        jobs = dict(self._jobs(tree))
        yield from self._tops(tree, jobs)
        yield from self._scripts(tree, jobs)
        for path, job in jobs.items():
            if isinstance(job, dict):
                yield from self._job(path, job)
            else:
                yield self._problem(path, f"is {kind_of(job)}, not an object", "Write the job's fields between { and }.")

    # The submission.

    @staticmethod
    def _jobs(tree: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
        for name in ("job", "jobs"):
            if isinstance(tree.get(name), list):
                yield from (((name, number), job) for number, job in enumerate(tree[name]))
            elif name in tree:
                yield (name,), tree[name]

    def _tops(self, tree: Mapping[str, Any], jobs: Mapping[Path, Any]) -> Iterator[Problem]:
        if not jobs:
            yield self._problem((), "no job", 'Put the job\'s fields into "job": {…}.')
        if "job" in tree and "jobs" in tree:
            hint = "Keep 'job' for one job, or 'jobs' for the parts of a heterogeneous one."
            yield self._problem(("jobs",), "stands beside 'job', and one of the two is lost or refused", hint, name=True)
        if "job" not in tree and isinstance(tree.get("jobs"), dict):
            yield self._note(("jobs",), f"is an object; {self._submission.version} calls one job 'job': the gateway brings it up")
        known = {"job", "jobs", "script"}
        for name in tree:
            if name not in known:
                yield self._lost((name,), known | self._fields, inside="job" if name in self._fields else None)

    def _scripts(self, tree: Mapping[str, Any], jobs: Mapping[Path, Any]) -> Iterator[Problem]:
        inner = [(*path, "script") for path, job in jobs.items() if isinstance(job, dict) and "script" in job]
        given = ([tree["script"]] if "script" in tree else []) + [jobs[path[:-1]]["script"] for path in inner]
        where = next(iter([*([("script",)] if "script" in tree else []), *inner]), ())
        if "script" in tree and inner and any(script != given[0] for script in given):
            yield self._problem(inner[0], "is another script than the one beside the job, and one of the two is lost", "Keep one of them.", name=True)
        if not any(script is not None for script in given) and jobs:
            hint = 'Write "script": "#!/bin/sh\\nsrun hostname\\n" beside or in the job.'
            yield self._problem(next(iter(jobs)), "no script, without which Slurm refuses the job", hint)
        elif given and not str(given[0]).strip():
            severity: Severity = "warning" if self._version <= OLD else "error"
            yield self._problem(where, "is empty: there is nothing to run", "Write into it what the job is to do.", severity=severity)
        elif given and isinstance(given[0], str) and not given[0].startswith("#!"):
            yield self._problem(where, "does not begin with #!", "Make its first line #!/bin/sh, or what else it is for.", severity="warning")
        if inner and self._version <= OLD and "script" not in tree:
            yield self._note(inner[0], f"stands in the job; {self._submission.version} has it beside the job: the gateway brings it up")

    # One job.

    def _job(self, path: Path, job: Mapping[str, Any]) -> Iterator[Problem]:
        old = shapes.brought_up(job, self._version)
        for name, to in old.items():
            yield self._brought_up((*path, name), job[name], name, to)
            if shapes.is_spelling(name, to):  # whose value stays as it is
                yield from self._field((*path, name), to, job[name])
        yield from self._missing(path, job)
        yield from self._twice(path, old, job)
        for name, value in job.items():
            if not (name == "script" or name in old or (name in _NEEDED and value is None)):  # of which is said that they are missing
                yield from self._field((*path, name), name, value)

    def _field(self, path: Path, name: str, value: Any) -> Iterator[Problem]:  # noqa: ANN401 - JSON is what it is
        known = self._known_as(name)
        is_known = known in self._fields or (known in dialect.UNDESCRIBED and self._version <= OLD)
        why = dialect.refused(known, self._version) if is_known else None
        decided = dialect.decided(known, value, self._version) if is_known else None
        if why is not None:
            yield self._problem(path, why, "Take it out.", name=True)
        elif decided is False:
            said = dialect.wants(known, self._version) or self._described(known)
            yield self._problem(path, f"is {shown(value)}; {self._submission.version} takes {said}", "Write it so.")
        elif decided is None and (known in self._fields or not is_known):
            for error in self._validator.iter_errors({known: value}):
                yield from self._of((*path, *list(error.absolute_path)[1:]), error)

    def _known_as(self, name: str) -> str:
        """Return the name that the description has for a field; the older parser takes other spellings, and does not mind case."""
        if self._version > OLD or name in self._fields:
            return name
        return shapes.ALSO.get(name.lower(), name.lower() if name.lower() in self._fields | dialect.UNDESCRIBED else name)

    def _missing(self, path: Path, job: Mapping[str, Any]) -> Iterator[Problem]:
        if job.get("environment") is None and "get_user_environment" not in job:
            yield self._note(path, "no environment: the gateway gives the job one with PATH alone", field="environment")
        elif job.get("environment") in ({}, []):
            yield self._problem((*path, "environment"), "is empty, and Slurm refuses that", "Put PATH into it, or leave it out.")
        if job.get("current_working_directory", job.get("cwd")) in (None, ""):
            hint = 'Write "current_working_directory": "/a/folder/on/the/cluster".'
            if self._version <= OLD:
                yield self._problem(path, "no working directory: the job runs in /", hint, field="current_working_directory", severity="warning")
            else:
                message = "no working directory, without which Slurm refuses the job"
                yield self._problem(path, message, hint, field="current_working_directory")

    def _twice(self, path: Path, old: Mapping[str, str], job: Mapping[str, Any]) -> Iterator[Problem]:
        """Tell of two fields that say different things of one, for the gateway then leaves all as it came."""
        for name, to in old.items():
            if to != name and to in job and to not in old and to != "flags" and job[to] != job[name]:
                severity: Severity = "warning" if self._version <= OLD else "error"
                yield self._problem((*path, name), f"says something else than {to}", "Keep one of them.", name=True, severity=severity)

    def _brought_up(self, path: Path, value: Any, name: str, to: str) -> Problem:  # noqa: ANN401 - JSON is what it is
        version = self._submission.version
        if to != name:
            what = "is called" if shapes.is_spelling(name, to) else "becomes"
            return self._note(path, f"{what} {to} in {version}: the gateway brings it up", name=True)
        return self._note(path, f"is {kind_of(value)}; {version} takes {self._described(name)}: the gateway brings it up")

    def _described(self, name: str) -> str:
        """Return in words what the description says of a field."""
        job = self._submission.resolved(self._submission.resolved(self._submission.schema)["properties"].get("job", {}))
        schema = self._submission.resolved(job.get("properties", {}).get(name, {}))
        if schema.get("enum"):
            return "one of " + ", ".join(schema["enum"])
        if schema.get("properties", {}).keys() >= _NUMBERS:
            return "a number"
        kind = schema.get("type")
        return _KINDS.get(kind, "another form") if isinstance(kind, str) else "another form"

    # By the description.

    def _of(self, where: Path, error: Any) -> Iterator[Problem]:  # noqa: ANN401 - jsonschema's errors
        if error.validator == _UNKNOWN:
            name, known = error.validator_value
            inside = (*where, name) if error.absolute_path else where
            yield self._lost(inside, set(known) | (dialect.UNDESCRIBED if self._version <= OLD else set()))
        elif error.validator == "enum":
            words = list(error.validator_value)
            if not dialect.one_of(error.instance, words):
                yield self._no_word(where, error.instance, words)
        elif error.validator == "type":
            yield from self._other_type(where, error)
        else:
            yield self._problem(where, f"is {shown(error.instance)}, which is none of what {self._submission.version} takes", "Correct it.")

    def _other_type(self, where: Path, error: Any) -> Iterator[Problem]:  # noqa: ANN401 - jsonschema's errors
        value, schema = error.instance, error.schema
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        words = self._submission.resolved(schema.get("items", {})).get("enum")
        if words and "array" in kinds and self._version > OLD and isinstance(value, str):
            if not dialect.one_of(value, words):
                yield self._no_word(where, value, words)
            return
        number = schema.get("properties", {}).keys() >= _NUMBERS
        anything = "array" in kinds and not schema.get("items")
        verdict = (
            "" if anything else None if words else dialect.turned(kinds[0], value, self._version, is_number_or_unset=number and self._version > OLD)
        )
        said = f"is {shown(value)}; {self._submission.version} takes {'a number' if number else _KINDS.get(kinds[0], kinds[0])}"
        if verdict is None:
            yield self._problem(where, said, "Correct its type.")
        elif verdict:
            yield self._problem(where, f"{said} ({verdict})", "Correct its type.", severity="warning")

    def _no_word(self, where: Path, value: Any, words: list[str]) -> Problem:  # noqa: ANN401 - JSON is what it is
        close = difflib.get_close_matches(value.upper(), [word.upper() for word in words], n=1) if isinstance(value, str) else []
        meant = next((word for word in words if close and word.upper() == close[0]), None)
        hint = f"Did you mean {meant}?" if meant else f"Write one of {', '.join(words[:12])}{', …' if len(words) > 12 else ''}."  # noqa: PLR2004 - a line
        return self._problem(where, f"{shown(value)} is none of its values{f'; did you mean {meant}?' if meant else ''}", hint)

    # Saying it.

    def _lost(self, path: Path, known: set[str] | frozenset[str], *, inside: str | None = None) -> Problem:
        name = str(path[-1])
        if inside is not None:
            return self._problem(path, f"unknown field; it belongs into '{inside}'", f"Move it into '{inside}'.", name=True)
        close = difflib.get_close_matches(name.lower(), sorted(known), n=1)
        hint = f"Did you mean {close[0]}?" if close else f"{self._submission.version} has no such field: take it out."
        return self._problem(path, f"unknown field{f'; did you mean {close[0]}?' if close else ''}", hint, name=True)

    def _note(self, path: Path, message: str, *, name: bool = False, field: str | None = None) -> Problem:
        hint = f"Nothing has to be done; written for {self._submission.version} it needs no repair."
        return self._problem(path, message, hint, name=name, field=field, severity="note")

    def _problem(self, path: Path, message: str, hint: str, *, name: bool = False, field: str | None = None, severity: Severity = "error") -> Problem:
        place = self._places.of_name(path) if name else self._places.of(path)
        whole = path if field is None else (*path, field)
        return Problem(
            line=None if place is None else place.line,
            column=None if place is None else place.column,
            field=name_of(whole),
            message=message,
            hint=hint,
            severity=severity,
        )


def kind_of(value: Any) -> str:  # noqa: ANN401 - JSON is what it is
    """Return in words what a value is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}.get(type(value), "something else")


def shown(value: Any) -> str:  # noqa: ANN401 - JSON is what it is
    """Return a value in few words: what it is, and itself where it is short."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool) and len(str(value)) <= 40:  # noqa: PLR2004 - a part of a line
        return f'the text "{value}"' if isinstance(value, str) else f"the number {value}"
    return kind_of(value)


def validator(schema: Schema) -> Any:  # noqa: ANN401 - jsonschema makes the class
    """Return a validator of JSON Schema (draft 4, of which OpenAPI 3.0 is a dialect) that tells of unknown fields as well; nothing is fetched."""
    import jsonschema  # noqa: PLC0415 - a tenth of a second that no other command needs
    from jsonschema.validators import extend  # noqa: PLC0415 - as above
    from referencing import Registry  # noqa: PLC0415 - as above

    within: list[str] = []
    followed, follow = itertools.count(), jsonschema.Draft4Validator.VALIDATORS["$ref"]

    def reference(validator: Any, to: str, value: Any, schema: Schema) -> Iterator[Any]:  # noqa: ANN401 - jsonschema's own
        # Deep enough, Python's own limit would strike within the libraries, one of which does not survive that.
        if next(followed) > _MOST_FOLLOWED or len(within) > _DEEPEST:
            raise RecursionError
        within.append(to)
        try:
            yield from follow(validator, to, value, schema)
        finally:
            within.pop()

    keywords = {"properties": _properties, "$ref": reference}
    made: Any = extend(jsonschema.Draft4Validator, keywords)  # type: ignore[no-untyped-call]  # jsonschema's own types lack it
    return made(schema, registry=Registry())


def _properties(validator: Any, known: Mapping[str, Any], value: Any, schema: Schema) -> Iterator[Any]:  # noqa: ANN401 - jsonschema's own
    import jsonschema  # noqa: PLC0415 - as above

    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name in known:
            yield from validator.descend(inner, known[name], path=name, schema_path=name)
        elif "additionalProperties" not in schema:
            error = jsonschema.ValidationError("unknown", validator=_UNKNOWN, validator_value=(name, known), instance=value, schema=schema)
            yield error
