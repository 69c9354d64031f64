"""-t tells every mistake of a file in one run, each with its line, and nothing that is none."""
import re

import pytest

from harness.servers import run_binary

pytestmark = pytest.mark.needs_gate

# What is said of a line stands behind it, by "; !"; several by " !! ".
BAD = """
[proxy]
lisen = 127.0.0.1:6381            ; ! unknown option 'lisen', did you mean 'listen'?
threads = many                    ; ! threads: 'many' is not a whole number
client-idle-timeout = 5 parsecs   ; ! client-idle-timeout: '5 parsecs' is not a duration such as 500ms, 10s, 5m or 7d
max-request-size = 1tbx           ; ! max-request-size: '1tbx' is not a size such as 64kb, 10mb or 1gb
anonymous = maybe                 ; ! anonymous: 'maybe' is not one of no, backend
drain-timeout = 1s
drain-timeout = 2s                ; ! 'drain-timeout' is already set at FILE:8

[backend]
url = http://127.0.0.1            ; ! url: it must begin with redis://, rediss:// or unix://

[bakend]                          ; ! unknown section [bakend], did you mean [backend]?
url = redis://127.0.0.1

[rule no-flush]
commands = flushall, flushal      ; ! unknown command 'flushal', did you mean 'flushall'?
commands = @destructiv            ; ! unknown class '@destructiv', did you mean '@destructive'?
commands = config|sett            ; ! unknown command 'config|sett', did you mean 'config|set'?
action = deny

[rule no-flush]                   ; ! section [rule no-flush] is already at FILE:17
commands = flushdb
action = deny

[rule rate-alone]
commands = getset
keys = a:*
action = deny
rate = 100/s                      ; ! 'rate' means nothing with 'deny': it belongs to limit and delay

[rule no-rate]                    ; ! rule 'no-rate': 'limit' needs 'rate'
commands = set
action = limit

[rule bad-rate]                   ; ! rule 'bad-rate': 'limit' needs 'rate'
commands = set
action = limit
rate = 100/w                      ; ! rate: '100/w' is not a rate such as 100/s or 5000/m
per = planet                      ; ! per: 'planet' is not one of client, ip, user, prefix, rule

[rule bad-action]
commands = append
keys = a:*
action = forbid                   ; ! action: 'forbid' is not one of deny, allow, limit, delay, log, rewrite, confirm

[rule bad-clauses]
commands = set
keys =                            ; ! 'keys' has no value: leave the line out
db = x                            ; ! 'x' is no database number
from = 10.0.0.0/99                ; ! '10.0.0.0/99' is neither an address, a network like 10.0.0.0/8, nor unix
min-bytes = 10 mib                ; ! min-bytes: '10 mib' is not a size such as 64kb, 10mb or 1gb
max-ttl = 7days                   ; ! max-ttl: '7days' is not a duration such as 500ms, 10s, 5m or 7d
when = hot                        ; ! when: 'hot' is not one of normal, high, critical
frum = 10.0.0.0/8                 ; ! unknown option 'frum', did you mean 'from'?
action = deny

[rule elements-alone]
commands = lrange
min-elements = 5                  ; ! 'min-elements' needs 'unbounded = yes'
action = deny

[rule of-others]
commands = del
keys = a:*
action = deny
confirm = self                    ; ! 'confirm' means nothing with 'deny': it belongs to confirm
add = EX 60                       ; ! 'add' means nothing with 'deny': it belongs to rewrite
delay-max = 2s                    ; ! 'delay-max' means nothing with 'deny': it belongs to delay
exempt = yes                      ; ! 'exempt' means nothing with 'deny': it belongs to allow
shared = yes                      ; ! 'shared' means nothing with 'deny': it belongs to limit
read-from = nearest               ; ! 'read-from' means nothing with 'deny': it belongs to allow

[rule rewrite-nothing]
commands = get
action = rewrite
add = EX 60                       ; ! rule 'rewrite-nothing' names no command that 'EX 60' can be added to

[rule rewrite-what]
commands = set
action = rewrite
add = XX 60                       ; ! add: 'XX 60' is none of: MAXLEN ~ N, MAXLEN = N, EX SECONDS, ASYNC

[rule shared-client]
commands = set
action = limit
rate = 1/s
per = client                      ; ! warning: rule 'shared-client': who connects again has a full bucket: add a limit per ip or user
shared = yes                      ; ! rule 'shared-client': 'shared = yes' goes with per = ip, user or rule

[rule everything]
commands = *
action = deny

[rule never]                      ; ! warning: rule 'never' can never match: rule 'everything' at line 92 always decides first
commands = hget
action = deny

[scripts]
mode = inspekt                    ; ! mode: 'inspekt' is not one of inspect, acl, allowlist, deny, allow; did you mean 'inspect'?
allow-sha1 = xyz                  ; ! allow-sha1: 'xyz' is not a SHA-1 of 40 hex digits

[proxy]                           ; ! section [proxy] is already at FILE:2

no section                        ; ! no '=' in this line
= value                           ; ! no name of an option before the '='
"""


def expected(path):
    for number, line in enumerate(BAD.split("\n"), 1):
        for text in line.split("; ! ", 1)[1].split(" !! ") if "; ! " in line else []:
            yield number, text.replace("FILE", str(path))


def test_all_mistakes_in_one_run(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text(re.sub(r" *; ! .*", "", BAD))
    path.chmod(0o600)
    code, out, errors = run_binary("-t", "-c", path)
    told = [re.fullmatch(rf"{re.escape(str(path))}:(\d+): (.*)", line).groups() for line in
            (out + errors).splitlines()]
    assert code == 1
    assert sorted((int(number), text) for number, text in told) == sorted(expected(path))
