"""The demo: a whole real Slurm site on loopback, in namespaces of its own, with nothing of the host changed.

    cli            what people type, and how a refusal looks
    trouble        what went wrong, in one sentence, with a hint
    preconditions  may this run here? root, release, place, port
    layout         every path of a site
    files          files and directories that belong to one user
    record         what a site remembers between commands (DIR/site.json) and tells programs (DIR/demo.json)
    packages       what Debian must have installed
    release        whose Slurm a site runs; second_debian builds the folder with another Debian's
    environment    the virtual environment with the gateway
    accounts       the people and service users, and the private /etc that knows them
    namespace      the mount, PID and host name namespace that everything runs in; holder is its process 1
    processes      looking at and signalling processes without hitting a stranger
    commands       running a program to its end
    services       starting, watching and ending one service
    ports          free ports on loopback
    certificates   the site's own CA
    munge, database, directory, slurm, gateway, web    one server each: its files and how it is started
    people         who is in the directory, and their second factors
    one_time       which code will be accepted now
    job            the first job, through the gateway
    steps          running what depends on each other, the rest side by side, with a line for each
    plan, site     the steps of `up`; the services in order, and what demo.json says
    up, control    the commands
    farewell       the curl lines that `up` ends with
    https, unix_http   speaking to the site

The way of `up`: preconditions → packages, another Debian's folder → record → holder →
steps (each server: files, start, ready) → enrolment → job → curl lines.
"""
