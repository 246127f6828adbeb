/* The ends of a session, and of its connections: each is reached once, tells the other side why as
 * far as that is possible, and then whoever owns the session.
 */
#include "runtime/net/session_impl.h"

void session_fail(struct session *session, s4_status code, const char *format, ...)
{
    if (session_is_over(session))
        return;
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    diag_set(&session->diag, code, "session %s %s: %s", session->options.opener ? "to" : "from",
             session_peer_name(session), text);
    session_say_bye(session, text, false);
    session->state = SESSION_FAILED;
    session->options.upcalls->failed(session->options.user, session, &session->diag);
}

void session_end(struct session *session)
{
    session->state = SESSION_CLOSED;
    session->options.upcalls->closed(session->options.user, session);
}

void session_cut(struct session *session, const char *reason)
{
    if (session_is_over(session))
        return;
    session_say_bye(session, reason, false);
    session->state = SESSION_CLOSED;
}

void session_refuse(struct session *session, const struct diag *diag)
{
    session_fail(session, diag->code, "%s", diag->text);
}

void session_break(struct session *session, const char *format, ...)
{
    if (session_is_cut_off(session))
        return;
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    session_say_bye(session, text, true);
    session_disconnected(session);
    if (!session_is_over(session))
        session->options.upcalls->broken(session->options.user, session, text);
}
