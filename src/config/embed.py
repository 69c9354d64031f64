"""Writes the shipped configuration as a C array: embed.py respgate.conf builtin.c"""
import sys

source, target = sys.argv[1:3]
data = open(source, "rb").read()
lines = [", ".join(str(byte) for byte in data[at:at + 20]) for at in range(0, len(data), 20)]
with open(target, "w", encoding="ascii") as out:
    out.write("/* builtin.c - conf/respgate.conf as it was at build time; made by embed.py. */\n")
    out.write('#include "respgate/config.h"\n\n')
    out.write("static const char text[] = {\n    " + ",\n    ".join(lines) + "};\n\n")
    out.write("struct str config_builtin(void)\n{\n")
    out.write("    return (struct str){text, sizeof(text)};\n}\n")
