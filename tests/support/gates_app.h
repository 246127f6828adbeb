/* An app whose instances wait as their events tell them, and report what they take to a test. */
#ifndef TESTS_SUPPORT_GATES_APP_H
#define TESTS_SUPPORT_GATES_APP_H

#include <s4/abi.h>

extern const s4_app s4_plugin;

/* What an event has its gate do. */
enum gate_act {
    GATE_PASS = 0,
    GATE_WAIT = 1, /* up to GATE_WAIT_MAX: asks and waits so often, one after the other */
    GATE_WAIT_MAX = 3,
    GATE_ASK = 4,     /* asks, and goes on */
    GATE_REFUSED = 5, /* asks and waits; the request fails */
    GATE_FAIL = 6,    /* asks and waits, then fails: nothing of it may be */
    GATE_REMOVE = 7,
    GATE_ACTS = 8,
};

/* Called by the handlers, before they do anything: `steps` is what the state has counted so far. */
struct gate_watch {
    void (*step)(uint32_t gate, uint32_t number, uint32_t steps);
    void (*answer)(uint32_t gate, uint32_t left);
};
extern struct gate_watch gate_watch;

#endif
