/* What an acceptor did not take (NOT_MINE), over connections that lose messages and break.
 *
 * Rule 13 of runtime/net/README.md, on what session.pml shows: the frames of one lane have all come.
 * The acceptor applies them one by one, and of each it took everything or not. Of what it did not
 * take the opener has to hear once, while it holds the frame. Notices are numbered; the opener says
 * which it heard in PING and in its next HELLO, and the acceptor says again what is behind.
 */
#ifndef FRAMES
#define FRAMES 2
#endif
#ifndef FAULTS
#define FAULTS 2 /* losses and breaks together */
#endif

#define CONNECTIONS (FAULTS + 1)
#define QUEUE 4
#define NONE 255

mtype = { HELLO, PING, WELCOME, NOT_MINE, LANES, ACK };

/* Each message has the serial of its connection and direction. HELLO and PING say the last notice
 * heard; NOT_MINE its number and its frame; LANES and ACK up to where all is applied. */
chan there[CONNECTIONS] = [QUEUE] of { mtype, byte, byte };
chan back[CONNECTIONS] = [QUEUE] of { mtype, byte, byte, byte };
bool broken[CONNECTIONS];
bool lossy[CONNECTIONS];

/* The opener. */
byte connection = 0;
byte serial_out = 0, serial_heard = 0;
byte acknowledged = 0; /* frames above it are held */
byte heard = 0, told = 0;
byte times[FRAMES + 1]; /* that it heard of a frame */

/* The acceptor. */
byte accepted = NONE;
byte serial_in = 0, serial_said = 0;
byte applied = 0, said_applied = 0;
bool refused[FRAMES + 1]; /* not all of it was taken */
byte frame_of[FRAMES + 1];     /* the frame of a notice */
byte notices = 0, said = 0, confirmed = 0;
bool resuming = false;

inline hello()
{
    serial_out = 1;
    serial_heard = 0;
#ifdef HELLO_TELLS_OLD
    there[connection] ! HELLO, 1, told
#else
    there[connection] ! HELLO, 1, heard;
    told = heard
#endif
}

inline open_again()
{
    connection++;
    assert(connection < CONNECTIONS);
    hello()
}

/* Frames up to this one are let go. */
inline free_to(upto)
{
    do
    :: acknowledged < upto ->
        acknowledged++;
        assert(!refused[acknowledged] || times[acknowledged] == 1) /* it was heard of */
    :: else -> break
    od
}

inline hear_of()
{
    if
#ifndef REPEATS_COUNT
    :: number <= heard
#endif
    :: else ->
        assert(frame > acknowledged); /* it is held */
        times[frame]++;
        assert(times[frame] == 1);
        heard = number
    fi
}

inline hear()
{
    back[connection] ? what, serial, number, frame;
    serial_heard++;
    if
    :: serial != serial_heard -> open_again()
    :: serial == serial_heard && what == NOT_MINE -> hear_of()
    :: serial == serial_heard && (what == LANES || what == ACK) -> free_to(number)
    :: serial == serial_heard && what == WELCOME
    fi;
    what = 0; serial = 0; number = 0; frame = 0
}

proctype opener()
{
    mtype what;
    byte serial, number, frame;
    d_step { hello() }
    do
    :: d_step { nempty(back[connection]) -> hear() }
    :: d_step { heard > told && nfull(there[connection]) ->
        serial_out++;
        there[connection] ! PING, serial_out, heard;
        told = heard }
    :: d_step { broken[connection] -> open_again() }
    :: d_step { lossy[connection] && empty(back[connection]) && empty(there[connection]) ->
        open_again() }
    :: acknowledged == FRAMES -> break
    od
}

inline confirm()
{
    assert(number >= confirmed && number <= notices);
    confirmed = number
}

inline welcome()
{
    there[c] ? what, serial, number;
    accepted = c;
    serial_in = 1;
    serial_said = 1;
    confirm();
#ifndef SAID_ONCE
    said = confirmed;
#endif
    resuming = true;
    back[c] ! WELCOME, 1, 0, 0;
    what = 0; serial = 0; number = 0; c = 0
}

inline read_ping()
{
    there[c] ? what, serial, number;
    serial_in++;
    if
    :: serial != serial_in || what != PING -> broken[c] = true
    :: else -> confirm()
    fi;
    what = 0; serial = 0; number = 0; c = 0
}

#define SAYS (accepted != NONE && !broken[accepted] && nfull(back[accepted]))
#ifdef LANES_FIRST
#define BEFORE_LANES true
#else
#define BEFORE_LANES (said == notices)
#endif
#ifdef ACK_FIRST
#define BEFORE_ACK true
#else
#define BEFORE_ACK (said == notices)
#endif

#define ACCEPTS(CONNECTION) \
    d_step { CONNECTION < CONNECTIONS && (accepted == NONE || CONNECTION > accepted) && \
        there[CONNECTION] ? [HELLO, serial, number] -> c = CONNECTION; welcome() }
#define READ(CONNECTION) \
    d_step { CONNECTION < CONNECTIONS && accepted == CONNECTION && !broken[CONNECTION] && \
        nempty(there[CONNECTION]) -> c = CONNECTION; read_ping() }

proctype acceptor()
{
    mtype what;
    byte serial, number, c;
end:
    do
    :: ACCEPTS(0)
    :: ACCEPTS(1)
    :: ACCEPTS(2)
    :: READ(0)
    :: READ(1)
    :: READ(2)
    :: d_step { applied < FRAMES -> applied++ } /* it took everything */
    :: d_step { applied < FRAMES ->
        notices++;
        frame_of[notices] = applied + 1;
        refused[applied + 1] = true;
        applied++ }
    :: d_step { SAYS && said < notices ->
        serial_said++;
        said++;
        back[accepted] ! NOT_MINE, serial_said, said, frame_of[said] }
    :: d_step { SAYS && resuming && BEFORE_LANES ->
        serial_said++;
        resuming = false;
        said_applied = applied;
        back[accepted] ! LANES, serial_said, applied, 0 }
    :: d_step { SAYS && !resuming && applied > said_applied && BEFORE_ACK ->
        serial_said++;
        said_applied = applied;
        back[accepted] ! ACK, serial_said, applied, 0 }
    od
}

#define LOSE(CONNECTION) \
    d_step { faults < FAULTS && CONNECTION < CONNECTIONS && nempty(there[CONNECTION]) -> \
        there[CONNECTION] ? what, first, second; \
        faults++; lossy[CONNECTION] = true; what = 0; first = 0; second = 0 } \
    :: d_step { faults < FAULTS && CONNECTION < CONNECTIONS && nempty(back[CONNECTION]) -> \
        back[CONNECTION] ? what, first, second, third; \
        faults++; lossy[CONNECTION] = true; what = 0; first = 0; second = 0; third = 0 }

proctype network()
{
    mtype what;
    byte first, second, third;
    byte faults = 0;
end:
    do
    :: LOSE(0)
    :: LOSE(1)
    :: LOSE(2)
    :: d_step { faults < FAULTS && acknowledged < FRAMES && !broken[connection] ->
        faults++; broken[connection] = true }
    od
}

init
{
    atomic { run opener(); run acceptor(); run network() }
    timeout -> assert(acknowledged == FRAMES)
}
