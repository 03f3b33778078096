"""The audit trail: one JSON line an event, each holding the hash of the one before, the head signed from time to time.

``event`` (what happened, as a line), ``chain`` (linking and signing lines), ``head`` (how far the chain has come), ``keys``, ``file`` (the one
chain that several processes write), ``trail`` (what the gateway writes to), ``keeping`` (the head goes to the store), and for whoever reads it:
``verify``, ``tracing``, ``reading``.
"""

from gateway.observe.audit.event import Event
from gateway.observe.audit.keys import AuditKey, audit_key_file, load_audit_key
from gateway.observe.audit.trail import AuditTrail

__all__ = ["AuditKey", "AuditTrail", "Event", "audit_key_file", "load_audit_key"]
