/* Credit in a cycle of nodes whose records make records.
 *
 * A record comes from the source at node 0 with two hops to go. Whoever runs it emits one or two to the
 * next node, with one hop less, until none is left. Between two nodes WINDOW records are in flight.
 * Emits never block: what has no credit waits at its sender. A node takes records in, and so returns
 * their credit, while what waits there to be run is not above the soft mark; the source is let in while
 * all that its node holds is not above it. Above the hard mark a node runs nothing, with an alarm, until
 * it is below the soft mark again.
 *
 * Records are told apart by their hops only: order and loss are for session.pml. `ltl progress` needs
 * weak fairness, so there is one process per node (pan -a -f).
 */
#ifndef NODES
#define NODES 2
#endif
#ifndef WINDOW
#define WINDOW 1
#endif
#ifndef SOFT
#define SOFT 1
#endif
#ifndef HARD
#define HARD 4
#endif

#define LEVELS 3 /* hops to go: 0, 1, 2 */
#define MOST (HARD + SOFT + WINDOW + 2) /* what a node ever holds */

typedef Node {
    byte in[LEVELS];   /* waits to be run */
    byte wire[LEVELS]; /* sent to it, not yet taken in: this is credit in use */
    byte out[LEVELS];  /* waits for credit */
    byte ins, wires, outs;
    bool paused, alarm;
}
Node node[NODES];
bool let_in = false;

#define HELD(n) (node[n].ins + node[n].outs)

#ifdef EMITS_BLOCK
#define MAY_RUN(n) (!node[n].paused && node[n].outs == 0)
#else
#define MAY_RUN(n) (!node[n].paused)
#endif

#ifdef WITHHELD_BY_OUTPUT
#define MAY_TAKE(n) (HELD(n) <= SOFT)
#else
#define MAY_TAKE(n) (node[n].ins <= SOFT)
#endif

#ifdef UNTHROTTLED
#define MAY_LET_IN true
#else
#define MAY_LET_IN (HELD(0) <= SOFT)
#endif

/* What node n holds has changed. */
inline judge()
{
    assert(HELD(n) <= MOST);
    if
    :: HELD(n) > HARD ->
        node[n].paused = true;
#ifndef PAUSED_SILENTLY
        node[n].alarm = true
#endif
    :: HELD(n) <= SOFT ->
        node[n].paused = false;
        node[n].alarm = false
    :: else
    fi
}

inline run_one(hops, emits)
{
    node[n].in[hops]--;
    node[n].ins--;
    if
    :: hops > 0 ->
        node[n].out[hops - 1] = node[n].out[hops - 1] + emits;
        node[n].outs = node[n].outs + emits
    :: else
    fi;
    judge()
}

inline send_one(hops)
{
    node[n].out[hops]--;
    node[n].outs--;
    node[to].wire[hops]++;
    node[to].wires++;
    judge()
}

inline take_one(hops)
{
    node[n].wire[hops]--;
    node[n].wires--;
    node[n].in[hops]++;
    node[n].ins++;
    judge()
}

#define RUN(HOPS) \
    d_step { MAY_RUN(n) && node[n].in[HOPS] > 0 -> run_one(HOPS, 1) } \
    :: d_step { MAY_RUN(n) && node[n].in[HOPS] > 0 && HOPS > 0 -> run_one(HOPS, 2) }
#define SEND(HOPS) \
    d_step { node[n].out[HOPS] > 0 && node[to].wires < WINDOW -> send_one(HOPS) }
#define TAKE(HOPS) \
    d_step { node[n].wire[HOPS] > 0 && MAY_TAKE(n) -> take_one(HOPS) }

proctype runs_node(byte n)
{
    byte to = (n + 1) % NODES;
    do
    :: RUN(0)
    :: RUN(1)
    :: RUN(2)
    :: SEND(0)
    :: SEND(1)
    :: TAKE(0)
    :: TAKE(1)
    od
}

proctype source()
{
    byte n = 0;
    do
    :: d_step { MAY_LET_IN ->
        let_in = true;
        node[0].in[LEVELS - 1]++;
        node[0].ins++;
        judge() }
        let_in = false
    od
}

init
{
    atomic {
        run source();
        run runs_node(0);
        run runs_node(1);
#if NODES > 2
        run runs_node(2)
#endif
    }
}

#if NODES > 2
#define ALARM (node[0].alarm || node[1].alarm || node[2].alarm)
#else
#define ALARM (node[0].alarm || node[1].alarm)
#endif

ltl progress { [] <> (let_in || ALARM) }
