"""Command forms for the differential test: what clients may send, right and wrong.

In a form {k} is any key, {s} {l} {h} {z} {i} {x} {g} {b} are keys meant for strings, lists, hashes,
sorted sets, sets of integers, streams, geo and bits (any of which may hold another type by then), {v} a
value, {f} a field, {n} a small integer, {m} a number or something that is none, {w} a number of
any size.

Only forms with one right answer are here: no random members, no clocks, no hash tables whose
order depends on the server's seed. Sets hold integers, because an intset is ordered.
"""

STRINGS = """
SET {s} {v}
SET {s} {v} NX
SET {s} {v} XX GET
SET {s}ex {v} EX 100000
SET {s} {v} PXAT 99999999999999
SET {s} {v} KEEPTTL
SET {s} {v} NX XX
SET {s} {v} EX {m}x
SETNX {s} {v}
SETEX {s}ex 100000 {v}
SETEX {s} -{m} {v}
PSETEX {s}ex 100000000 {v}
GET {k}
GETSET {s} {v}
GETDEL {s}
GETEX {s} PERSIST
GETEX {s} EXAT 99999999999
GETRANGE {s} {n} {w}
SUBSTR {s} 0 {n}
SETRANGE {s} {n} {v}
SETRANGE {s} -1 {v}
APPEND {s} {v}
STRLEN {k}
INCR {k}
DECR {s}
INCRBY {s} {m}
DECRBY {s} {w}
INCRBYFLOAT {s} {m}
MSET {s} {v} {s} {v}
MSET {s} {v} {s}
MSETNX {s} {v} {s} {v}
MGET {k} {k} {k}
LCS {s} {s}
LCS {s} {s} LEN
LCS {s} {s} IDX MINMATCHLEN {n} WITHMATCHLEN
"""

KEYS = """
DEL {k}
DEL {k} {k}
UNLINK {k} {k} {k}
EXISTS {k} {k} {k}
TYPE {k}
RENAME {k} {k}
RENAMENX {k} {k}
COPY {k} {k}
COPY {k} {k} REPLACE
COPY {k} {k} DB {n}
MOVE {k} 1
MOVE {k} {m}
TOUCH {k} {k}
EXPIREAT {k} 99999999999
EXPIREAT {k} 99999999999 NX
EXPIREAT {k} 99999999998 GT
PEXPIREAT {k} 99999999999999 LT
EXPIRE {k} {m}x
EXPIRE {k} -1
EXPIRETIME {k}
PEXPIRETIME {k}
PERSIST {k}
OBJECT ENCODING {k}
OBJECT REFCOUNT none
OBJECT HELP
OBJECT NONSENSE {k}
KEYS {k}
EXISTS
SORT {l} ALPHA
SORT {i} DESC LIMIT 0 {n}
SORT {i} BY nosort GET # GET w_*
SORT {l}
SORT {i} STORE {l}
SORT_RO {l} ALPHA LIMIT {n} {n}
DUMP none
RESTORE {s} 0 garbage
"""

LISTS = """
LPUSH {l} {v}
LPUSH {l} {n} {n} {n}
RPUSH {l} {v} {v} {v}
LPUSHX {l} {v}
RPUSHX {l} {v}
LPOP {k}
RPOP {l}
LPOP {l} {m}
RPOP {l} 2
LLEN {k}
LRANGE {l} {w} {w}
LRANGE {k} 0 -1
LINDEX {l} {n}
LSET {l} {n} {v}
LREM {l} {m} {v}
LINSERT {l} BEFORE {v} {v}
LINSERT {l} AFTER {n} {v}
LINSERT {l} BESIDE {v} {v}
LTRIM {l} 0 {n}
LPOS {l} {v}
LPOS {l} {v} RANK -1 COUNT 0 MAXLEN {n}
LPOS {l} {v} RANK 0
LMOVE {l} {l} LEFT RIGHT
LMOVE {l} {l} UP DOWN
RPOPLPUSH {l} {l}
LMPOP 2 {l} {l} LEFT COUNT {n}
LMPOP {m} {l} RIGHT
"""

HASHES = """
HSET {h} {f} {v}
HSET {h} {f} {v} {f} {v}
HSET {h} {f} {v} {f}
HMSET {h} {f} {v}
HSETNX {h} {f} {v}
HGET {k} {f}
HMGET {h} {f} {f}
HGETALL {h}
HDEL {h} {f}
HLEN {k}
HKEYS {h}
HVALS {h}
HEXISTS {h} {f}
HSTRLEN {h} {f}
HINCRBY {h} {f} {m}
HINCRBYFLOAT {h} {f} {m}
HSCAN {h} 0
HSCAN {h} 0 MATCH {f} COUNT {m}
HSCAN {h} garbage
HRANDFIELD none
HRANDFIELD {h} 0
"""

SETS = """
SADD {i} {n}
SADD {i} {n} {n} {n}
SREM {i} {n} {n}
SCARD {k}
SISMEMBER {i} {n}
SMISMEMBER {i} {n} {n} x
SMEMBERS {i}
SMOVE {i} {i} {n}
SINTER {i} {i}
SINTERCARD 2 {i} {i} LIMIT {m}
SINTERCARD 0 {i}
SUNION {i} {i}
SDIFF {i} {i} {i}
SUNIONSTORE {i} {i} {i}
SINTERSTORE {i} {i} {i}
SDIFFSTORE {i} {i} {i}
SSCAN {i} 0
SRANDMEMBER none
SPOP none
SPOP {i} -1
"""

ZSETS = """
ZADD {z} {n} {v}
ZADD {z} {m} {v}
ZADD {z} NX {n} {v}
ZADD {z} XX CH {n} {v}
ZADD {z} GT LT {n} {v}
ZADD {z} INCR {n} {v}
ZADD {z} inf {v} -inf {v}
ZINCRBY {z} {m} {v}
ZREM {z} {v} {v}
ZCARD {k}
ZSCORE {z} {v}
ZMSCORE {z} {v} {v}
ZRANK {z} {v}
ZREVRANK {z} {v}
ZCOUNT {z} (1 +inf
ZCOUNT {z} {m} {m}
ZLEXCOUNT {z} - +
ZRANGE {z} 0 -1
ZRANGE {z} 0 -1 WITHSCORES
ZRANGE {z} (1 5 BYSCORE LIMIT 0 {n}
ZRANGE {z} + - BYLEX REV
ZRANGE {z} x y BYLEX
ZREVRANGE {z} 0 {n} WITHSCORES
ZRANGEBYSCORE {z} -inf +inf WITHSCORES LIMIT {n} {n}
ZREVRANGEBYSCORE {z} +inf -inf
ZRANGEBYLEX {z} [a (z
ZREVRANGEBYLEX {z} + -
ZRANGESTORE {z} {z} 0 {n}
ZREMRANGEBYRANK {z} 0 0
ZREMRANGEBYSCORE {z} (8 9
ZREMRANGEBYLEX {z} [zz +
ZPOPMIN {z}
ZPOPMAX {z} {m}
ZMPOP 2 {z} {z} MIN COUNT 2
ZINTER 2 {z} {z} WITHSCORES
ZUNION 2 {z} {z} WEIGHTS 2 3 AGGREGATE MAX WITHSCORES
ZDIFF 2 {z} {z} WITHSCORES
ZUNIONSTORE {z} 2 {z} {z}
ZINTERSTORE {z} 2 {z} {z} AGGREGATE {v}
ZDIFFSTORE {z} 2 {z} {z}
ZINTERCARD 2 {z} {z}
ZUNIONSTORE {z} {m} {z}
ZSCAN {z} 0
ZRANDMEMBER none
"""

STREAMS = """
XADD {x} 1-{n} {f} {v}
XADD {x} 9-{n} {f} {v} {f} {v}
XADD {x} MAXLEN {n} 99-1 {f} {v}
XADD {x} NOMKSTREAM 5-5 {f} {v}
XADD {x} 1-1 {f}
XADD {x} garbage {f} {v}
XLEN {k}
XRANGE {x} - +
XRANGE {x} (1-0 9 COUNT {n}
XREVRANGE {x} + - COUNT 1
XDEL {x} 1-{n}
XTRIM {x} MAXLEN {n}
XTRIM {x} MINID 1-{n}
XREAD COUNT {n} STREAMS {x} {x} 0 0
XREAD STREAMS {x} {x} 0
XGROUP CREATE {x} g 0
XGROUP CREATE {x} g 0 MKSTREAM
XGROUP DESTROY {x} g
XGROUP SETID {x} g 0
XGROUP CREATECONSUMER {x} g c{n}
XGROUP DELCONSUMER {x} g c{n}
XREADGROUP GROUP g c{n} COUNT {n} STREAMS {x} >
XREADGROUP GROUP g c1 NOACK STREAMS {x} 0
XREADGROUP GROUP nobody c1 STREAMS {x} >
XACK {x} g 1-{n} 9-{n}
XPENDING {x} g
XCLAIM {x} g c2 0 1-{n} JUSTID
XAUTOCLAIM {x} g c3 0 0 COUNT {n} JUSTID
XSETID {x} 100-{n}
XINFO GROUPS {x}
XINFO STREAM none
XINFO HELP
"""

BITS = """
SETBIT {b} {n} 1
SETBIT {b} {n} {m}
GETBIT {b} {n}
BITCOUNT {b}
BITCOUNT {b} 0 {n} BIT
BITPOS {b} 1
BITPOS {b} {m} 0 -1
BITOP AND {b} {b} {b}
BITOP XOR {b} {b} {k}
BITOP NOT {b} {b} {b}
BITFIELD {b} SET u8 #{n} 200 GET i5 3 OVERFLOW SAT INCRBY u2 {n} 3
BITFIELD {b} OVERFLOW FAIL INCRBY i64 0 {w}
BITFIELD_RO {b} GET u4 {n}
BITFIELD_RO {b} SET u4 0 1
PFADD {s}pf {v} {v} {v}
PFCOUNT {s}pf {s}pf
PFMERGE {s}pf {s}pf {s}pf
PFCOUNT {k}
"""

GEO = """
GEOADD {g} 13.36 38.11 {v} 15.08 37.50 {f}
GEOADD {g} NX CH 2.35 48.85 {v}
GEOADD {g} 200 100 {v}
GEOPOS {g} {v} {f}
GEODIST {g} {v} {f} km
GEODIST {g} {v} {f} parsec
GEOHASH {g} {v} {f}
GEOSEARCH {g} FROMLONLAT 15 37 BYRADIUS 900 km ASC WITHCOORD WITHDIST COUNT {n}
GEOSEARCH {g} FROMMEMBER {v} BYBOX 400 400 km DESC
GEOSEARCHSTORE {z} {g} FROMLONLAT 15 37 BYRADIUS 900 km ASC COUNT 2 STOREDIST
GEORADIUS {g} 15 37 200 km WITHDIST ASC
GEORADIUS {g} 15 37 900 km STORE {z}
GEORADIUSBYMEMBER_RO {g} {v} 100 km
"""

SCRIPTS = """
EVAL return{{KEYS[1],ARGV[1]}} 1 {k} {v}
EVAL return(redis.call('type',KEYS[1])) 1 {k}
EVAL return(redis.pcall('lpush',KEYS[1],'x')) 1 {s}
EVAL return(redis.call('incr',KEYS[1])) 1 {s}
EVAL return(1) {m}
EVAL return(1) -1
EVAL return(redis.error_reply('MINE:oops')) 0
EVAL return{{1,2.7,'three',false}} 0
EVAL_RO return(redis.call('get',KEYS[1])) 1 {s}
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA 930269f31393d0be681588b6ab08dccee7d6bb67 0
SCRIPT LOAD return(1)
SCRIPT EXISTS 930269f31393d0be681588b6ab08dccee7d6bb67 ffffffffffffffffffffffffffffffffffffffff
SCRIPT NONSENSE
FCALL none 0
FUNCTION NONSENSE
FUNCTION STATS
"""

CONNECTION = """
PING
PING {v}
PING {v} {v}
ECHO {v}
ECHO
SELECT 1
SELECT 0
SELECT {m}
SELECT 99
DBSIZE none
CLIENT GETNAME
CLIENT SETNAME name-{n}
CLIENT SETNAME
CLIENT NONSENSE
CLIENT GETREDIR
COMMAND COUNT
COMMAND GETKEYS SET {k} {v}
COMMAND GETKEYS XREAD STREAMS {x} {x} 0 0
COMMAND GETKEYSANDFLAGS LMOVE {l} {l} LEFT LEFT
COMMAND INFO GET NONSENSE
COMMAND DOCS PING
COMMAND LIST FILTERBY PATTERN xac*
COMMAND NONSENSE
CONFIG GET maxmemory-policy
CONFIG NONSENSE
NONSENSE {k} {v}
nonsense
GET|SET {k}
PUBLISH {v} {v}
SPUBLISH {v} {v}
PUBSUB NUMSUB {v}
PUBSUB NUMPAT
WAIT 0 0
LOLWUT VERSION 9 1 1
TIME {v}
DEBUG
ACL WHOAMI
ACL CAT nonsense
MEMORY USAGE none
LATENCY NONSENSE
SWAPDB x 0
BLPOP {l} soon
BLPOP
BZMPOP -1 1 {z} MIN
XREAD BLOCK -1 STREAMS {x} 0
EXEC
DISCARD
UNWATCH
WATCH
"""

TRANSACTION = """
MULTI
EXEC
DISCARD
"""

FORMS = [line for block in (STRINGS, KEYS, LISTS, HASHES, SETS, ZSETS, STREAMS, BITS, GEO, SCRIPTS,
                            CONNECTION) for line in block.split("\n") if line]

VALUES = ["a", "b", "hello", "", "0", "-7", "3.25", "x" * 300, "line\r\nline", "\0\xff", "*1", "$5"]
NUMBERS = ["0", "1", "2", "-1", "10", "1.5", "abc", "", "9223372036854775807",
           "9223372036854775808", "-0", "+1", "01", "1e3", "nan", "inf", " 1"]


def fill(form, random, prefix):
    """One command of a form, as arguments; keys carry the prefix."""
    def key(kind):
        return f"{prefix}{kind}{random.randrange(3)}"

    def hole(name):
        if name == "k":
            return key(random.choice("slhzixgb"))
        if name in "slhzixgb":
            return key(name)
        if name == "v":
            return random.choice(VALUES)
        if name == "f":
            return f"f{random.randrange(4)}"
        if name == "n":
            return str(random.randrange(10))
        if name == "m":
            return random.choice(NUMBERS)
        return str(random.choice([0, 1, -1, 5, -100, 2**31, -2**31, 2**62]))

    out = []
    for word in form.split(" "):
        word = word.replace("{{", "\1").replace("}}", "\2")
        while "{" in word:
            start = word.index("{")
            word = word[:start] + hole(word[start + 1]) + word[start + 3:]
        out.append(word.replace("\1", "{").replace("\2", "}").encode("latin-1"))
    if random.random() < 0.2:
        out[0] = out[0].swapcase() if random.random() < 0.5 else out[0].title()
    return out
