/* The lexical half of the JSON reader: white space, strings, and errors with their place. Inside
 * runtime/text only. One thread per cursor. */
#ifndef RUNTIME_TEXT_JSON_TOKEN_H
#define RUNTIME_TEXT_JSON_TOKEN_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/text/place.h"

/* A position in a text. Everything is borrowed. */
struct cursor {
    const char *start;
    const char *at;
    const char *end;
    struct buffer *stack; /* strings with escapes are put together on its top */
    struct diag *diag;
};

/* A string without its quotes, escapes resolved: in the text, or on the stack's top. */
struct json_string {
    const char *data;
    size_t len;
};

static inline void json_skip_space(struct cursor *cursor)
{
    while (
        cursor->at < cursor->end && (uint8_t)*cursor->at <= ' ' &&
        (*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\t' || *cursor->at == '\r'))
        cursor->at++;
}

/* Skips white space and takes `c` if it is next. */
static inline bool json_take(struct cursor *cursor, char c)
{
    json_skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

/* Skips what stands in a string as it is: up to a quote, a backslash, a control character, a byte
 * that is not valid UTF-8, or the end. */
const char *json_skip_run(const char *at, const char *end);

/* Reads the string whose opening quote is at the cursor. It is valid UTF-8 without a NUL. Whoever
 * calls restores the stack's size when the string is used up. */
s4_status json_string(struct cursor *cursor, const struct place *place,
                      struct json_string *string) MUST_USE;

/* `column 17: field "a.b": found "abc" (a string), wanted <wanted>`: what is found is what stands
 * at `at`. place is NULL outside of any field. */
COLD s4_status json_wanted(const struct cursor *cursor, const char *at, const struct place *place,
                           s4_status code, const char *wanted);

/* `column 17: field "a.b": <text>` */
COLD s4_status json_refuse(const struct cursor *cursor, const char *at, const struct place *place,
                           s4_status code, const char *format, ...) PRINTF(5, 6);

#endif
