"""The tree of refusals: what the outside is told, and beside it the inside cause that only the log and the audit trail see.

Every refusal carries a stable ``reason`` (programs match on it), a ``hint`` (people act on it) and a ``cause`` (ours).
The form on the wire is RFC 9457, made in ``gateway.web.problem``.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not always an error of ours
    """An answer of no: ``status`` (RFC 9110 section 15), ``reason``, ``title``, ``detail`` and ``hint`` go out, ``cause`` stays in."""

    status: ClassVar[int] = 500
    reason: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "The gateway failed"
    default_detail: ClassVar[str] = "Something went wrong inside the gateway."
    default_hint: ClassVar[str] = "Tell your administrators the request id; it stands in the gateway's log."

    def __init__(
        self,
        cause: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.detail = detail or self.default_detail
        self.hint = hint or self.default_hint
        self.headers = headers


class InternalError(Refusal):
    """A defect of the gateway; nothing of it is shown but the request id."""


class BadRequest(Refusal):
    """The request cannot be understood, or says two things at once."""

    status = 400
    reason = "bad_request"
    title = "The request is malformed"
    default_detail = "The gateway could not make sense of the request."
    default_hint = "Correct the request; README.md shows each call with curl."


class CredentialsRequired(Refusal):
    """Nothing in the request says who sends it (RFC 9110 section 15.5.2)."""

    status = 401
    reason = "credentials_required"
    title = "Sign in first"
    default_detail = "The request carries no credentials."
    default_hint = "POST /auth/login with username, password and otp, then send 'Authorization: Bearer TOKEN'."


class CredentialsRefused(Refusal):
    """The one answer to unknown user, wrong password, wrong or used code and locked account."""

    status = 401
    reason = "credentials_refused"
    title = "The credentials were refused"
    default_detail = "User name, password and one-time code do not fit together."
    default_hint = (
        "Check all three. A code has six digits, lives about a minute and works once: wait for the next one. "
        "If they are right, ask your administrators whether your account is active and may use this service."
    )


class CodeRefused(CredentialsRefused):
    """The same answer to somebody whom a token names already, and who shows a code alone."""

    default_detail = "The code is not right, or was used before."
    default_hint = "A code has six digits, lives about a minute and works once: send the one that your authenticator shows next."


class TicketRefused(CredentialsRefused):
    """The same answer to whoever comes with a ticket in the place of a code."""

    default_detail = "User name, password and ticket do not fit together."
    default_hint = (
        "Check all three. A ticket is for one person, works once and for a limited time: ask your administrators for another one, "
        "and whether your account is active and may use this service."
    )


class MungeRefused(CredentialsRefused):
    """The same answer to whoever comes with a munge credential."""

    default_detail = "The munge credential does not tell of anybody who may enrol here."
    default_hint = (
        "A credential works once, for some minutes and at one address: run 'slurm-gateway enroll-me' on a login node, as yourself. "
        "If that does not help, ask your administrators whether your account is active, and whether the clocks agree."
    )


class CodeOutOfStep(CredentialsRefused):
    """Password and secret are right, but the code belongs to another time; told only to those who showed the password."""

    title = "The code belongs to another time"
    default_detail = "The code is one of your authenticator's, but not of this moment: its clock, or the gateway's, is off."
    default_hint = "Set the clock of the device that shows the codes (automatic date and time), then use the next code."


class TokenRefused(Refusal):
    """The token is malformed, unknown, ended or expired; the outside is not told which."""

    status = 401
    reason = "token_refused"
    title = "The token is not valid"
    default_detail = "The token is unknown, has ended or has expired."
    default_hint = "Sign in again: POST /auth/login with username, password and otp."


class EnrolmentRequired(Refusal):
    """The password was right, but the person has no second factor yet."""

    status = 403
    reason = "enrolment_required"
    title = "A second factor is needed"
    default_detail = "This account has no second factor yet."
    default_hint = "Ask your administrators to enrol you ('slurm-gateway enroll USER'), then sign in with the code."


class NotPermitted(Refusal):
    """We know who asks, and the answer is no."""

    status = 403
    reason = "not_permitted"
    title = "Not permitted"
    default_detail = "This account may not do that through the gateway."
    default_hint = "Ask your administrators which group or account the service needs."


class SecondFactorStale(Refusal):
    """We know who asks, but they proved their second factor too long ago for this."""

    status = 403
    reason = "second_factor_stale"
    title = "Prove your second factor again"
    default_detail = "This needs a second factor that was proved more recently."
    default_hint = 'POST /auth/stepup with {"otp": "123456"} and the session\'s token, then send this again. With a personal token: sign in.'


class Conflict(Refusal):
    """What is asked for contradicts what is there already (RFC 9110 section 15.5.10)."""

    status = 409
    reason = "conflict"
    title = "That is there already"
    default_detail = "What is asked for contradicts what is there already. Nothing was changed."
    default_hint = "Look at what is there (GET), then decide."


class AlreadyEnrolled(Conflict):
    """What would give somebody a first second factor does not give them another."""

    reason = "already_enrolled"
    title = "There is a second factor already"
    default_detail = "This account has a second factor already."
    default_hint = (
        "Sign in and add another one (POST /auth/totp with the session's token); if the device is lost, sign in with a recovery code, "
        "or ask your administrators."
    )


class NotFound(Refusal):
    """No such path on the gateway."""

    status = 404
    reason = "not_found"
    title = "No such path"
    default_detail = "The gateway serves nothing at this path."
    default_hint = "Slurm's calls are under /slurm/, /slurmdb/ and /openapi; signing in is under /auth/."


class MethodNotAllowed(Refusal):
    """The path exists, but not for this method (RFC 9110 section 15.5.6)."""

    status = 405
    reason = "method_not_allowed"
    title = "Wrong method"
    default_detail = "This path does not take that method."
    default_hint = "The Allow header names the methods that it takes."


class NotAcceptable(Refusal):
    """Nobody makes what Accept asks for (RFC 9110 section 15.5.7)."""

    status = 406
    reason = "not_acceptable"
    title = "Nobody answers in that form"
    default_detail = "Neither Slurm nor the gateway answers this call in a form that Accept takes. Nothing was done."
    default_hint = "Send 'Accept: application/json' or no Accept at all; lists of jobs and nodes come as text/csv and application/x-ndjson, too."


class RequestTimeout(Refusal):
    """The client stopped sending in the middle of its request (RFC 9110 section 15.5.9)."""

    status = 408
    reason = "request_timeout"
    title = "The request came too slowly"
    default_detail = "The body of the request stopped arriving. Nothing was done."
    default_hint = "Send it again; nothing of it was acted upon."


class TooLarge(Refusal):
    """The body exceeds the limit (RFC 9110 section 15.5.14)."""

    status = 413
    reason = "too_large"
    title = "The request is too large"
    default_detail = "The body of the request is larger than the limit."
    default_hint = "Put large data into files on the cluster and name them in the job."


class UnsupportedCoding(Refusal):
    """The body comes in a content coding that is not undone here (RFC 9110 section 15.5.16)."""

    status = 415
    reason = "unsupported_coding"
    title = "The body's compression is not understood"
    default_detail = "The gateway does not undo this Content-Encoding. Nothing was done."
    default_hint = "Send the body without Content-Encoding, or with one of gzip, deflate and zstd."


class Throttled(Refusal):
    """Too many attempts; Retry-After says when to come back (RFC 6585 section 4). ``of_nobody``: the name that was typed is nobody's."""

    of_nobody: bool = False

    status = 429
    reason = "throttled"
    title = "Too many attempts"
    default_detail = "Too many sign-ins failed in a short time, or are being checked at this moment."
    default_hint = "Wait for the seconds that Retry-After names, then try once with a fresh code."


class TooManyCalls(Refusal):
    """One person has too many calls under way, or a queue is full; Retry-After says when to come back (RFC 6585 section 4)."""

    status = 429
    reason = "too_many_calls"
    title = "Too many calls at once"
    default_detail = "Too many of your calls are under way or waiting. This one was not sent, so nothing was done."
    default_hint = "Wait for the seconds that Retry-After names, and have fewer calls under way at once."


class VersionGone(Refusal):
    """The cluster does not serve this version of the API any more (RFC 9110 section 15.5.11)."""

    status = 410
    reason = "version_gone"
    title = "This version of the API is not served any more"
    default_detail = "The cluster's Slurm does not serve this version of the API. Nothing was done."
    default_hint = "Use a version that it serves, or 'latest'."


class KeyReused(Refusal):
    """An idempotency key came with another body than the first time; the answer that it got belongs to the first."""

    status = 422
    reason = "idempotency_key_reused"
    title = "This key belongs to another submission"
    default_detail = "The Idempotency-Key was used before, with another body or path. Nothing was submitted."
    default_hint = "Make a new key for each job; send a key again only with the very same request."


class KeyUnderWay(Conflict):
    """The first request with this idempotency key has no answer yet."""

    reason = "idempotency_under_way"
    title = "The first request with this key is under way"
    default_detail = "The first request with this Idempotency-Key has not been answered yet. Nothing more was submitted."
    default_hint = "Send the same request again after the seconds that Retry-After names: you will get the first one's answer."


class SubmissionUnknown(Conflict):
    """Whether the submission with this idempotency key became a job is not known yet, so it is not sent again."""

    reason = "submission_unknown"
    title = "Whether the job was submitted is not known yet"
    default_detail = "The connection broke after this submission was sent, and Slurm has not shown yet whether it has the job. It was not sent again."
    default_hint = "Send the same request with the same key later: the gateway looks for the job again. Or look yourself: GET /slurm/VERSION/jobs."


class Unavailable(Refusal):
    """Something that the gateway needs is not there; safe to try again."""

    status = 503
    reason = "unavailable"
    title = "Temporarily unavailable"
    default_detail = "The gateway cannot do this at the moment. Nothing was done."
    default_hint = "Try again in a minute; if it stays so, tell your administrators."


class DirectoryUnavailable(Unavailable):
    """The directory did not answer: nobody is let in on its silence."""

    reason = "directory_unavailable"
    title = "The directory does not answer"
    default_detail = "The gateway cannot check passwords at the moment."
    default_hint = "Nothing is wrong with your credentials. Try again in a minute; existing sessions go on."


class FactorUnavailable(Unavailable):
    """The server that checks one-time codes did not answer: nobody is let in on its silence."""

    reason = "factor_unavailable"
    title = "The second factor cannot be checked"
    default_detail = "The server that checks one-time codes does not answer the gateway."
    default_hint = "Nothing is wrong with your credentials. Try again in a minute, with the next code; existing sessions go on."


class SignInBusy(Unavailable):
    """Too many sign-ins wait for their turn: those under way, and the requests of people who are in, go first."""

    reason = "sign_in_busy"
    title = "Too many people sign in at once"
    default_detail = "Too many sign-ins wait for their turn. Nothing was checked and nothing was used up."
    default_hint = "Try again in a few seconds; existing sessions go on."


class StoreUnavailable(Unavailable):
    """The gateway's own store did not answer: closed, never open."""

    reason = "store_unavailable"
    title = "The gateway's store does not answer"


class AuditUnavailable(Unavailable):
    """What cannot be written down is not done."""

    reason = "audit_unavailable"
    title = "The audit trail cannot be written"
    default_detail = "What cannot be written down is not done, and the audit trail cannot be written to. A one-time code that was sent is used up."
    default_hint = "Tell your administrators; then try again, with the next code."


class UpstreamBusy(Unavailable):
    """Every connection to slurmrestd is taken; the request never left."""

    reason = "upstream_busy"
    title = "Slurm's REST API is busy"
    default_detail = "All connections to slurmrestd are taken. The request was not sent."
    default_hint = "Try again in a few seconds, with fewer calls at once."


class UpstreamUnreachable(Refusal):
    """slurmrestd could not be reached; the request never left."""

    status = 502
    reason = "upstream_unreachable"
    title = "Slurm's REST API is down"
    default_detail = "slurmrestd does not accept connections. The request was not sent, so nothing was done."
    default_hint = "Try again in a minute; administrators: is slurmrestd running, and may the gateway's user reach its socket?"


class UpstreamBroken(Refusal):
    """The connection broke, or the answer was no HTTP, after the request had left."""

    status = 502
    reason = "upstream_broken"
    title = "Slurm's REST API broke off"
    default_detail = "slurmrestd broke off before it had answered. Whether it acted on the request is not known."
    default_hint = "Before you send a changing request again, look whether it took effect: GET /slurm/VERSION/jobs."


class UpstreamTimeout(Refusal):
    """slurmrestd took longer than the limit after the request had left."""

    status = 504
    reason = "upstream_timeout"
    title = "Slurm's REST API takes too long"
    default_detail = "slurmrestd did not answer in time. Whether it acted on the request is not known."
    default_hint = "Before you send a changing request again, look whether it took effect: GET /slurm/VERSION/jobs."


class SlurmRefusedGateway(Refusal):
    """Slurm refused the token that the gateway minted: the gateway's fault, never the user's."""

    status = 502
    reason = "slurm_refused_gateway"
    title = "Slurm refused the gateway"
    default_detail = "Slurm did not accept the gateway's own token. Nothing is wrong with your sign-in."
    default_hint = (
        "Tell your administrators: the JWT key must be the same file, byte for byte, for the gateway, slurmctld and slurmdbd; "
        "the clocks must agree; AuthAltTypes=auth/jwt must be set; the user must exist on the cluster."
    )


class CommandError(Exception):
    """A command failed: one line for standard error, one line ``hint:``, and the exit code (1 failed, 2 usage, 3 configuration)."""

    def __init__(self, message: str, hint: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
