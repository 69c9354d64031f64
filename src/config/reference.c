/* reference.c - conf/README.md: the hand-written part, and one table for each section. */
#include "option.h"

static const char *const intro =
    "# Configuration\n"
    "\n"
    "<!-- Made of include/respgate/options.def by `config-reference`; a test compares. -->\n"
    "\n"
    "`respgate.conf` in this folder has every option at its default and the rules that are in "
    "force\nwithout a file. `respgate -t -c FILE` checks a file and tells every mistake as "
    "`FILE:LINE: text`;\nSIGHUP reads it again, whole or not at all.\n"
    "\n"
    "## Syntax\n"
    "\n"
    "* `[section]` or `[kind NAME]`, then `key = value`. A name has up to 40 letters, digits and\n"
    "  `. _ : @ + / -`. A line has up to 4096 bytes; white space at its start means nothing.\n"
    "* `;` or `#` begins a comment at the start of a line or after white space.\n"
    "* `\"...\"` quotes a value or an item of a list: commas, comment signs and outer white space\n"
    "  are kept. `\\\"` and `\\\\` inside stand for a quote and a backslash; other backslashes "
    "are\n"
    "  themselves.\n"
    "* Lists are separated by commas, and their keys may repeat. All other keys, and sections, "
    "may\n"
    "  appear once. An unknown section, key or value is an error.\n"
    "* Sizes: `64kb`, `10mb`, `1gb` count by 1024; `k`, `m`, `g` by 1000, as in redis.conf; a "
    "bare\n"
    "  number or `b` is bytes. Durations: `500ms`, `10s`, `5m`, `2h`, `7d`; only 0 needs no unit.\n"
    "  Rates: `100/s`, `5000/m`, `10/h`. Percentages: `80%`.\n"
    "* `include = FILE` puts the lines of a file in the place of this one, at most 8 deep. What\n"
    "  follows it is in the section it stands in. Relative paths, of all files, start at the\n"
    "  folder of the file that names them.\n"
    "* A file that group or others can write is refused, password files too. A secret that all\n"
    "  can read is warned of. A password file holds the password in its first line.\n"
    "* `--listen` replaces all `listen` lines; `--backend` and RESPGATE_BACKEND replace `url`, "
    "and\n"
    "  its user and password when they bring some.\n"
    "* Options marked *restart* cannot change on reload: the new file is then refused by name.\n"
    "  Those marked *moves* make a reload a move to another backend: see MOVING.md.\n";

static void add_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_text(out, "\\");
        buf_add(out, text, 1);
    }
}

static void add_range(const struct option *option, const char *name, struct buf *out)
{
    buf_printf(out, "%s, %s", name, option->min ? "from " : "from 0");
    if (option->min && option->type == VALUE_SIZE)
        value_format_size(option->min, out);
    else if (option->min && option->type == VALUE_DURATION)
        value_format_duration(option->min, out);
    else if (option->min)
        buf_printf(out, "%llu", (unsigned long long)option->min);
    if (option->type == VALUE_COUNT)
        buf_printf(out, " to %llu", (unsigned long long)option->max);
}

static void add_type(const struct option *option, struct buf *out)
{
    if (option->flags & OPTION_LIST)
        buf_text(out, "list of ");
    switch (option->type) {
    case VALUE_TEXT: buf_text(out, option->flags & OPTION_LIST ? "texts" : "text"); break;
    case VALUE_FILE:
    case VALUE_LOG_FILE:
    case VALUE_PASSWORD_FILE: buf_text(out, "file"); break;
    case VALUE_COUNT: add_range(option, "number", out); break;
    case VALUE_SIZE: add_range(option, "size", out); break;
    case VALUE_AMOUNT: add_range(option, "number or size", out); break;
    case VALUE_SIZE_FOR: buf_text(out, "size and duration"); break;
    case VALUE_DURATION: add_range(option, "duration", out); break;
    case VALUE_PERCENT: add_range(option, "percentage", out); break;
    case VALUE_RATE: buf_text(out, "rate"); break;
    case VALUE_CHOICE: words_join(option, "`", out); break;
    case VALUE_DIGEST: buf_text(out, "hashes"); break;
    case VALUE_BODIES: buf_text(out, "files"); break;
    case VALUE_LISTEN: buf_text(out, "addresses"); break;
    case VALUE_ADDRESS: buf_text(out, "address, or empty"); break;
    case VALUE_URL: buf_text(out, "urls"); break;
    case VALUE_HOSTS: buf_text(out, "addresses"); break;
    }
}

static void add_row(const struct option *option, struct buf *out)
{
    buf_printf(out, "| `%s` | ", option->key);
    add_type(option, out);
    if (option->flags & OPTION_REQUIRED)
        buf_text(out, " | required");
    else
        buf_printf(out, option->value[0] ? " | `%s`" : " | %s",
                   option->value[0] ? option->value : "none");
    buf_printf(out, " | %s | ",
               option->flags & OPTION_RESTART ? "restart"
               : option->flags & OPTION_MOVES ? "moves"
                                              : "yes");
    add_escaped(out, option->doc);
    buf_text(out, " | `");
    add_escaped(out, option->example);
    buf_text(out, "` |\n");
}

void config_reference(struct buf *out)
{
    buf_text(out, intro);
    for (enum section_id id = 0; id < SECTION_COUNT; id++) {
        buf_printf(out,
                   "\n## [%s%s]\n\n%s\n\n"
                   "| key | value | default | reload | meaning | example |\n"
                   "| --- | --- | --- | --- | --- | --- |\n",
                   section_kinds[id].name, section_kinds[id].named ? " NAME" : "",
                   section_kinds[id].doc);
        option_each(option) if (option->section == id) add_row(option, out);
    }
}
