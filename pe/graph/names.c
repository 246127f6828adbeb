/* Names and near misses. The distance counts inserted, dropped, changed and swapped letters
 * (Damerau's, the restricted form): a typing mistake costs 1. */
#include "pe/graph/names.h"

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool name_valid(const char *name)
{
    if (!name || !letter(name[0]))
        return false;
    size_t len = 1;
    while (letter(name[len]) || (name[len] >= '0' && name[len] <= '9'))
        if (++len > GRAPH_NAME_MAX)
            return false;
    return name[len] == '\0';
}

bool library_name_valid(const char *name)
{
    size_t len = strnlen(name, GRAPH_NAME_MAX + 4);
    if (len < 4 || len > GRAPH_NAME_MAX + 3 || name[0] == '.' || strcmp(name + len - 3, ".so") != 0)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

static size_t distance_of(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][GRAPH_NAME_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = size_min(changed, size_min(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = size_min(now[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

void name_nearest_init(struct name_nearest *nearest, const char *wanted)
{
    size_t len = strnlen(wanted, GRAPH_NAME_MAX + 1);
    /* A third of the letters may be wrong, at least one. */
    *nearest = (struct name_nearest){ .wanted = wanted, .distance = len / 3 + (len < 3) + 1 };
}

void name_nearest_try(struct name_nearest *nearest, const char *candidate)
{
    size_t a_len = strnlen(nearest->wanted, GRAPH_NAME_MAX + 1);
    size_t b_len = strnlen(candidate, GRAPH_NAME_MAX + 1);
    if (a_len == 0 || a_len > GRAPH_NAME_MAX || b_len > GRAPH_NAME_MAX)
        return;
    size_t distance = distance_of(nearest->wanted, a_len, candidate, b_len);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}

struct name_hint name_hint(const struct name_nearest *nearest)
{
    struct name_hint hint = { "" };
    if (nearest->best)
        snprintf(hint.text, sizeof hint.text, "; did you mean \"%s\"?", nearest->best);
    return hint;
}
