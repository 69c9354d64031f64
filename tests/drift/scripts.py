"""scripts.py - the script inspector as a process, and random bodies to ask it about."""
import json
import os
import pathlib
import random
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSPECT = ROOT / os.environ.get("RESPGATE_BUILD", "build") / "src/script/script-inspect"


def inspect(bodies, *options):
    """Verdicts on many bodies (bytes)."""
    data = b"".join(b"%d\n%s" % (len(body), body) for body in bodies)
    done = subprocess.run([INSPECT, "--many", *options], input=data, stdout=subprocess.PIPE,
                          check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- token soup --------------------------------------------------------------------------------

PIECES = r"""
    a a a b b KEYS ARGV redis tonumber string local local function end end if then else elseif while
    do for in = = , , ; . .. ... ( ) ( ) { } [ ] : + - * / % ^ # < > <= >= == ~= ~ and or not nil
    true false return break repeat until 1 2 1. .5 0x1F 0x 1e3 1e+ 3..2 1..2 0xA.8 1e5x 5_ 'x' "y"
    '' 'a\065' '\x41' '\300' '\999' '\' "\" [[z]] [=[z]=] [==[z]=] [[ ]] ]=] [= --[[c]] --[=[c]=]
    --[c -- --[==[ ]==] \ @ ! ? $ & | ` goto ::a:: a.b a[1] a:b() a() f() (a) 'x':b() a'x' a{}
    local\x20a local\x20function\x20f() function(...) for\x20a=1,2\x20do for\x20a\x20in\x20b\x20do
    then\x20end do\x20end return\x20a a=1 a,b=1 {a=1} {[1]=2;3} until\x20a
""".replace("\\x20", "\0").split()
BLANKS = [b" ", b" ", b" ", b" ", b"", b"\n", b"\r\n", b"\n\r", b"\t", b"\r", b"\v", b"\f", b"\\\n"]


def soup(dice):
    """Tokens in any order, mostly nonsense."""
    parts = []
    for _ in range(dice.randrange(1, 9)):
        parts += [dice.choice(PIECES).replace("\0", " ").encode(), dice.choice(BLANKS)]
    return b"local a, b, f " + b"".join(parts)


def spoilt(dice, body):
    """A body with a byte or a few changed."""
    body = bytearray(body)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(body) + 1)
        action = dice.randrange(3)
        if action == 0:
            body[at:at] = dice.choice(PIECES).replace("\0", " ").encode()
        elif action == 1:
            del body[at:at + dice.randrange(1, 4)]
        else:
            body[at:at + 1] = dice.choice(b"'\"[]=-\\\n\r() .\0").to_bytes(1, "little")
    return bytes(body)


SHEBANG = """#!lua #!lua #!lua #!LUA #! lua #!python # ! flags= flags=no-writes flags=allow-stale,
    flags=no-cluster,no-writes flags=bogus flags=NO-WRITES Flags=no-writes flags=, name=a name=b name=
    name=a-b NAME=c "flags=no-writes" flags="no-writes" unknown engine=lua \\x20 'name=a'""".split()


def shebang(dice):
    words = [dice.choice(SHEBANG[:4])] + [dice.choice(SHEBANG)
                                          for _ in range(dice.choice([0, 1, 1, 1, 2, 3]))]
    line = b"".join(word.encode() + dice.choice([b" ", b" ", b"  ", b"\t", b"\r", b""])
                    for word in words)
    return line + dice.choice([b"\n", b"\n", b"\n", b"\r\n", b"\r", b""])


# ---- programs ----------------------------------------------------------------------------------

# Take any number of keys and any text as one.
COMMANDS = ["del", "exists", "touch", "unlink", "sinter", "pfcount", "mget"]


class Program:
    """A body that runs: names and keys wander through locals, parameters, tables, closures. Half
    of what it does is harmless, half tries to get redis.call or a name out of sight."""

    def __init__(self, dice):
        self.dice = dice
        self.locals = []
        self.callers = []
        self.functions = []
        self.count = 0

    def name(self):
        self.count += 1
        return f"v{self.count}"

    def literal(self):
        text = self.dice.choice(COMMANDS)
        return self.dice.choice([f"'{text}'", f'"{text.upper()}"', f"[[{text}]]",
                                 f"'\\{ord(text[0]):03}{text[1:]}'"])

    def value(self, depth=0):
        """An expression that may be a name or a key."""
        dice, pick = self.dice, self.dice.randrange(100)
        if pick < 25 or depth > 2:
            return self.literal()
        if pick < 45 and self.locals:
            return dice.choice(self.locals)
        if pick < 52:
            return f"KEYS[{dice.randrange(1, 4)}]"
        if pick < 60:
            return f"ARGV[{dice.randrange(1, 4)}]"
        a, b = self.value(depth + 1), self.value(depth + 1)
        return dice.choice([
            f"({a})", f"({a} or {b})", f"(ARGV[9] and {a} or {b})", f"({a} and {b})", "nil",
            f"({a} == {b} and {a} or {b})", f"tostring({a})", f"({a} .. '')", f"({{{a}}})[1]",
            f"select(2, {a}, {b})", "5", "-1", "unpack(KEYS)", "KEYS", "ARGV", f"next({{{a}}})",
            f"(function() return {a} end)()", f"KEYS[#KEYS]", "unpack(ARGV, 2)", "...",
        ])

    def callee(self):
        pick = self.dice.randrange(100)
        if pick < 50 or not (self.callers or self.functions):
            return self.dice.choice(["redis.call", "redis.pcall", "redis['call']", "(redis.call)"])
        return self.dice.choice(self.callers + self.functions)

    def arguments(self):
        return ", ".join(self.value() for _ in range(self.dice.randrange(0, 3)))

    def call(self):
        name, rest = self.value() if self.dice.random() < .3 else self.literal(), self.arguments()
        given = ", ".join(filter(None, [name, rest]))
        callee = self.callee()
        return self.dice.choice([f"{callee}({given})", f"pcall({callee}, {given})",
                                 f"{callee}({given})"])

    def function(self):
        dice, name = self.dice, self.name()
        first, second, rest = self.name(), self.name(), dice.choice(["", "", ", ..."])
        body = dice.choice([
            f"return redis.call({first}, {second})", f"redis.call({first}, {second}, KEYS[1])",
            f"{second} = {second} or {first} redis.call({first}, {second})",
            f"local x = {first} pcall(redis.call, x, {second})",
            f"return {first}", f"{first}[1] = {second}", f"return redis.call({second}, {first})",
            f"local x = {first}({second}) return x", f"local x = {{{first}}} return x[1]",
            f"return redis.call({first}{', ...' if rest else ''})",
            f"{first} = {self.value()} redis.call({first})",
        ])
        form = dice.choice([f"local function {name}({first}, {second}{rest}) {body} end",
                            f"local {name} = function({first}, {second}{rest}) {body} end",
                            f"local {name} function {name}({first}, {second}{rest}) {body} end"])
        self.functions.append(name)
        return form

    def trick(self):
        """Things that are refused, or have to be followed."""
        dice, a = self.dice, self.value()
        target = dice.choice(self.locals + ["t"])
        function = dice.choice(self.functions + ["tostring", "function(x) redis.call(x) end"])
        tricks = [
            f"{target} = {a}", f"{target}, t = {a}, {self.value()}", f"t[1] = {function}",
            f"t[1]({a})", f"KEYS[1] = {a}", f"ARGV[2] = {a}", f"table.insert(KEYS, 1, {a})",
            f"string.gsub({a}, '.+', {function})", f"t = {{{function}, {a}}} t[1](t[2])",
            f"for _, k in ipairs(KEYS) do redis.call('del', k) end",
            f"for k, v in pairs({{{a}}}) do redis.call(v, k) end",
            f"for k in {function}, {a} do break end",
            f"for {target} = 1, 2 do {self.call()} end",
            f"setmetatable(t, {{__index = {function}}}) local _ = t[{a}]",
            f"setmetatable(t, {{__add = function(x, y) y(t) end}}) local _ = t + {function}",
            f"setmetatable(t, {{__call = {function}}}) t({a})", f"table.sort({{{a}, 'del'}})",
            f"({function})({a})", f"pcall({function}, {a})", f"xpcall({function}, tostring)",
            f"pcall(pcall, {function}, {a})", f"table.foreach({{{a}}}, {function})",
            f"function t.f(x) redis.call(x) end t.f({a})", f"function t:f(x) {self.call()} end t:f(1)",
            f"local k = {a} k[1] = 'x'", f"local KEYS = {{{a}}} redis.call('del', KEYS[1])",
            f"local {target} = {a} {self.call()}", f"do local redis = {{call = {function}}} "
            f"redis.call({a}) end", f"repeat local {target} = {a} until {self.call()} or true",
            f"while {a} do {self.call()} break end", f"if {a} then {target} = {a} end",
        ]
        return dice.choice(tricks)

    def statement(self):
        dice, pick = self.dice, self.dice.randrange(100)
        if pick < 25:
            name, value = self.name(), self.value()
            self.locals.append(name)
            return f"local {name} = {value}"
        if pick < 32:
            name = self.name()
            self.callers.append(name)
            return f"local {name} = {self.callee()}"
        if pick < 45:
            return self.function()
        if pick < 75:
            return self.guarded(self.call())
        return self.guarded(self.trick())

    def guarded(self, text):
        """An error must not end the program. What it assigns is seen by the others."""
        if "..." in text:
            return f"do local _ = pcall(function(...) {text} end) end"
        return f"pcall(function() {text} end)"

    def body(self):
        lines = ["local t = {}"]
        lines += [self.statement() for _ in range(self.dice.randrange(3, 12))]
        return "\n".join(lines).encode()


def program(dice):
    return Program(dice).body()


def dice(seed):
    return random.Random(int(os.environ.get("SCRIPT_SEED", seed)))
