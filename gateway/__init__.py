"""slurm-gateway: an authenticating reverse proxy for Slurm's REST API.

The rooms, from the bottom up; imports point downwards only (a tool checks it):

``secret``       a value that is never shown
``errors``       the tree of refusals: status, reason, public text, hint, inside cause
``config``       TOML to frozen values; every problem at once, with its place in the file
``store``        what must last: tables, migrations, sealing of secrets
``observe``      what happened: audit trail, logs, metrics, health
``policy``       may you? the one spelling of a path, where it leads, scopes and rules (pure)
``slurm``        speaking Slurm (pure): whom to mint for, minting; versions, repair of jobs, meaning of answers; views of lists, states of jobs
``signin``       who are you? credentials, directory (LDAP), second factor, throttle, login, enrolment
``sessions``     do I know you, and are you still who you were? tokens (pure), sessions, the accounts behind them, a standby
``proxy``        carrying it: headers (pure), one exchange, turns and connections, what people share, feeds of events, the process beside the worker
``web``          the front door: handlers of /auth, of Slurm's paths, of events, of health; turns refusals into answers
``client``       the user's side: a gateway for programs, and what the commands for people are made of; needs nothing of the above but secret
``preflight``    what would keep the gateway from starting
``app``          the composition root: configuration in, running application out
``worker``       one process that serves; ``supervisor`` keeps several, ``sockets`` binds what they share
``cli``          what people type: one small file a command

The way of a request: nginx (TLS, limits, request id) → ``web.front`` (one spelling of the path) → ``web.doorman`` (``sessions.resolve``
or ``signin.login``) → ``policy.route`` → ``web.versions`` (what ``latest`` is) → ``policy.rules`` (may they?) → for a read ``web.reads``
(kept, joined, or asked for), for a change ``web.mending`` (repair) and ``web.keyed`` (once only) → ``slurm.minting`` (a JWT for this user) →
``proxy.headers`` (allow-list) → ``proxy.forward`` (their turn, a connection, one exchange) → the audit trail → the client.
"""

__version__ = "0.1.0"
