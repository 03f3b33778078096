"""The directory: who somebody is, and whether a password is theirs. The only room that knows LDAP.

``names`` (what was typed; pure) → ``people`` (entry and ``groups``, found by the service account) → ``ldap_directory`` (the one bind) ·
``entries`` (pure), ``states`` (what servers say of accounts; pure) · ``link``, ``links`` (kept connections), ``servers`` (who is down;
pure) · ``steps`` (what ``directory check`` says)
"""

from gateway.signin.directory.ldap_directory import LdapDirectory

__all__ = ["LdapDirectory"]
