"""The second factor: who can prove it how.

``outcome`` (the Protocol, and what can come of a code) ← ``totp`` (authenticators kept here) · ``radius`` (a server's word) ·
``chosen`` (recovery codes, then the configured kinds in their order). Another kind is a module that implements the Protocol.
"""

from gateway.signin.factor.chosen import ChosenFactors
from gateway.signin.factor.outcome import NotEnrolled, NotProved, Outcome, OutOfStep, Proved, SecondFactor
from gateway.signin.factor.radius import RadiusFactor
from gateway.signin.factor.totp import TotpFactor

__all__ = ["ChosenFactors", "NotEnrolled", "NotProved", "OutOfStep", "Outcome", "Proved", "RadiusFactor", "SecondFactor", "TotpFactor"]
