/* The list of every status that an s4 function, command or handler can answer.
 *
 * 0 is success, errors are negative and keep their numbers. The list is one macro, so that the
 * enum, the names and the texts cannot drift apart. Any thread.
 */
#ifndef S4_STATUS_H
#define S4_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, number, text) */
#define S4_STATUS_LIST(X)                       \
    X(OK, 0, "success")                         \
    X(NO_MEMORY, -1, "out of memory")           \
    X(INVALID, -2, "invalid argument")          \
    X(NOT_FOUND, -3, "not found")               \
    X(EXISTS, -4, "exists already")             \
    X(FULL, -5, "full")                         \
    X(TOO_LARGE, -6, "too large")               \
    X(MALFORMED, -7, "malformed")               \
    X(TYPE, -8, "wrong type")                   \
    X(RANGE, -9, "out of range")                \
    X(UNSUPPORTED, -10, "not supported")        \
    X(VERSION, -11, "version mismatch")         \
    X(IO, -12, "input or output failed")        \
    X(PERMISSION, -13, "no permission")         \
    X(BUSY, -14, "in use")                      \
    X(TIMEOUT, -15, "timed out")                \
    X(UNAVAILABLE, -16, "not available")        \
    X(PROTOCOL, -17, "protocol error")          \
    X(AGAIN, -18, "nothing now, try again")     \
    X(END, -19, "end of input")                 \
    X(STATE, -20, "not allowed in this state")  \
    X(CORRUPT, -21, "corrupt")                  \
    X(PAUSED, -22, "paused at the memory mark") \
    X(CANCELLED, -23, "cancelled")              \
    X(DUPLICATE, -24, "a repeat, dropped")      \
    X(FAILED, -25, "failed")                    \
    X(REMOVE, -26, "remove this instance")      \
    X(SHED, -27, "shed")                        \
    X(IN_DOUBT, -28, "done or not, in doubt")

typedef enum s4_status {
#define S4_STATUS_ENUM(name, number, text) S4_##name = (number),
    S4_STATUS_LIST(S4_STATUS_ENUM)
#undef S4_STATUS_ENUM
} s4_status;

/* The text of a status, for people; never NULL. */
static inline const char *s4_status_text(s4_status status)
{
    switch (status) {
#define S4_STATUS_TEXT(name, number, text) \
    case S4_##name:                        \
        return text;
        S4_STATUS_LIST(S4_STATUS_TEXT)
#undef S4_STATUS_TEXT
    }
    return "unknown status";
}

/* The name of a status without its prefix ("NOT_FOUND"), for logs and JSON; never NULL. */
static inline const char *s4_status_name(s4_status status)
{
    switch (status) {
#define S4_STATUS_NAME(name, number, text) \
    case S4_##name:                        \
        return #name;
        S4_STATUS_LIST(S4_STATUS_NAME)
#undef S4_STATUS_NAME
    }
    return "UNKNOWN";
}

#ifdef __cplusplus
}
#endif

#endif
