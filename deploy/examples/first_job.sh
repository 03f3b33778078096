#!/bin/sh
# From signing in to a finished job, with curl alone:  first_job.sh https://slurm.example.org alice
# Where the gateway's certificate is of a CA of your own, name it first:  export CURL_CA_BUNDLE=/path/to/ca.pem
set -eu
url=$1 user=$2

# Secrets are in files that nobody else can read, never on a command line, which everybody on this machine can.
umask 077
secrets=$(mktemp -d)
ask() { curl -sS --fail-with-body -H "@$secrets/token" "$@"; }
leave() { [ ! -s "$secrets/token" ] || ask -X DELETE "$url/auth/session"; rm -rf "$secrets"; }
trap leave EXIT
trap 'exit 1' HUP INT TERM
refused() { printf '%s\n' "$1" >&2; exit 1; }  # what the gateway said: see "detail" and "hint" there

# 1. Sign in: this asks for the code of your authenticator, and curl for the password. Accept: text/plain gives the bare token.
printf 'Code: ' >&2 && read -r code
printf 'X-OTP: %s\n' "$code" >"$secrets/code"
answer=$(curl -sS --fail-with-body -u "$user" -H "@$secrets/code" -H 'Accept: text/plain' -X POST "$url/auth/login") || refused "$answer"
printf 'Authorization: Bearer %s\n' "$answer" >"$secrets/token"

# 2. Submit. With a key of its own it is one job, however often this is sent: curl may try again.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')
answer=$(ask --retry 5 -H "Idempotency-Key: $key" -d @- "$url/slurm/latest/job/submit" <<'JOB'
{"job": {"name": "first", "current_working_directory": "/tmp", "standard_output": "/tmp/first-%j.out", "environment": {"PATH": "/usr/bin:/bin"}},
 "script": "#!/bin/sh\necho Hello from $(id -un)\n"}
JOB
) || refused "$answer"
id=$(printf '%s\n' "$answer" | sed -n 's/.*"job_id": *\([0-9][0-9]*\).*/\1/p' | head -n 1)
printf 'Job %s is submitted.\n' "$id"

# 3. Wait: the gateway answers when the job has ended, or after a minute; then it is asked again.
until grep -qi '^X-Gateway-Waited: *met' "$secrets/head" 2>/dev/null; do
  answer=$(ask --retry 5 -D "$secrets/head" "$url/slurm/latest/job/$id?wait=60&until=finished") || refused "$answer"
done

# 4. What became of it, in a line. At the end the session ends.
ask -H 'Accept: application/x-ndjson' "$url/slurm/latest/jobs?fields=job_id,name,job_state&user=$user" | grep "\"job_id\": *$id,"
