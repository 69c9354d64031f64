"""Writes the page as a C array: embed.py page.html page.css page.js page.c

Style and script go into the page, which then needs nothing else; their digests are what the
Content-Security-Policy lets run, so that nothing injected does.
"""
import base64
import hashlib
import sys

html, css, js = (open(path, encoding="utf-8").read() for path in sys.argv[1:4])


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


data = html.replace("/* page.css */", css).replace("/* page.js */", js).encode()
policy = (f"default-src 'none'; script-src {digest(js)}; style-src {digest(css)}; connect-src 'self'; "
          "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
lines = [", ".join(str(byte) for byte in data[at:at + 20]) for at in range(0, len(data), 20)]
with open(sys.argv[4], "w", encoding="ascii") as out:
    out.write("/* page.c - the page as it was at build time; made by embed.py. */\n")
    out.write('#include "http.h"\n\n')
    out.write("const char page_text[] = {\n    " + ",\n    ".join(lines) + "};\n")
    out.write("const size_t page_len = sizeof(page_text);\n")
    out.write(f'const char page_policy[] = "{policy}";\n')
