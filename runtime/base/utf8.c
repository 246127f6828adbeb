/* UTF-8: validation, eight ASCII bytes at a time, and encoding of one code point.
 *
 * The ranges of the second byte are those of table 3-7 of the Unicode standard: they exclude
 * overlong forms and surrogates by themselves, so that no code point has to be put together to be
 * judged.
 */
#include "runtime/base/utf8.h"

#define ONES  0x0101010101010101u
#define HIGHS 0x8080808080808080u

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Of a sequence that starts with `lead` >= 0xe0: may this be its second byte? */
static bool second_fits(uint8_t lead, uint8_t second)
{
    switch (lead) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return continues(second);
    }
}

size_t utf8_sequence(const char *text, size_t len)
{
    const uint8_t *at = (const uint8_t *)text;
    if (at[0] < 0x80)
        return at[0] != 0;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    if (at[0] < 0xe0)
        return len >= 2 && continues(at[1]) ? 2 : 0;
    if (len < 3 || !second_fits(at[0], at[1]) || !continues(at[2]))
        return 0;
    if (at[0] < 0xf0)
        return 3;
    return len >= 4 && continues(at[3]) ? 4 : 0;
}

/* Eight bytes that are neither NUL nor beyond ASCII. */
static bool plain8(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return ((word | (word - ONES)) & HIGHS) == 0;
}

size_t utf8_valid(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (len - at >= 8 && plain8(text + at)) {
            at += 8;
            continue;
        }
        if ((uint8_t)(text[at] - 1) < 0x7f) {
            at++;
            continue;
        }
        size_t step = utf8_sequence(text + at, len - at);
        if (step == 0)
            return at;
        at += step;
    }
    return len;
}

size_t utf8_put(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}
