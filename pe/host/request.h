/* A request on its way: what requests.c keeps of it, and what a crash tells of the one that a
 * thread runs. Owned by the pool while its function runs, else by the partition's worker.
 */
#ifndef PE_HOST_REQUEST_H
#define PE_HOST_REQUEST_H

#include "pe/host/host_run.h"

struct request_job {
    struct job job;           /* the pool's part */
    struct message message;   /* the way back */
    s4_job pub;               /* what the function gets */
    struct request_job *next; /* in the asking call, or among what was loaded */
    struct host_app *app;
    uint16_t slot;                      /* of who asked */
    struct host_worker *worker;         /* the same */
    struct host_partition *partition;   /* the same; NULL: it has gone meanwhile. The worker's */
    struct request_job *before, *after; /* in the partition's list; the worker's */
    bool held; /* the answer is there, and the partition takes nothing now; the worker's */
    uint32_t prototype;
    uint16_t request;
    bool answered;
    s4_status status;
    uint64_t life; /* of who asked */
    uint64_t hash;
    size_t key_len;
    char *key;              /* owned */
    struct buffer question; /* encoded (row_encode) */
    uint32_t question_size; /* of its value */
    struct buffer answer;
};

/* One that asks nothing yet, of the instance with that key; NULL: out of memory. */
struct request_job *host_job_new(struct host_partition *partition, uint32_t prototype,
                                 uint16_t request, const char *key, size_t key_len);
void host_job_free(struct request_job *job);

#endif
