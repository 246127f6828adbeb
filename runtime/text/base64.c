/* Base64. Decoding is strict about what carries meaning: a length that no number of bytes has,
 * padding that does not fit and bits behind the last byte are refused, since they hint at a cut
 * text. */
#include "runtime/text/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character, or -1. */
static int32_t digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* Up to four digits as one number, left-aligned to 24 bits; -1 if one is none. */
static int32_t digits(const char *text, size_t n)
{
    int32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int32_t value = i < n ? digit(text[i]) : 0;
        if (value < 0)
            return -1;
        bits = bits << 6 | value;
    }
    return bits;
}

size_t base64_decode(const char *text, size_t len, char *out)
{
    size_t padded = len;
    while (len > 0 && padded - len < 2 && text[len - 1] == '=')
        len--;
    if (len % 4 == 1 || (padded != len && padded % 4 != 0))
        return BASE64_BAD;
    size_t size = 0;
    for (size_t i = 0; i < len; i += 4) {
        size_t n = size_min(len - i, 4);
        int32_t bits = digits(text + i, n);
        if (bits < 0 || (n == 2 && bits & 0xffff) || (n == 3 && bits & 0xff))
            return BASE64_BAD;
        for (size_t k = 0; k + 1 < n; k++)
            out[size++] = (char)(bits >> (16 - 8 * k));
    }
    return size;
}

void base64_encode(const char *data, size_t len, char *out)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t n = size_min(len - i, 3);
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (uint8_t)data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *out++ = k <= n ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
}
