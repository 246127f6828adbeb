/* A session with one lane over connections that lose, repeat and break.
 *
 * Rules 4 to 8 of runtime/net/README.md, and its re-opening: the opener's HELLO names the session and
 * counts its connections; the WELCOME says where the lane stands (received, acknowledged, credit); the
 * opener goes back to the frame behind. Each side reads only its newest connection, but what is in an
 * older one may still arrive while the other side does not know of the newer. Frames are applied in
 * any order once they were taken in, and credited when they were taken in. The acceptor never restarts.
 */
#ifndef FRAMES
#define FRAMES 3
#endif
#ifndef WINDOW
#define WINDOW 2
#endif
#ifndef FAULTS
#define FAULTS 2 /* losses, repeats and breaks together */
#endif

#define CONNECTIONS 3 /* the first, and another for each fault */
#define QUEUE 4
#define NONE 255

mtype = { HELLO, DATA, WELCOME, CREDIT, ACK };

/* Each message has the serial of its direction. Behind it, DATA has its frame; WELCOME the frames
 * received and acknowledged, and the credit; CREDIT the credit, and by how much it was raised; ACK a
 * frame. */
chan there[CONNECTIONS] = [QUEUE] of { mtype, byte, byte };
chan back[CONNECTIONS] = [QUEUE] of { mtype, byte, byte, byte, byte };
bool broken[CONNECTIONS]; /* the opener will see it */
bool lossy[CONNECTIONS];  /* something is missing in it: a PING would show it */

/* The opener. */
byte connection = 0;
bool open = false;
byte serial_out = 0, serial_heard = 0;
byte next = 1;         /* frame that it sends next */
byte limit = 0;        /* credit */
byte acknowledged = 0; /* frames above it are held */

/* The acceptor. */
byte accepted = NONE; /* the connection that it reads and answers on */
byte serial_said = 0, serial_in = 0;
byte received = 0, taken_in = 0;
byte said_credit = 0, said_acknowledged = 0;
bool applied[FRAMES + 1];
byte applied_all = 0;  /* up to here all are */
byte applied_last = 0; /* the highest that is */

/* The sender's copies up to a frame go. */
inline free_to(upto)
{
    do
    :: acknowledged < upto -> acknowledged++; assert(applied[acknowledged])
    :: else -> break
    od
}

inline hello()
{
    serial_out = 1;
    serial_heard = 0;
    open = false;
    there[connection] ! HELLO, 1, 0
}

/* Another connection, for the same session. */
inline open_again()
{
    connection++;
    assert(connection < CONNECTIONS); /* more connections than faults */
    hello()
}

inline hear()
{
    back[connection] ? what, serial, first, second, third;
    serial_heard++;
    if
#ifndef GAP_UNCHECKED
    :: serial != serial_heard -> open_again()
    :: serial == serial_heard && what == WELCOME ->
#else
    :: what == WELCOME ->
#endif
        open = true;
        free_to(second);
        assert(first >= acknowledged && first <= FRAMES);
#ifndef GOES_ON
        next = first + 1;
#endif
#ifdef RELATIVE_CREDIT
        limit = limit + WINDOW
#elif !defined(CREDIT_FORGOTTEN)
        limit = third
#else
        if
        :: limit == 0 -> limit = third
        :: else
        fi
#endif
    :: serial == serial_heard && what == CREDIT ->
#ifdef RELATIVE_CREDIT
        limit = limit + second
#else
        limit = first
#endif
    :: serial == serial_heard && what == ACK -> free_to(first)
    fi;
    what = 0; serial = 0; first = 0; second = 0; third = 0
}

proctype opener()
{
    mtype what;
    byte serial, first, second, third;
    d_step { hello() }
    do
    :: d_step { open && next <= FRAMES && next <= limit && nfull(there[connection]) ->
        serial_out++;
        there[connection] ! DATA, serial_out, next;
        next++ }
    :: d_step { nempty(back[connection]) -> hear() }
    :: d_step { broken[connection] -> open_again() }
    /* Silence, or a PING whose serial is not the next. */
    :: d_step { lossy[connection] && empty(back[connection]) && empty(there[connection]) ->
        open_again() }
    :: acknowledged == FRAMES -> break
    od
}

/* Accepts connection c, and says where the lane stands. */
inline welcome()
{
    there[c] ? what, serial, frame;
    accepted = c;
    serial_in = 1;
    serial_said = 1;
    said_credit = taken_in + WINDOW;
    said_acknowledged = applied_all;
#ifdef WELCOME_APPLIED
    back[c] ! WELCOME, 1, applied_all, applied_all, said_credit;
#else
    back[c] ! WELCOME, 1, received, applied_all, said_credit;
#endif
    what = 0; serial = 0; frame = 0; c = 0
}

inline take_in_frame()
{
    there[c] ? what, serial, frame;
    serial_in++;
    if
#ifndef GAP_UNCHECKED
    :: serial != serial_in || what != DATA -> broken[c] = true
    :: else ->
#else
    :: true ->
#endif
        assert(frame > received);                 /* twice */
        assert(frame <= taken_in + WINDOW); /* over its credit */
#ifndef GAP_UNCHECKED
        assert(frame == received + 1);
#endif
        received = frame
    fi;
    what = 0; serial = 0; frame = 0; c = 0
}

inline apply()
{
    assert(!applied[frame]);
    applied[frame] = true;
    if
    :: frame > applied_last -> applied_last = frame
    :: else
    fi;
    do
    :: applied_all < FRAMES && applied[applied_all + 1] -> applied_all++
    :: else -> break
    od;
    frame = 0
}

#ifdef ACKED_EARLY
#define TO_ACKNOWLEDGE received
#elif defined(ACKED_HIGHEST)
#define TO_ACKNOWLEDGE applied_last
#else
#define TO_ACKNOWLEDGE applied_all
#endif

/* A connection that the acceptor reads from. */
#ifdef OLDER_READ
#define READS(c) (accepted != NONE && c <= accepted && !broken[c])
#else
#define READS(c) (c == accepted && !broken[c])
#endif
#ifdef HELLO_UNCOUNTED
#define NEWER(c) (c != accepted)
#else
#define NEWER(c) (accepted == NONE || c > accepted)
#endif
#define SAYS (accepted != NONE && !broken[accepted] && nfull(back[accepted]))

#define ACCEPTS(CONNECTION) \
    d_step { NEWER(CONNECTION) && there[CONNECTION] ? [HELLO, serial, frame] -> \
        c = CONNECTION; welcome() }
#define READ(CONNECTION) \
    d_step { READS(CONNECTION) && nempty(there[CONNECTION]) -> c = CONNECTION; take_in_frame() }
#define APPLY(AHEAD) \
    d_step { applied_all + AHEAD <= taken_in && !applied[applied_all + AHEAD] -> \
        frame = applied_all + AHEAD; apply() }

proctype acceptor()
{
    mtype what;
    byte serial, frame, c;
end:
    do
    :: ACCEPTS(0)
    :: ACCEPTS(1)
    :: ACCEPTS(2)
    :: READ(0)
    :: READ(1)
    :: READ(2)
    :: taken_in < received -> taken_in++
    :: APPLY(1)
    :: APPLY(2)
    :: APPLY(3)
    :: d_step { SAYS && taken_in + WINDOW > said_credit ->
        serial_said++;
        back[accepted] ! CREDIT, serial_said, taken_in + WINDOW, taken_in + WINDOW - said_credit, 0;
        said_credit = taken_in + WINDOW }
    :: d_step { SAYS && TO_ACKNOWLEDGE > said_acknowledged ->
        serial_said++;
        said_acknowledged = TO_ACKNOWLEDGE;
        back[accepted] ! ACK, serial_said, said_acknowledged, 0, 0 }
    od
}

#define FORGET what = 0; first = 0; second = 0; third = 0; fourth = 0
#define LOSE(CONNECTION) \
    d_step { faults < FAULTS && nempty(there[CONNECTION]) -> \
        there[CONNECTION] ? what, first, second; \
        faults++; lossy[CONNECTION] = true; FORGET } \
    :: d_step { faults < FAULTS && nempty(back[CONNECTION]) -> \
        back[CONNECTION] ? what, first, second, third, fourth; \
        faults++; lossy[CONNECTION] = true; FORGET }
#define REPEAT(CONNECTION) \
    d_step { faults < FAULTS && nempty(there[CONNECTION]) && nfull(there[CONNECTION]) -> \
        there[CONNECTION] ? <what, first, second>; \
        there[CONNECTION] ! what, first, second; \
        faults++; FORGET } \
    :: d_step { faults < FAULTS && nempty(back[CONNECTION]) && nfull(back[CONNECTION]) -> \
        back[CONNECTION] ? <what, first, second, third, fourth>; \
        back[CONNECTION] ! what, first, second, third, fourth; \
        faults++; FORGET }

/* Loses, repeats (the repeat comes last of what is on its way), breaks the newest connection. */
proctype network()
{
    mtype what;
    byte first, second, third, fourth;
    byte faults = 0;
end:
    do
    :: LOSE(0)
    :: LOSE(1)
    :: LOSE(2)
    :: REPEAT(0)
    :: REPEAT(1)
    :: REPEAT(2)
    :: d_step { faults < FAULTS && acknowledged < FRAMES && !broken[connection] ->
        faults++; broken[connection] = true }
    od
}

init
{
    atomic { run opener(); run acceptor(); run network() }
    timeout -> assert(acknowledged == FRAMES)
}
