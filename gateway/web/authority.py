"""Whether somebody we know may make a call: what their token may be used for, and what the policy says."""

from __future__ import annotations

from gateway.policy.route import Route
from gateway.policy.rules import Request, Rules
from gateway.policy.scopes import refusal
from gateway.sessions.sessions import Identity
from gateway.web.context import Context


class Authority:
    """Asks the token first, which can only take away, and then the policy."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def permit(self, context: Context, identity: Identity, way: Route) -> None:
        """Return if the call is permitted, noting the rule in ``context``; raise NotPermitted or SecondFactorStale otherwise."""
        method = context.method
        if refused := refusal(identity.scopes, method, way.path):
            raise refused
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
        if denied := decision.refusal():
            raise denied
