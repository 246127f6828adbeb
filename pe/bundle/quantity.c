/* Numbers as people write them. One reader of digits, then units from a table. */
#include "pe/bundle/quantity.h"

#include <errno.h>
#include <math.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* By falling factor, for writing. */
static const struct unit duration_units[] = {
    { "d", 86400000000u }, { "h", 3600000000u }, { "m", 60000000u },
    { "s", 1000000u },     { "ms", 1000u },      { "us", 1u },
};
static const struct unit size_units[] = {
    { "G", 1024 * MIB },
    { "M", MIB },
    { "k", KIB },
    { "", 1u },
};

/* Digits with single _ between them; *end is the first byte behind. */
static s4_status digits(const char *text, uint64_t *value, const char **end)
{
    uint64_t made = 0;
    const char *at = text;
    if (*at < '0' || *at > '9')
        return S4_MALFORMED;
    bool over = false;
    for (; (*at >= '0' && *at <= '9') || (*at == '_' && at[1] >= '0' && at[1] <= '9'); at++)
        if (*at != '_')
            over |= __builtin_mul_overflow(made, 10u, &made) ||
                    __builtin_add_overflow(made, (uint64_t)(*at - '0'), &made);
    *end = at;
    if (over)
        return S4_RANGE;
    *value = made;
    return S4_OK;
}

static s4_status with_unit(const char *text, const struct unit *units, size_t n, uint64_t *value)
{
    uint64_t made;
    const char *end;
    s4_status status = digits(text, &made, &end);
    if (status == S4_MALFORMED)
        return status;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        if (status != S4_OK || __builtin_mul_overflow(made, units[i].factor, &made))
            return S4_RANGE;
        *value = made;
        return S4_OK;
    }
    return S4_MALFORMED;
}

s4_status quantity_count(const char *text, uint64_t *value)
{
    static const struct unit none = { "", 1 };
    return with_unit(text, &none, 1, value);
}

s4_status quantity_integer(const char *text, int64_t *value)
{
    bool minus = *text == '-';
    uint64_t size;
    TRY(quantity_count(text + minus, &size));
    if (size > (uint64_t)INT64_MAX + minus)
        return S4_RANGE;
    *value = (int64_t)(minus ? 0 - size : size);
    return S4_OK;
}

s4_status quantity_duration(const char *text, uint64_t *us)
{
    return with_unit(text, duration_units, ARRAY_LEN(duration_units), us);
}

s4_status quantity_size(const char *text, uint64_t *bytes)
{
    return with_unit(text, size_units, ARRAY_LEN(size_units), bytes);
}

s4_status quantity_real(const char *text, double *value)
{
    /* strtod alone would take white space, nan, inf and hexadecimal. */
    if (*text == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return S4_MALFORMED;
    char *end;
    errno = 0;
    double made = strtod(text, &end);
    if (*end != '\0' || end == text)
        return S4_MALFORMED;
    if (!isfinite(made))
        return S4_RANGE;
    *value = made;
    return S4_OK;
}

static void write(uint64_t value, const struct unit *units, size_t n, char *text, size_t room)
{
    size_t i = 0;
    while (i + 1 < n && (value == 0 || value % units[i].factor != 0))
        i++;
    snprintf(text, room, "%llu%s", (unsigned long long)(value / units[i].factor), units[i].name);
}

void quantity_write_duration(uint64_t us, char *text, size_t room)
{
    write(us, duration_units, ARRAY_LEN(duration_units), text, room);
}

void quantity_write_size(uint64_t bytes, char *text, size_t room)
{
    write(bytes, size_units, ARRAY_LEN(size_units), text, room);
}
