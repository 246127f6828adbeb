/* Standing still: every thread that emits stops between two pieces of its work, so that where
 * records go can change between two records of everybody.
 *
 *   begin     a message to each worker, which stops in it
 *   is_still  when all workers have: the feeds and the batches of clients stop, open blocks go out
 *   end       all go on
 *
 * It takes as long as the longest run that is under way. The locks are taken in the order of all of
 * the host: control, feeds, batches; a worker that waits for one is not standing yet, and so gets
 * it.
 */
#include "pe/host/host_control.h"
#include "pe/host/planted.h"
#include "pe/host/slots.h"

static bool has_threads(const struct engine *engine)
{
    return engine->started && engine->options.threads;
}

/* On its worker: it stands in here until the end, or until the engine stops. */
static void stand(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct host_still *still = &worker->engine->still;
    pthread_mutex_lock(&still->lock);
    still->standing++;
    while (atomic_load(&still->wanted) && !atomic_load(&worker->engine->stopping))
        pthread_cond_wait(&still->changed, &still->lock);
    still->standing--;
    pthread_cond_broadcast(&still->changed);
    pthread_mutex_unlock(&still->lock);
}

void host_still_stop(struct engine *engine)
{
    pthread_mutex_lock(&engine->still.lock);
    pthread_cond_broadcast(&engine->still.changed);
    pthread_mutex_unlock(&engine->still.lock);
}

s4_status engine_still_begin(struct engine *engine)
{
    struct host_still *still = &engine->still;
    if (pthread_mutex_trylock(&engine->lock) != 0)
        return S4_AGAIN;
    CHECK(!atomic_load(&still->wanted));
    atomic_store(&still->wanted, true);
    still->reached = false;
    for (uint32_t i = 0; has_threads(engine) && i < engine->n_workers; i++) {
        engine->workers[i].stand.run = stand;
        worker_post(engine->workers[i].actor, &engine->workers[i].stand);
    }
    return S4_OK;
}

static bool all_stand(struct engine *engine)
{
    struct host_still *still = &engine->still;
    if (!has_threads(engine))
        return true;
    pthread_mutex_lock(&still->lock);
    bool all = still->standing == engine->n_workers;
    pthread_mutex_unlock(&still->lock);
    return all;
}

static void flush_all(struct engine *engine)
{
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (!app)
            continue;
        for (uint32_t w = 0; w < engine->n_workers; w++)
            emitter_flush(&engine->workers[w].emitters[i]);
        emitter_flush(&app->feed_emitter);
        emitter_flush(&app->inject_emitter);
    }
}

bool engine_is_still(struct engine *engine)
{
    struct host_still *still = &engine->still;
    if (still->reached)
        return true;
    if (!atomic_load(&still->wanted) || !all_stand(engine))
        return false;
    if (pthread_mutex_trylock(&engine->step_lock) != 0)
        return false; /* a source may take its time */
    pthread_mutex_lock(&engine->inject_lock);
    if (!PLANTED(PLANTED_NO_FLUSH))
        flush_all(engine);
    still->reached = true;
    return true;
}

void engine_still_end(struct engine *engine)
{
    struct host_still *still = &engine->still;
    if (still->reached) {
        pthread_mutex_unlock(&engine->inject_lock);
        pthread_mutex_unlock(&engine->step_lock);
    }
    pthread_mutex_lock(&still->lock);
    atomic_store(&still->wanted, false);
    still->reached = false;
    pthread_cond_broadcast(&still->changed);
    while (still->standing > 0) /* else one could be counted for the next time */
        pthread_cond_wait(&still->changed, &still->lock);
    pthread_mutex_unlock(&still->lock);
    pthread_mutex_unlock(&engine->lock);
    host_feeds_wake(engine);
}
