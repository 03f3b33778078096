"""TOML to frozen values; every problem at once, with its place in the file.

``values`` (kinds of value) → ``model`` (what can be set) → ``load`` (file to model) · ``secrets`` (files that hold keys) ·
``reference`` (the table in README.md, made from the model)
"""

from gateway.config.load import ConfigurationError, Parts, Problem, load, parse
from gateway.config.model import (
    Audit,
    Cluster,
    Config,
    Cors,
    Directory,
    Enrolment,
    Events,
    Fairness,
    Log,
    Policy,
    Radius,
    Reads,
    Rule,
    SecondFactor,
    Server,
    Sessions,
    Slurm,
    Store,
    Submissions,
    Throttle,
    Tokens,
    Totp,
    Views,
)
from gateway.config.secrets import SecretFileError, read_secret, write_new_secret
from gateway.config.values import Endpoint
from gateway.secret import Secret

__all__ = [
    "Audit",
    "Cluster",
    "Config",
    "ConfigurationError",
    "Cors",
    "Directory",
    "Endpoint",
    "Enrolment",
    "Events",
    "Fairness",
    "Log",
    "Parts",
    "Policy",
    "Problem",
    "Radius",
    "Reads",
    "Rule",
    "SecondFactor",
    "Secret",
    "SecretFileError",
    "Server",
    "Sessions",
    "Slurm",
    "Store",
    "Submissions",
    "Throttle",
    "Tokens",
    "Totp",
    "Views",
    "load",
    "parse",
    "read_secret",
    "write_new_secret",
]
