/* Two apps, one of which is to hear the other. `speaks` tells its stream `said` what `told` asks
 * for; `hears` counts and sums what comes on `heard` per user, in the table `sums`. Where that is
 * from is the tests' app.yaml to say.
 */
#ifndef TESTS_SUPPORT_STREAMS_APP_H
#define TESTS_SUPPORT_STREAMS_APP_H

#include <s4/abi.h>

/* What an event on `told` asks for. */
enum told_kind {
    TOLD_PLAIN = 0, /* one event: how many there were of its user */
    TOLD_FAIL,      /* one event, and then it fails */
    TOLD_MANY,      /* n events: 0, 1, 2, ... */
    TOLD_BIG,       /* one whose user is a very long text */
    TOLD_TIMER,     /* one at the time n */
};

extern const s4_app s4_plugin; /* speaks */
const s4_app *streams_app_hears(void);

#endif
