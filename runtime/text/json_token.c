/* Tokens of JSON.
 *
 * A string without escapes is judged eight bytes at a time and handed out as it lies in the text;
 * one with escapes is put together on the stack, run by run. Both are UTF-8 when they leave here.
 */
#include "runtime/text/json_token.h"

#include "runtime/base/utf8.h"
#include "runtime/text/number.h"

#define ONES      0x0101010101010101u
#define HIGHS     0x8080808080808080u
#define FOUND_MAX 64 /* bytes of the user's text in a message */

s4_status json_refuse(const struct cursor *cursor, const char *at, const struct place *place,
                      s4_status code, const char *format, ...)
{
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t column = (size_t)(at - cursor->start) + 1;
    if (!place)
        return diag_set(cursor->diag, code, "column %zu: %s", column, text);
    char path[PLACE_TEXT_MAX];
    return diag_set(cursor->diag, code, "column %zu: field \"%s\": %s", column,
                    place_text(place, path), text);
}

/* A piece of the text as a message may show it: printable, cut with dots behind. */
static void show(const char *from, const char *to, char *out, size_t room)
{
    size_t len = (size_t)(to - from);
    size_t kept = utf8_valid(from, size_min(len, room - 4));
    memcpy(out, from, kept);
    for (size_t i = 0; i < kept; i++)
        if ((uint8_t)out[i] < ' ' || out[i] == 0x7f)
            out[i] = '?';
    memcpy(out + kept, "...", 4);
    if (kept == len)
        out[kept] = '\0';
}

static void describe_string(const char *at, const char *end, char *out, size_t room)
{
    const char *to = at + 1;
    while (to < end && *to != '"')
        to += *to == '\\' && end - to > 1 ? 2 : 1;
    char text[FOUND_MAX];
    show(at, to < end ? to + 1 : end, text, sizeof text);
    snprintf(out, room, "%s (a string)", text);
}

/* What stands at `at`, in words. */
static void describe(const char *at, const char *end, char *out, size_t room)
{
    const char *to = at;
    while (to < end && ((*to >= 'a' && *to <= 'z') || (*to >= 'A' && *to <= 'Z') || *to == '_' ||
                        (*to >= '0' && *to <= '9') || *to == '.' || *to == '-' || *to == '+'))
        to++;
    char text[FOUND_MAX];
    show(at, to, text, sizeof text);
    struct number number;
    if (at == end)
        snprintf(out, room, "the end of the text");
    else if (*at == '"')
        describe_string(at, end, out, room);
    else if (*at == '{' || *at == '[')
        snprintf(out, room, "%s", *at == '{' ? "an object" : "an array");
    else if (number_scan(at, end, &number) && at + number.len == to)
        snprintf(out, room, "%s (a number)", text);
    else if (to > at)
        snprintf(out, room, "%s", text);
    else if (*at > ' ' && *at < 0x7f)
        snprintf(out, room, "'%c'", *at);
    else
        snprintf(out, room, "byte 0x%02x", (uint8_t)*at);
}

s4_status json_wanted(const struct cursor *cursor, const char *at, const struct place *place,
                      s4_status code, const char *wanted)
{
    char found[FOUND_MAX + 32];
    describe(at, cursor->end, found, sizeof found);
    return json_refuse(cursor, at, place, code, "found %s, wanted %s", found, wanted);
}

/* Has one of the eight bytes a meaning: a quote, a backslash, a control character, or not ASCII?
 * Exact up to the first such byte. */
static uint64_t marks8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t quote = word ^ (ONES * '"');
    uint64_t slash = word ^ (ONES * '\\');
    return ((quote - ONES) | (slash - ONES) | (word - ONES * ' ') | word) & HIGHS;
}

static bool plain(uint8_t c)
{
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte from `at` on that is not plain, or the end. */
static const char *skip_plain(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t marks = marks8(at);
        if (marks)
            return at + __builtin_ctzll(marks) / 8;
    }
    while (at < end && plain((uint8_t)*at))
        at++;
    return at;
}

const char *json_skip_run(const char *at, const char *end)
{
    for (;;) {
        at = skip_plain(at, end);
        if (at >= end || (uint8_t)*at < 0x80)
            return at;
        size_t step = utf8_sequence(at, (size_t)(end - at));
        if (step == 0)
            return at;
        at += step;
    }
}

static COLD s4_status bad_byte(const struct cursor *cursor, const struct place *place)
{
    const char *at = cursor->at;
    if (at >= cursor->end)
        return json_wanted(cursor, cursor->end, place, S4_MALFORMED, "'\"' to close the string");
    if ((uint8_t)*at >= 0x80)
        return json_refuse(cursor, at, place, S4_MALFORMED,
                           "found byte 0x%02x, which is not valid UTF-8 here", (uint8_t)*at);
    if (*at == '\0')
        return json_refuse(cursor, at, place, S4_MALFORMED,
                           "found byte 0x00, and a string cannot hold a NUL");
    return json_refuse(cursor, at, place, S4_MALFORMED,
                       "found byte 0x%02x in a string, wanted an escape (\\u%04x)", (uint8_t)*at,
                       (uint8_t)*at);
}

/* Four hex digits; -1 if they are none. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t code = 0;
    if (end - at < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        char c = at[i];
        int32_t digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* A \u escape at the cursor, with its second half if it is a surrogate. */
static s4_status unicode_escape(struct cursor *cursor, const struct place *place)
{
    const char *from = cursor->at;
    int32_t code = hex4(from + 2, cursor->end);
    cursor->at += 6;
    if (code < 0)
        return json_refuse(cursor, from, place, S4_MALFORMED, "wanted four hex digits after \\u");
    if (code == 0)
        return json_refuse(cursor, from, place, S4_MALFORMED,
                           "found \\u0000, and a string cannot hold a NUL");
    if (code >= 0xd800 && code < 0xe000) {
        int32_t low = -1;
        if (code < 0xdc00 && cursor->end - cursor->at >= 6 && memcmp(cursor->at, "\\u", 2) == 0)
            low = hex4(cursor->at + 2, cursor->end);
        if (low < 0xdc00 || low > 0xdfff)
            return json_refuse(cursor, from, place, S4_MALFORMED,
                               "found half of a surrogate pair, which is no character");
        cursor->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    char text[4];
    return buffer_append(cursor->stack, text, utf8_put((uint32_t)code, text));
}

/* The escape at the cursor, onto the stack. */
static s4_status escape(struct cursor *cursor, const struct place *place)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    const char *from = cursor->at;
    if (cursor->end - from < 2) {
        cursor->at = cursor->end;
        return bad_byte(cursor, place);
    }
    if (from[1] == 'u')
        return unicode_escape(cursor, place);
    const char *name = from[1] ? strchr(names, from[1]) : NULL;
    if (!name)
        return json_wanted(cursor, from + 1, place, S4_MALFORMED,
                           "one of \" \\ / b f n r t u after a backslash");
    cursor->at += 2;
    return buffer_append(cursor->stack, &values[name - names], 1);
}

/* The rest of a string from its first escape on; what comes before it is at `from`. */
static s4_status escaped_string(struct cursor *cursor, const char *from, const struct place *place,
                                struct json_string *string)
{
    struct buffer *stack = cursor->stack;
    size_t base = stack->size;
    for (;;) {
        TRY(buffer_append(stack, from, (size_t)(cursor->at - from)));
        if (cursor->at < cursor->end && *cursor->at == '"')
            break;
        if (cursor->at >= cursor->end || *cursor->at != '\\')
            return bad_byte(cursor, place);
        TRY(escape(cursor, place));
        from = cursor->at;
        cursor->at = json_skip_run(from, cursor->end);
    }
    cursor->at++;
    *string = (struct json_string){ stack->data + base, stack->size - base };
    return S4_OK;
}

s4_status json_string(struct cursor *cursor, const struct place *place, struct json_string *string)
{
    const char *from = cursor->at + 1;
    cursor->at = json_skip_run(from, cursor->end);
    if (UNLIKELY(cursor->at >= cursor->end || *cursor->at != '"'))
        return escaped_string(cursor, from, place, string);
    *string = (struct json_string){ from, (size_t)(cursor->at - from) };
    cursor->at++;
    return S4_OK;
}
