/* A slot moves, its new owner dies, and it begins anew: its records of before must not be taken for
 * those of after.
 *
 * Slot d sends numbered records to slot e. d begins on A, moves to B (which takes along what A holds
 * unacknowledged), B dies, d begins anew on A or C (ANEW) with numbers from 1. Meanwhile e moves from O
 * to P with its counters, or O dies and e begins anew on P, whose counters take whatever number comes
 * first. A keeps the frames that it sent for d: they arrive late, come back, are taken out and sent
 * again when e has a new epoch.
 *
 * Moves are one step here (their steps are in move.pml), and e runs what it takes at once. The rest is
 * as in move.pml: one process, a frame is one record, answers are a frame's status.
 */
#ifndef FIRST
#define FIRST 2 /* records of d before it dies */
#endif
#ifndef SECOND
#define SECOND 1 /* and after */
#endif
#ifndef FROM_A
#define FROM_A 1 /* of the first, those that it sends from A; the rest from B */
#endif
#ifndef ANEW
#define ANEW C
#endif

#define A 0
#define B 1
#define C 2
#define O 0 /* owners of e have numbers of their own */
#define P 1

#define VERSIONS 4
#define FRAMES (FIRST + FIRST + SECOND + SECOND)

typedef Map {
    byte d, e;    /* owners */
    byte genesis; /* the version at which d's generation began */
    byte epoch;   /* of e */
    bool fresh;   /* e began empty then */
}
Map map[VERSIONS];
byte last = 0;
bool b_dead = false, o_dead = false;

#define SENT 0
#define REFUSED 1
#define DONE 2
typedef Frame {
    byte number, version, status;
    bool taken;
    bool later; /* of the second generation; nobody can see it */
}
typedef Lane {
    Frame frame[FRAMES];
    byte sent, received, acked, refused;
}
Lane lane[6];
#define LANE(from, to) lane[2 * (from) + (to)]

typedef Sender {
    byte version;
    bool runs_d;
    byte emitted;
}
Sender sender[3];
chan homeless[3] = [FRAMES] of { byte, byte, bool }; /* number, version, later */
chan held = [FRAMES] of { byte, bool };              /* what B sends when it begins */

#define FRESH 255
typedef Receiver {
    byte version;
    bool runs_e;
    byte counter; /* of the link from d */
    byte saved;   /* what it loaded was saved at this version */
}
Receiver receiver[2];

/* For the checks, by generation and number. */
typedef Records { bool has[FIRST + SECOND + 1] }
Records applied[2];      /* is in e's state */
Records acknowledged[2]; /* to some sender */
bool later_applied = false;

byte s, n, w, i, number, at, to, old; /* scratch of the one process */
bool later;
chan list = [FRAMES] of { byte, byte, bool };

inline tidy()
{
    s = 0; n = 0; w = 0; i = 0; number = 0; at = 0; to = 0; old = 0; later = false
}

inline send()
{
    to = map[sender[s].version].e;
    assert(LANE(s, to).sent < FRAMES);
    LANE(s, to).frame[LANE(s, to).sent].number = number;
    LANE(s, to).frame[LANE(s, to).sent].later = later;
    LANE(s, to).frame[LANE(s, to).sent].version = sender[s].version;
    LANE(s, to).sent++
}

#ifdef SENT_AGAIN_ANYHOW
#define OF_TODAY(known) true
#else
#define OF_TODAY(known) (known >= map[sender[s].version].genesis)
#endif

/* e has a new epoch: what is apart and what is held goes to its owner, of d's generation only. */
inline route_change()
{
    do
    :: homeless[s] ? number, at, later -> list ! number, at, later
    :: empty(homeless[s]) -> break
    od;
    for (n : 0 .. 1) {
        i = LANE(s, n).acked;
        do
        :: i < LANE(s, n).sent ->
            if
            :: !LANE(s, n).frame[i].taken ->
                list ! LANE(s, n).frame[i].number, LANE(s, n).frame[i].version,
                    LANE(s, n).frame[i].later;
                LANE(s, n).frame[i].taken = true
            :: else
            fi;
            i++
        :: else -> break
        od
    }
    do
    :: list ? number, at, later ->
        if
        :: OF_TODAY(at) -> send()
        :: else
        fi
    :: empty(list) -> break
    od
}

/* Sender s learns of version w. */
inline sender_learns()
{
    old = sender[s].version;
    sender[s].version = w;
    if
    :: map[w].genesis != map[old].genesis || map[w].d != s -> sender[s].runs_d = false
    :: else
    fi;
    if
    :: map[w].epoch != map[old].epoch -> route_change()
    :: else
    fi;
    if
    :: map[w].d == s && !sender[s].runs_d && (s == B || map[w].genesis > 0) ->
        sender[s].runs_d = true;
        if
        :: map[w].genesis > 0 -> sender[s].emitted = 0
        :: else
            do
            :: held ? number, later -> send()
            :: empty(held) -> break
            od
        fi
    :: else
    fi;
    tidy()
}

/* e at n begins with what it loaded, or empty. */
inline begin_e()
{
    receiver[n].runs_e = true;
    if
    :: map[w].fresh ->
        receiver[n].counter = FRESH;
        for (i : 1 .. FIRST + SECOND) {
            applied[0].has[i] = false;
            applied[1].has[i] = false
        }
        later_applied = false
#ifdef FORGOTTEN_BY_MAP
    :: !map[w].fresh && map[w].genesis != map[old].genesis -> receiver[n].counter = FRESH
#else
    :: !map[w].fresh && map[w].genesis > receiver[n].saved -> receiver[n].counter = FRESH
#endif
    :: else
    fi
}

/* Receiver n learns of version w. */
inline receiver_learns()
{
    old = receiver[n].version;
    receiver[n].version = w;
    if
    :: n == P && map[w].e == P && !receiver[P].runs_e -> begin_e()
    :: map[w].e == n && receiver[n].runs_e && map[w].genesis != map[old].genesis ->
        receiver[n].counter = FRESH
    :: map[w].e != n -> receiver[n].runs_e = false
    :: else
    fi;
    tidy()
}

inline judge()
{
    if
    :: receiver[n].counter == FRESH || number == receiver[n].counter + 1 ->
        receiver[n].counter = number;
        assert(!applied[later].has[number]); /* twice */
        assert(later || !later_applied);     /* an old one after a new one */
        applied[later].has[number] = true;
        later_applied = later
    :: else ->
        assert(number <= receiver[n].counter); /* a gap */
        /* a repeat of what was never applied */
        assert(applied[later].has[number] || acknowledged[later].has[number])
    fi
}

#define FRAME LANE(s, n).frame[i]
inline receive()
{
    i = LANE(s, n).received;
    LANE(s, n).received++;
    number = FRAME.number;
    later = FRAME.later;
    if
#ifdef OBSOLETE_FIRST
    :: FRAME.version < map[receiver[n].version].genesis -> assert(!later); FRAME.status = DONE
    :: FRAME.version >= map[receiver[n].version].genesis &&
#else
    ::
#endif
            (!receiver[n].runs_e || FRAME.version < map[receiver[n].version].epoch) ->
        FRAME.status = REFUSED;
        LANE(s, n).refused++
#ifndef OBSOLETE_TAKEN
    :: receiver[n].runs_e && FRAME.version >= map[receiver[n].version].epoch &&
            FRAME.version < map[receiver[n].version].genesis ->
        assert(!later);
        FRAME.status = DONE
#endif
    :: else -> judge(); FRAME.status = DONE
    fi;
    tidy()
}

inline hear_not_mine()
{
    i = LANE(s, n).acked;
    do
    :: FRAME.status != REFUSED -> i++
    :: else -> break
    od;
    if
    :: !FRAME.taken -> homeless[s] ! FRAME.number, FRAME.version, FRAME.later
    :: else
    fi;
    FRAME.taken = true;
    FRAME.status = DONE;
    LANE(s, n).refused--;
    tidy()
}

inline hear_ack()
{
    i = LANE(s, n).acked;
    if
    :: !FRAME.taken -> acknowledged[FRAME.later].has[FRAME.number] = true
    :: else
    fi;
    LANE(s, n).acked++;
    tidy()
}

inline new_version()
{
    map[last + 1].d = map[last].d;
    map[last + 1].e = map[last].e;
    map[last + 1].genesis = map[last].genesis;
    map[last + 1].epoch = map[last].epoch;
    map[last + 1].fresh = map[last].fresh;
    last++
}

/* What d sent from A and nobody acknowledged goes along. */
inline move_d()
{
    sender[A].runs_d = false;
    sender[B].emitted = sender[A].emitted;
#ifndef APART_LEFT
    at = len(homeless[A]);
    do
    :: at > 0 ->
        homeless[A] ? number, old, later;
        homeless[A] ! number, old, later;
        held ! number, later;
        at--
    :: else -> break
    od;
#endif
    for (n : 0 .. 1) {
        i = LANE(A, n).acked;
        do
        :: i < LANE(A, n).sent ->
            if
            :: !LANE(A, n).frame[i].taken ->
                held ! LANE(A, n).frame[i].number, LANE(A, n).frame[i].later
            :: else
            fi;
            i++
        :: else -> break
        od
    }
    new_version();
    map[last].d = B;
    tidy()
}

inline quiet()
{
    s = map[last].d;
    later = map[last].genesis > 0;
    assert(sender[s].runs_d && sender[s].emitted == (later -> SECOND : FIRST));
    assert(receiver[map[last].e].runs_e);
    for (i : 1 .. sender[s].emitted) {
        assert(applied[later].has[i] || acknowledged[later].has[i])
    }
    for (s : 0 .. 2) {
        assert((s == B && b_dead) || empty(homeless[s]))
    }
}

#define SENDS(S) (S != B || !b_dead)
#define TAKES(N) (N != O || !o_dead)
#define TO_EMIT(S) \
    (map[sender[S].version].genesis > 0 -> SECOND : (S == A -> FROM_A : FIRST))
#define EMIT(S) \
    d_step { SENDS(S) && sender[S].runs_d && \
            sender[S].emitted < TO_EMIT(S) -> \
        s = S; sender[S].emitted++; \
        number = sender[S].emitted; later = map[sender[S].version].genesis > 0; \
        send(); tidy() }
#define LINE(S, N) \
    d_step { TAKES(N) && LANE(S, N).received < LANE(S, N).sent && \
            (S != B || map[receiver[N].version].genesis == 0) && \
            LANE(S, N).frame[LANE(S, N).received].version <= receiver[N].version -> \
        s = S; n = N; receive() } \
    :: d_step { SENDS(S) && TAKES(N) && LANE(S, N).refused > 0 -> s = S; n = N; hear_not_mine() } \
    :: d_step { SENDS(S) && TAKES(N) && LANE(S, N).acked < LANE(S, N).received && \
            LANE(S, N).frame[LANE(S, N).acked].status == DONE -> \
        s = S; n = N; hear_ack() }
#define LATER(VERSION) \
        w = VERSION + 1; \
        do \
        :: w < last -> w++ \
        :: break \
        od
/* B and C hear of the map when it names them. */
#define CONCERNS(S) (S == A || map[last].d == S)
#define SENDER_LEARNS(S) \
    atomic { SENDS(S) && CONCERNS(S) && sender[S].version < last -> \
        LATER(sender[S].version); d_step { s = S; sender_learns() } }
#define RECEIVER_LEARNS(N) \
    atomic { TAKES(N) && receiver[N].version < last -> \
        LATER(receiver[N].version); d_step { n = N; receiver_learns() } }

active proctype world()
{
    d_step {
        sender[A].runs_d = true;
        receiver[O].runs_e = true;
        map[0].d = A;
        map[0].e = O
    }
    do
    :: EMIT(A)
    :: EMIT(B)
    :: EMIT(C)
    :: LINE(A, O)
    :: LINE(A, P)
    :: LINE(B, O)
    :: LINE(B, P)
    :: LINE(C, O)
    :: LINE(C, P)
    :: SENDER_LEARNS(A)
    :: SENDER_LEARNS(B)
    :: SENDER_LEARNS(C)
    :: RECEIVER_LEARNS(O)
    :: RECEIVER_LEARNS(P)
    /* The leader. */
    :: d_step { map[last].d == A && map[last].genesis == 0 && sender[A].emitted == FROM_A ->
        move_d() }
    :: d_step { map[last].d == B && b_dead ->
        new_version();
        map[last].d = ANEW;
        map[last].genesis = last }
#ifndef O_DIES
    :: d_step { map[last].e == O ->
        receiver[O].runs_e = false;
        receiver[P].counter = receiver[O].counter;
        receiver[P].saved = receiver[O].version;
        new_version();
        map[last].e = P;
        map[last].epoch = last }
#endif
    :: d_step { map[last].e == O && o_dead ->
        new_version();
        map[last].e = P;
        map[last].epoch = last;
        map[last].fresh = true }
    /* Deaths. */
    :: d_step { map[last].d == B && !b_dead -> b_dead = true }
#ifdef O_DIES
    :: d_step { map[last].e == O && !o_dead -> o_dead = true }
#endif
    :: else -> break
    od;
    atomic { quiet() }
}
