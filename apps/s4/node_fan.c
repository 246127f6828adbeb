/* Requests that all nodes answer; see the header. */
#include "apps/s4/node_fan.h"

#include "apps/s4/node_cluster.h"
#include "apps/s4/node_relay.h"
#include "runtime/base/mem.h"

#define BIT(i) (UINT64_C(1) << (i))

static void drop_replies(struct fan *fan)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        control_reply_destroy(fan->replies[i]);
        fan->replies[i] = NULL;
    }
    map_destroy(fan->map);
    fan->map = NULL;
}

void fan_destroy(struct request *request)
{
    if (!request->fan)
        return;
    drop_replies(request->fan);
    mem_free(request->fan);
    request->fan = NULL;
}

/* Rows and instances are where slots are; what is on its way may be anywhere. */
static bool is_asked(const struct map *map, uint32_t member, const S4__Control__Request *message)
{
    if (!map_member_exists(map, member))
        return false;
    return message->what_case == S4__CONTROL__REQUEST__WHAT_GET_STATUS ||
           message->what_case == S4__CONTROL__REQUEST__WHAT_DRAIN ||
           message->what_case == S4__CONTROL__REQUEST__WHAT_DEPLOY ||
           map_slots_of(map, member, false) > 0;
}

/* A drain goes on without finishing until nothing is in flight anywhere; of a bundle that runs here
 * the others are asked whether it runs there. */
static void send_on(struct node *node, struct request *request, uint32_t member)
{
    S4__Control__Request message = *request->message;
    S4__Control__Drain drain;
    S4__Control__Await await;
    if (message.what_case == S4__CONTROL__REQUEST__WHAT_DRAIN) {
        drain = *message.drain;
        drain.has_finish = drain.has_end_sources = true;
        drain.end_sources = message.drain->finish;
        drain.finish = request->fan->finishing;
        message.drain = &drain;
    }
    if (message.what_case == S4__CONTROL__REQUEST__WHAT_DEPLOY) {
        s4__control__await__init(&await);
        await.app = request->bundle->graph->app;
        await.id = request->deployment;
        message.what_case = S4__CONTROL__REQUEST__WHAT_AWAIT;
        message.await = &await;
    }
    relay_send(node, request, member, &message);
}

s4_status fan_start(struct node *node, struct request *request)
{
    struct fan *fan = request->fan ? request->fan : mem_zalloc(sizeof *fan);
    if (!fan)
        return S4_NO_MEMORY;
    if (!request->fan)
        fan->began_us = clock_real.mono_us(&clock_real);
    request->fan = fan;
    drop_replies(fan);
    fan->map = map_dup(node->map);
    if (!fan->map)
        return S4_NO_MEMORY;
    member_leader(node->member, fan->leader);
    fan->asked = 0;
    fan->left = 1;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        if (i == node->self || !is_asked(node->map, i, request->message))
            continue;
        fan->asked |= BIT(i);
        fan->left++;
        send_on(node, request, i);
    }
    return S4_OK;
}

void fan_retry(struct node *node, struct request *request)
{
    request->held_back = true;
    request->retry_us = clock_real.mono_us(&clock_real) + NODE_RETRY_MS * 1000;
    node->n_held_back++;
}

/* ---- what the answers say together ----------------------------------------------------------- */

/* They have not, because slots or nodes come and go just now. */
static bool is_passing(s4_status status)
{
    return status == S4_UNAVAILABLE || status == S4_STATE;
}

/* The first that is not well; MAP_NOBODY. */
static uint32_t find_failed(const struct fan *fan)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if ((fan->asked & BIT(i)) && (!fan->replies[i] || fan->replies[i]->status != S4_OK))
            return i;
    return MAP_NOBODY;
}

static void fail_by(struct request *request, uint32_t member)
{
    const struct fan *fan = request->fan;
    const char *name = fan->map->members[member].name;
    const S4__Control__Reply *reply = fan->replies[member];
    if (reply)
        request_fail(request, (s4_status)reply->status, "node %s: %s", name,
                     reply->message ? reply->message : s4_status_text((s4_status)reply->status));
    else
        request_fail(request, S4_UNAVAILABLE, "node %s does not answer", name);
}

/* A member's answer of no such app: the map says that there is one, so it is about to have it. */
static bool may_pass(const struct node *node, const struct request *request, s4_status status)
{
    const char *app = NULL;
    if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_QUERY)
        app = request->message->query->app;
    else if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_COUNT)
        app = request->message->count->app;
    const struct map_app *wanted =
        app && status == S4_NOT_FOUND ? map_find_app(node->map, app) : NULL;
    return is_passing(status) || (wanted && wanted->phase == MAP_RUN);
}

/* Once more, if that may help; false: the request was answered. */
static bool try_again(struct node *node, struct request *request, s4_status status)
{
    uint64_t waited = clock_real.mono_us(&clock_real) - request->fan->began_us;
    if (!may_pass(node, request, status) || waited > FAN_PATIENCE_US)
        return false;
    query_pins_destroy(request->got.pins);
    request->got.pins = NULL;
    bundle_release(request->bundle);
    request->bundle = NULL;
    request->status = S4_OK;
    request->diag = (struct diag){ 0 };
    fan_retry(node, request);
    return true;
}

static void count_slots(const uint32_t *partitions, size_t n, uint32_t slots, uint8_t *seen)
{
    for (size_t i = 0; i < n; i++)
        if (partitions[i] < slots && seen[partitions[i]] < 2)
            seen[partitions[i]]++;
}

bool fan_is_whole(const struct request *request)
{
    const struct fan *fan = request->fan;
    const struct query_pins *pins = request->got.pins;
    uint8_t seen[MAP_SLOTS_MAX] = { 0 };
    for (uint32_t i = 0; i < pins->n; i++)
        count_slots(&pins->pins[i].partition, 1, fan->map->n_slots, seen);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (fan->replies[i] && fan->replies[i]->what_case == S4__CONTROL__REPLY__WHAT_ROWS)
            count_slots(fan->replies[i]->rows->partitions, fan->replies[i]->rows->n_partitions,
                        fan->map->n_slots, seen);
    bool one_key = request->message->query->key != NULL;
    for (uint32_t slot = 0; slot < fan->map->n_slots; slot++)
        if (seen[slot] > 1 || (seen[slot] == 0 && (!one_key || slot == pins->home)))
            return false;
    return true;
}

static void end_query(struct node *node, struct request *request)
{
    uint32_t failed = find_failed(request->fan);
    s4_status status = request->status;
    if (status == S4_OK && failed != MAP_NOBODY)
        status = request->fan->replies[failed] ? (s4_status)request->fan->replies[failed]->status
                                               : S4_UNAVAILABLE;
    if (status == S4_OK && !fan_is_whole(request)) {
        status = S4_UNAVAILABLE;
        diag_set(&request->diag, status, "some slots have no owner, or are on their way");
    }
    if (status == S4_OK) {
        node_jobs_push(&node->reads, request);
    } else if (!try_again(node, request, status)) {
        if (failed != MAP_NOBODY && request->status == S4_OK && !request->diag.text[0]) {
            fail_by(request, failed);
        } else {
            request->status = status;
            request_send(request);
        }
    }
}

/* What the owner said, who has the instance or knows that there is none. NULL: nobody owns the slot
 * just now. A node that does not have the app yet may say that there is none, too. */
static S4__Control__Reply **find_answer(struct fan *fan)
{
    S4__Control__Reply **found = NULL;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (fan->replies[i] && !is_passing((s4_status)fan->replies[i]->status) &&
            (!found || fan->replies[i]->status == S4_OK))
            found = &fan->replies[i];
    return found;
}

/* Whoever owns the key's slot answers; the others say that they do not. */
static void end_ask(struct node *node, struct request *request)
{
    S4__Control__Reply **answer = find_answer(request->fan);
    bool own = request->packed || !is_passing(request->status);
    if (own || !answer) {
        if (own || !try_again(node, request, S4_UNAVAILABLE))
            request_send(request);
        return;
    }
    S4__Control__Reply *reply = *answer;
    *answer = NULL;
    request_reply(request, reply);
    control_reply_destroy(reply);
}

static void end_count(struct node *node, struct request *request)
{
    uint32_t failed = find_failed(request->fan);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX && failed == MAP_NOBODY; i++)
        if (request->fan->replies[i] && request->fan->replies[i]->counted)
            request->got.count += request->fan->replies[i]->counted->instances;
    if (request->status == S4_OK && failed == MAP_NOBODY) {
        fan_destroy(request);
        node_finish(node, request);
        return;
    }
    const S4__Control__Reply *reply = failed != MAP_NOBODY ? request->fan->replies[failed] : NULL;
    s4_status status = request->status != S4_OK ? request->status
                       : reply                  ? (s4_status)reply->status
                                                : S4_UNAVAILABLE;
    if (try_again(node, request, status))
        return;
    if (request->status != S4_OK)
        request_send(request);
    else
        fail_by(request, failed);
}

bool fan_drained(struct request *request)
{
    struct fan *fan = request->fan;
    const struct engine_drained *own = &request->got.drained;
    const char *app = request->message->drain->app;
    uint64_t activity = engine_activity(request->node->engine, app);
    bool quiet = own->rounds == 0 && member_is_settled(request->node->member, request->node->map);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        if (!fan->replies[i])
            continue;
        const S4__Control__Drained *drained = fan->replies[i]->drained;
        activity += drained->activity;
        quiet &= drained->rounds == 0 && drained->settled;
        request->got.drained.waiting_timers += drained->waiting_timers;
        request->got.drained.waiting_answers += drained->waiting_answers;
    }
    bool over = quiet && fan->quiet && activity == fan->activity;
    fan->quiet = quiet;
    fan->activity = activity;
    return over;
}

/* Without finishing first, until nothing is in flight; then with it. */
static void end_drain(struct node *node, struct request *request)
{
    struct fan *fan = request->fan;
    uint32_t failed = find_failed(fan);
    const S4__Control__Reply *reply = failed != MAP_NOBODY ? fan->replies[failed] : NULL;
    if (request->status != S4_OK) {
        request_send(request);
    } else if (failed != MAP_NOBODY && reply && !is_passing((s4_status)reply->status)) {
        fail_by(request, failed);
    } else if (failed == MAP_NOBODY && fan_drained(request) &&
               (fan->finishing || !request->message->drain->finish)) {
        fan_destroy(request);
        node_finish(node, request);
    } else {
        if (fan->quiet && failed == MAP_NOBODY && request->message->drain->finish &&
            !fan->finishing) {
            fan->finishing = true;
            fan->quiet = false;
        }
        fan_retry(node, request);
    }
}

static void end(struct node *node, struct request *request)
{
    switch (request->message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_QUERY:
        end_query(node, request);
        break;
    case S4__CONTROL__REQUEST__WHAT_ASK:
        end_ask(node, request);
        break;
    case S4__CONTROL__REQUEST__WHAT_COUNT:
        end_count(node, request);
        break;
    case S4__CONTROL__REQUEST__WHAT_DRAIN:
        end_drain(node, request);
        break;
    case S4__CONTROL__REQUEST__WHAT_DEPLOY: /* who does not answer is about to leave the map */
        node_deployed(request, request->bundle->graph->app, request->bundle->graph->version,
                      request->bundle->elf.build_id);
        break;
    default:
        node_jobs_push(&node->reads, request);
    }
}

void fan_own(struct node *node, struct request *request)
{
    if (--request->fan->left == 0)
        end(node, request);
}

void fan_relayed(struct node *node, struct request *request, uint32_t member,
                 S4__Control__Reply *reply)
{
    control_reply_destroy(request->fan->replies[member]);
    request->fan->replies[member] = reply;
    fan_own(node, request);
}
