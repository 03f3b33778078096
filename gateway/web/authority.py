"""Whether somebody we know may make a call: where their token may be used, what for, and what the policy says."""

from __future__ import annotations

from gateway.config.values import duration_text
from gateway.errors import NotPermitted, SecondFactorStale
from gateway.policy.networks import allows
from gateway.policy.route import Route
from gateway.policy.rules import Request, Rules
from gateway.policy.scopes import needed, scopes_of
from gateway.sessions.sessions import Identity
from gateway.web.context import Context

ASK = "Ask your administrators; they can see why with 'slurm-gateway policy explain'."


class Authority:
    """Asks the token first, which can only take away, and then the policy."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def permit(self, context: Context, identity: Identity, way: Route) -> None:
        """Return if the call is permitted, noting the rule in ``context``; raise NotPermitted or SecondFactorStale otherwise."""
        method = context.request.method
        if not allows(identity.networks, context.address):
            raise NotPermitted(
                "token_network",
                detail="This token may not be used from the address that the request comes from.",
                hint="Send the request from one of the token's networks, or make a token for this one.",
            )
        if not scopes_of(identity.scopes).allows(method, way.path):
            raise NotPermitted(
                "token_scope",
                detail="The scopes of this token do not allow this call.",
                hint=f"The call needs a token with the scope '{needed(method, way.path)}' or a wider one. Make one, or sign in.",
            )
        decision = self._rules.decide(
            Request(
                username=identity.username,
                groups=identity.groups,
                method=method,
                path=way.path,
                cluster=way.cluster,
                address=context.address,
                kind=identity.kind,
                second_factor_at=identity.second_factor_at,
            ),
            context.now,
        )
        context.rule = decision.rule
        if decision.stale_after is not None:
            raise SecondFactorStale(
                f"policy:{decision.rule}",
                detail=f"This call needs a second factor that was proved within the last {duration_text(decision.stale_after)}.",
            )
        if not decision.allowed:
            raise NotPermitted(f"policy:{decision.rule}", detail="The gateway's policy does not permit this call to this account.", hint=ASK)
