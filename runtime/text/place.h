/* Where in a value a reader is: the way from the outermost message to a field, for its errors.
 *
 * A chain on the C stack of the recursive readers, so that it costs nothing until an error asks. */
#ifndef RUNTIME_TEXT_PLACE_H
#define RUNTIME_TEXT_PLACE_H

#include "runtime/base/base.h"
#include "runtime/record/schema.h"

#define PLACE_NO_INDEX (-1)
#define PLACE_TEXT_MAX 256 /* bytes of a path in a message, with its NUL */

struct place {
    const struct place *up; /* NULL: in the outermost message */
    const struct field *field;
    int64_t index; /* in a repeated field, or PLACE_NO_INDEX */
};

/* The path, `a.b[3].c`; a long one loses its beginning. Answers `text`. */
const char *place_text(const struct place *place, char text[PLACE_TEXT_MAX]);

#endif
