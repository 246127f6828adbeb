/* Paths of fields, put together from the innermost outwards: what is cut is the beginning. */
#include "runtime/text/place.h"

/* Puts one step before *start; false when there is no room left for it. */
static bool put_before(char *text, size_t *start, const char *step, size_t len)
{
    if (len > *start)
        return false;
    *start -= len;
    memcpy(text + *start, step, len);
    return true;
}

static bool put_step(char *text, size_t *start, const struct place *place)
{
    char index[32];
    int len = 0;
    if (place->index != PLACE_NO_INDEX)
        len = snprintf(index, sizeof index, "[%lld]", (long long)place->index);
    return put_before(text, start, index, (size_t)len) &&
           put_before(text, start, place->field->name, strlen(place->field->name)) &&
           (place->up == NULL || put_before(text, start, ".", 1));
}

const char *place_text(const struct place *place, char text[PLACE_TEXT_MAX])
{
    size_t start = PLACE_TEXT_MAX - 1;
    text[start] = '\0';
    bool whole = true;
    for (; place && whole; place = place->up)
        whole = put_step(text, &start, place);
    if (!whole) {
        start = start < 3 ? 0 : start - 3;
        memcpy(text + start, "...", 3);
    }
    memmove(text, text + start, PLACE_TEXT_MAX - start);
    return text;
}
