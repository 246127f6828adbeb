/* Two candidates lead in turn, or believe so at the same time, through a coordination service whose
 * answers may be missing.
 *
 * A write is answered, refused, or in doubt: then it was applied, or will be at any time while its
 * session lives, or never. A read may be stale, but a session never reads what is older than what it
 * read or wrote before (two entries are read one after the other). A session
 * may expire at any time; its writes in doubt die with it, and its node begins anew.
 *
 * A leader raises /leader_epoch to get its own, reads the map, and writes it, each time one version
 * higher, by multi[check /leader_epoch, set map]. Whatever is refused or in doubt it reads back: the
 * epoch first, then the map. Where nothing has changed it writes again, the same at the same versions.
 */
#ifndef TERMS
#define TERMS 3 /* epochs, all candidates together */
#endif
#ifndef WRITES
#define WRITES 3 /* changes of the map that they want */
#endif
#ifndef DOUBTS
#define DOUBTS 2
#endif
#ifndef EXPIRIES
#define EXPIRIES 1
#endif

#define CANDIDATES 2
#define HISTORY (TERMS + WRITES + 1)

/* What the service held after each of its changes. A content is the number of the change that made it. */
byte epochs[HISTORY], epoch_by[HISTORY];
byte versions[HISTORY], contents[HISTORY];
byte now = 0;

/* For the checks. */
byte reader = 0;           /* the highest epoch whose leader has read the map */
bool applied[WRITES + 1];  /* changes */
bool given_up[WRITES + 1]; /* changes that their leader believes not to be in the map, now or later */

byte terms = 0, changes = 0, doubts = 0, expiries = 0;

/* Writes in doubt that may still be applied: for an epoch its old value, whose it is, 0; for the map
 * the epoch and the version that it expects, and the change. */
chan pending[CANDIDATES] = [DOUBTS + 1] of { byte, byte, byte };

inline next_state()
{
    epochs[now + 1] = epochs[now];
    epoch_by[now + 1] = epoch_by[now];
    versions[now + 1] = versions[now];
    contents[now + 1] = contents[now];
    now++
}

#ifdef UNCHECKED
#define EPOCH_HOLDS(expected) true
#else
#define EPOCH_HOLDS(expected) (epochs[now] == expected)
#endif
#ifdef UNCONDITIONAL
#define VERSION_HOLDS(expected) true
#else
#define VERSION_HOLDS(expected) (versions[now] == expected)
#endif

inline apply_epoch(old, whose)
{
    if
    :: epochs[now] == old ->
        next_state();
        epochs[now] = old + 1;
        epoch_by[now] = whose;
        good = true
    :: else -> good = false
    fi
}

inline apply_map(of_epoch, expected, what)
{
    if
    :: EPOCH_HOLDS(of_epoch) && VERSION_HOLDS(expected) ->
        assert(expected == versions[now]); /* versions rise by one */
        assert(of_epoch >= reader);        /* no change once a successor has read */
        assert(!applied[what]);
        assert(!given_up[what]);
        applied[what] = true;
        next_state();
        versions[now] = expected + 1;
        contents[now] = what;
        good = true
    :: else -> good = false
    fi
}

/* A state that this session may be shown. */
inline look()
{
    at = seen;
    do
    :: at < now -> at++
    :: break
    od;
    seen = at;
    at = 0
}

inline expire()
{
    expiries++;
    do
    :: pending[me] ? _, _, _
    :: empty(pending[me]) -> break
    od;
    seen = 0;
    epoch = 0;
    version = 0;
    change = 0;
    old = 0
}

inline give_up()
{
    assert(!applied[change]);
    given_up[change] = true
}

#define EXPIRES d_step { expiries < EXPIRIES -> expire() } goto anew

proctype candidate(byte me)
{
    byte seen;    /* the state of the service that its session knows of */
    byte epoch;   /* its own */
    byte version; /* of the map, as it knows it */
    byte change;  /* that it writes */
    byte old, whose, at;
    bool good;

anew:
    atomic {
        look();
        old = epochs[seen];
#ifdef MAP_BEFORE_EPOCH
        version = versions[seen];
#endif
        if
        :: terms < TERMS -> terms++; whose = terms
        :: goto over
        fi
    }

elected: /* it sets the epoch from `old` */
    if
    :: EXPIRES
    :: d_step { apply_epoch(old, whose); seen = now }
        if
        :: atomic { good -> epoch = old + 1 } goto reads
        :: !good -> goto anew
        fi
    :: d_step { doubts < DOUBTS -> doubts++; apply_epoch(old, whose) } -> goto asks
    :: d_step { doubts < DOUBTS -> doubts++; pending[me] ! old, whose, 0 } -> goto asks
    fi;

asks: /* was that its epoch? */
    atomic { good = false; look() }
    if
    :: atomic { epochs[seen] == old + 1 && epoch_by[seen] == whose -> epoch = old + 1 } goto reads
    :: epochs[seen] == old -> goto elected
    :: else -> goto anew
    fi;

reads:
    good = false;
#ifndef MAP_BEFORE_EPOCH
    atomic { look(); version = versions[seen] }
#endif
    if
    :: epoch > reader -> reader = epoch
    :: else
    fi;

leads:
    change = 0;
    assert(epochs[now] != epoch || versions[now] == version); /* it knows the map */
    if
    :: EXPIRES
    :: d_step { changes < WRITES -> changes++; change = changes }
    :: goto over
    fi;

writes:
    if
    :: EXPIRES
    :: d_step { apply_map(epoch, version, change); seen = now }
        if
        :: atomic { good -> version++; good = false } goto leads
        :: !good
        fi
    :: d_step { doubts < DOUBTS -> doubts++; apply_map(epoch, version, change); good = false }
#ifdef DOUBT_IS_NO
        give_up();
        goto leads
#endif
    :: d_step { doubts < DOUBTS -> doubts++; pending[me] ! epoch, version, change }
#ifdef DOUBT_IS_NO
        give_up();
        goto leads
#endif
    fi;

reads_back:
#ifdef WRITTEN_ON_TOP
    atomic { seen = now; version = versions[now] }
    if
    :: epochs[now] == epoch -> goto writes
    :: else -> goto anew
    fi;
#endif
#ifdef MAP_READ_FIRST
    atomic { look(); old = seen }
    atomic { look(); at = old; old = epochs[seen] }
#else
    atomic { look(); old = epochs[seen] }
    atomic { look(); at = seen }
#endif
    if
    :: contents[at] == change && old == epoch -> version = versions[at]; at = 0; goto leads
    :: contents[at] == change && old != epoch -> assert(applied[change]); goto deposed
    :: contents[at] != change && old == epoch && versions[at] == version -> at = 0; goto writes
    :: contents[at] != change && old == epoch && versions[at] != version -> at = 0; goto reads_back
#ifdef OVERWRITTEN_IS_NO
    :: contents[at] != change && old != epoch -> give_up()
#else
    :: contents[at] != change && old != epoch && versions[at] <= version + 1 -> give_up()
    :: contents[at] != change && old != epoch && versions[at] > version + 1 /* who knows */
#endif
    fi;

deposed:
    atomic { at = 0; epoch = 0; version = 0; change = 0; good = false }
    goto anew;

over:
    skip
}

/* What is in doubt is applied now, or after the next, or never. */
#define LATE(OF) \
    d_step { pending[OF] ? first, second, third -> \
        if \
        :: third == 0 -> apply_epoch(first, second) \
        :: else -> apply_map(first, second, third) \
        fi; \
        first = 0; second = 0; third = 0; good = false } \
    :: d_step { len(pending[OF]) > 1 -> \
        pending[OF] ? first, second, third; \
        pending[OF] ! first, second, third; \
        first = 0; second = 0; third = 0 }

proctype service()
{
    byte first, second, third;
    bool good;
end:
    do
    :: LATE(0)
    :: LATE(1)
    od
}

init
{
    atomic { run candidate(0); run candidate(1); run service() }
}
