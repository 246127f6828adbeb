/* Texts of messages into the fixed arrays of the structs here. Any thread. */
#ifndef ROUTER_MAP_MAP_TEXT_H
#define ROUTER_MAP_MAP_TEXT_H

#include "router/map/map.h"

/* `out` has max + 1 bytes; NULL becomes "". S4_CORRUPT, naming `what`: too long, or not for
 * people's eyes. */
MUST_USE static inline s4_status map_text_take(const char *text, size_t max, char *out,
                                               const char *what, struct diag *diag)
{
    if (!text)
        text = "";
    if (!map_text_valid(text, max))
        return diag_set(diag, S4_CORRUPT, "%s that is longer than %zu bytes, or not to be shown",
                        what, max);
    memcpy(out, text, strlen(text) + 1);
    return S4_OK;
}

#endif
