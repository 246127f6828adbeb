/* A slot moves between two nodes while records flow to it.
 *
 * A and B may own the slot, C only sends. Two sources number their records to it: source 0 on C,
 * source 1 on A or B (SECOND). What the slot applies, it answers with a record to a slot on C whose
 * owner never changes. The leader moves the slot MOVES times; a move may be called off, B may die
 * before its commit (DEATH), and one change of the map may be about something else.
 *
 * One process, whose steps are the steps of the nodes: each is done while that node's workers stand
 * still. Sessions (session.pml) are taken as they are promised: a lane delivers in order, nothing is
 * lost while both ends live. Answers are not messages of their own: NOT_MINE and ACK are a frame's
 * status at its receiver, which the sender sees whenever it looks. A frame is one record; what else is
 * in it, its receiver applies. Copying a partition while it runs is not here: what counts is the freeze.
 */
#ifndef N
#define N 2 /* records of source 0 */
#endif
#ifndef M
#define M 1 /* records of source 1 */
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef SECOND
#define SECOND A
#endif
#ifndef UNRELATED
#define UNRELATED 0 /* changes of the map that are not about the slot */
#endif
#ifndef CALLED_OFF
#define CALLED_OFF 0 /* moves that the leader gives up though B lives */
#endif

#define A 0
#define B 1
#define C 2
#define NOBODY 3

#define VERSIONS (2 * MOVES + UNRELATED + 1)
#define FRAMES (N * (MOVES + 2))
#define QUEUE ((N + M) * (MOVES + 2))

/* The coordination service: every version of the map. */
typedef Map {
    byte owner, target;
    byte epoch; /* the version at which the owner got the slot */
    byte move;  /* the version at which this move began; 0: none */
}
Map map[VERSIONS];
byte last = 0;
byte moves = 0, unrelated = 0, called_off = 0;

/* Frames of a source to A or B. */
#define SENT 0
#define WAITS 1   /* in a run of the partition, or behind it */
#define REFUSED 2 /* NOT_MINE is on its way */
#define DONE 3
typedef Frame {
    byte number, version, status;
    bool taken; /* its record was taken out: it is homeless or in a newer frame */
}
typedef Lane {
    Frame frame[FRAMES];
    byte sent, received, acked;
    byte refused; /* NOT_MINE that the source did not yet hear */
}
Lane lane[4];
#define LANE(source, node) lane[2 * (source) + (node)]

byte next[2]; /* number of the record that a source emits next */
chan homeless[2] = [QUEUE] of { byte };
#define HOME(source) (source == 0 -> C : SECOND)
#define RECORDS(source) (source == 0 -> N : M)

/* Partitions, at A and B. */
#define ABSENT 0
#define RUNS 1
#define STALLED 2 /* arrives */
#define FROZEN 3  /* leaves */
typedef Partition {
    byte state;
    byte move;      /* STALLED, FROZEN: for this move */
    bool installed;
    byte applied[2]; /* link counters, by source */
    byte emitted;    /* the link counter to C */
    byte acked;      /* of these, what C acknowledged */
}
Partition part[2];
chan runs[2] = [QUEUE] of { byte, byte, byte }; /* source, number, frame + 1 of its lane or 0 */
chan results[2] = [QUEUE] of { byte };          /* lanes to C */
byte applied_at_c = 0;

byte version[3];
bool dead = false; /* B */
#define LIVES(node) (node != B || !dead)
#define OWNER(node) map[version[node]].owner
#define TARGET(node) map[version[node]].target
#define EPOCH(node) map[version[node]].epoch

byte s, n, w, i, k, number, frame, to, old; /* scratch of the one process */
chan list = [QUEUE] of { byte };

/* Scratch must not tell states apart. */
inline tidy()
{
    s = 0; n = 0; w = 0; i = 0; k = 0; number = 0; frame = 0; to = 0; old = 0
}

/* Node n says NOT_MINE of a frame. */
inline refuse(by, which)
{
    LANE(by, n).frame[which].status = REFUSED;
    LANE(by, n).refused++
}

/* Sends record `number` of source s under what its node knows. A node that freezes the slot keeps its
 * own records. */
inline send()
{
    to = OWNER(HOME(s));
    if
    :: to == HOME(s) && part[to].state == FROZEN -> homeless[s] ! number
    :: to == HOME(s) && part[to].state != FROZEN ->
        assert(part[to].state == RUNS);
        runs[to] ! s, number, 0
    :: else ->
        assert(LANE(s, to).sent < FRAMES);
        LANE(s, to).frame[LANE(s, to).sent].number = number;
        LANE(s, to).frame[LANE(s, to).sent].version = version[HOME(s)];
        LANE(s, to).sent++
    fi
}

/* Takes what source s holds unacknowledged, in order, behind what is in the list. */
inline take_held()
{
    for (k : 0 .. 1) {
        i = LANE(s, k).acked;
        do
        :: i < LANE(s, k).sent ->
            if
            :: !LANE(s, k).frame[i].taken ->
                list ! LANE(s, k).frame[i].number;
                LANE(s, k).frame[i].taken = true
            :: else
            fi;
            i++
        :: else -> break
        od
    }
}

inline take_homeless()
{
    do
    :: homeless[s] ? number -> list ! number
    :: empty(homeless[s]) -> break
    od
}

inline send_list()
{
    do
    :: list ? number -> send()
    :: empty(list) -> break
    od
}

/* The route change: everything unacknowledged goes to the owner of the new epoch. */
inline route_change()
{
#ifdef NEWER_FIRST
    take_held();
    take_homeless();
#else
    take_homeless();
    take_held();
#endif
    send_list()
}

/* Partition n goes. What waited in it, another has. */
inline drop()
{
    assert(part[n].state != RUNS);
    do
    :: runs[n] ? k, number, frame ->
        if
#ifdef WAITING_REFUSED
        :: frame > 0 -> refuse(k, frame - 1)
#else
        :: frame > 0 -> LANE(k, n).frame[frame - 1].status = DONE
#endif
        :: else
        fi
    :: empty(runs[n]) -> break
    od;
    part[n].state = ABSENT;
    part[n].installed = false;
    part[n].applied[0] = 0;
    part[n].applied[1] = 0;
    part[n].emitted = 0;
    part[n].acked = 0
}

/* Node n's part in version w. */
inline new_role()
{
    if
    :: map[w].owner == n ->
        assert(part[n].state != ABSENT);
        if
        :: part[n].state == FROZEN && part[n].move != map[w].move -> part[n].state = RUNS
        :: part[n].state == STALLED ->
            assert(part[n].installed);
            part[n].state = RUNS;
            i = part[n].acked + 1;
#ifdef HELD_LEFT
            i = part[n].emitted + 1;
#endif
            do
            :: i <= part[n].emitted -> results[n] ! i; i++
            :: else -> break
            od
        :: else
        fi
    :: map[w].owner != n && map[w].target == n ->
        if
        :: part[n].state == STALLED && part[n].move == map[w].move
        :: else ->
            drop();
            part[n].state = STALLED;
            part[n].move = map[w].move
        fi
    :: else ->
        drop()
    fi
}

/* Node n learns of version w; versions between may have passed it by. */
inline learn()
{
    old = version[n];
    version[n] = w;
    if
    :: n != C -> new_role()
    :: else
    fi;
    for (s : 0 .. 1) {
        if
#ifdef SAME_OWNER_KEEPS
        :: HOME(s) == n && map[w].owner != map[old].owner ->
#else
        :: HOME(s) == n && map[w].epoch != map[old].epoch ->
#endif
            route_change()
#ifdef ANY_CHANGE
        :: HOME(s) == n && map[w].epoch == map[old].epoch ->
            take_homeless();
            send_list()
#endif
        :: else
        fi
    }
    tidy()
}

/* Takes in the next frame of source s at node n. */
inline receive()
{
    frame = LANE(s, n).received;
    LANE(s, n).received++;
    number = LANE(s, n).frame[frame].version;
#ifdef STAMPED_ANEW
    number = version[HOME(s)];
#endif
    if
#ifndef EPOCH_UNCHECKED
#ifdef EPOCH_GREATER
    :: number <= EPOCH(n) && EPOCH(n) > 0 -> refuse(s, frame)
#else
    :: number < EPOCH(n) -> refuse(s, frame)
#endif
#endif
    :: part[n].state != RUNS -> refuse(s, frame)
    :: else ->
        runs[n] ! s, LANE(s, n).frame[frame].number, frame + 1;
        LANE(s, n).frame[frame].status = WAITS
    fi;
    tidy()
}

/* The partition at n runs its next record. */
inline take_run()
{
    assert(part[1 - n].state != RUNS);
    runs[n] ? k, number, frame;
    assert(number <= part[n].applied[k] + 1); /* a gap */
    if
    :: number == part[n].applied[k] + 1 ->
        part[n].applied[k]++;
        part[n].emitted++;
        results[n] ! part[n].emitted
    :: else
    fi;
    if
    :: frame > 0 -> LANE(k, n).frame[frame - 1].status = DONE
    :: else
    fi;
    tidy()
}

/* Source s hears the first NOT_MINE of its lane to n. */
inline hear_not_mine()
{
    i = LANE(s, n).acked;
    do
    :: LANE(s, n).frame[i].status != REFUSED -> i++
    :: else -> break
    od;
    if
#ifdef NOT_MINE_DROPPED
    :: true
#elif defined(LATE_NOT_MINE)
    :: true -> homeless[s] ! LANE(s, n).frame[i].number
#else
    :: !LANE(s, n).frame[i].taken -> homeless[s] ! LANE(s, n).frame[i].number
    :: else
#endif
    fi;
    LANE(s, n).frame[i].taken = true;
    LANE(s, n).frame[i].status = DONE;
    LANE(s, n).refused--;
    tidy()
}

/* C takes in what the partition at n sent it, and its acknowledgement arrives, or a later one will. */
inline result(heard)
{
    results[n] ? number;
    assert(number <= applied_at_c + 1); /* a gap */
    if
    :: number == applied_at_c + 1 -> applied_at_c++
    :: else
    fi;
    if
    :: heard && number > part[n].acked && number <= part[n].emitted -> part[n].acked = number
    :: else
    fi;
    tidy()
}

/* The other owner's frozen partition is taken in at n, with the runs that wait there. */
inline install()
{
#ifndef WAITING_LEFT
    i = len(runs[1 - n]);
    do
    :: i > 0 ->
        runs[1 - n] ? k, number, frame;
        runs[1 - n] ! k, number, frame;
        runs[n] ! k, number, 0;
        i--
    :: else -> break
    od;
#endif
    part[n].applied[0] = part[1 - n].applied[0];
    part[n].applied[1] = part[1 - n].applied[1];
    part[n].emitted = part[1 - n].emitted;
    part[n].acked = part[1 - n].acked;
    part[n].installed = true;
    tidy()
}

/* The leader's next version: like the last one, but for what follows. */
inline new_version()
{
    map[last + 1].owner = map[last].owner;
    map[last + 1].target = map[last].target;
    map[last + 1].epoch = map[last].epoch;
    map[last + 1].move = map[last].move;
    last++
}

inline end_move()
{
    map[last].target = NOBODY;
    map[last].move = 0;
    map[last].epoch = last
}

inline quiet()
{
    n = map[last].owner;
    assert(map[last].target == NOBODY && part[n].state == RUNS && part[1 - n].state != RUNS);
    for (s : 0 .. 1) {
        assert(part[n].applied[s] == RECORDS(s));
        assert(empty(homeless[s]));
        for (k : 0 .. 1) {
            assert(!LIVES(k) || LANE(s, k).acked == LANE(s, k).sent)
        }
    }
    assert(applied_at_c == N + M)
}

#define INSTALLED (map[last].target != NOBODY && part[map[last].target].state == STALLED && \
        part[map[last].target].installed && part[map[last].target].move == map[last].move)

#ifdef AHEAD_TAKEN
#define IN_TIME(S, NODE) true
#else
#define IN_TIME(S, NODE) (LANE(S, NODE).frame[LANE(S, NODE).received].version <= version[NODE])
#endif

#define HEARS(S, NODE) \
    d_step { LIVES(NODE) && LANE(S, NODE).refused > 0 -> s = S; n = NODE; hear_not_mine() }
#define ARRIVES(S, NODE) \
    d_step { LIVES(NODE) && LANE(S, NODE).received < LANE(S, NODE).sent && IN_TIME(S, NODE) -> \
        s = S; n = NODE; receive() }
#define ACKED(S, NODE) \
    d_step { LIVES(NODE) && LANE(S, NODE).acked < LANE(S, NODE).received && \
            LANE(S, NODE).frame[LANE(S, NODE).acked].status == DONE -> \
        LANE(S, NODE).acked++ }
#define RUN(NODE) \
    d_step { LIVES(NODE) && part[NODE].state == RUNS && nempty(runs[NODE]) -> n = NODE; take_run() }
#define FREEZE(NODE) \
    d_step { LIVES(NODE) && part[NODE].state == RUNS && OWNER(NODE) == NODE && \
            TARGET(NODE) != NOBODY -> \
        part[NODE].state = FROZEN; \
        part[NODE].move = map[version[NODE]].move }
#define INSTALL(NODE) \
    d_step { LIVES(NODE) && part[NODE].state == STALLED && !part[NODE].installed && \
            part[1 - NODE].state == FROZEN && part[1 - NODE].move == part[NODE].move -> \
        n = NODE; install() }
#define RESULT(NODE, HEARD) \
    d_step { LIVES(NODE) && nempty(results[NODE]) -> n = NODE; result(HEARD) }
#define LEARN(NODE) \
    atomic { LIVES(NODE) && version[NODE] < last -> \
        w = version[NODE] + 1; \
        do \
        :: w < last -> w++ \
        :: break \
        od; \
        d_step { n = NODE; learn() } }

active proctype world()
{
    d_step {
        map[0].owner = A;
        map[0].target = NOBODY;
        part[A].state = RUNS;
        next[0] = 1;
        next[1] = 1
    }
    do
    :: d_step { next[0] <= N -> s = 0; number = next[0]; next[0]++; send(); tidy() }
    :: d_step { next[1] <= M -> s = 1; number = next[1]; next[1]++; send(); tidy() }
    :: ARRIVES(0, A)
    :: ARRIVES(0, B)
    :: ARRIVES(1, 1 - SECOND)
    :: HEARS(0, A)
    :: HEARS(0, B)
    :: HEARS(1, 1 - SECOND)
    :: ACKED(0, A)
    :: ACKED(0, B)
    :: ACKED(1, 1 - SECOND)
    :: RUN(A)
    :: RUN(B)
    :: RESULT(A, true)
    :: RESULT(A, false)
    :: RESULT(B, true)
    :: RESULT(B, false)
    :: LEARN(A)
    :: LEARN(B)
    :: LEARN(C)
    :: FREEZE(A)
    :: FREEZE(B)
    :: INSTALL(A)
    :: INSTALL(B)
#ifdef TAKEN_BACK_ALONE
    :: d_step { part[A].state == FROZEN -> part[A].state = RUNS }
#endif
    /* The leader. */
    :: d_step { map[last].target == NOBODY && moves < MOVES && !dead ->
        moves++;
        new_version();
        map[last].target = 1 - map[last].owner;
        map[last].move = last }
    :: d_step { INSTALLED && !dead ->
        new_version();
        map[last].owner = map[last].target;
        end_move() }
    :: d_step { map[last].target != NOBODY && (dead || called_off < CALLED_OFF) ->
        if
        :: !dead -> called_off++
        :: else
        fi;
        new_version();
        end_move() }
    :: d_step { unrelated < UNRELATED -> unrelated++; new_version() }
#ifdef DEATH
    :: d_step { map[last].owner == A && moves > 0 && !dead -> dead = true }
#endif
    :: else -> break
    od;
    atomic { quiet() }
}
