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
    struct request_job *next; /* in the asking call */
    struct host_app *app;
    uint16_t slot;
    uint32_t prototype;
    uint16_t request;
    bool answered;
    s4_status status;
    uint64_t life; /* of who asked */
    uint64_t hash;
    size_t key_len;
    char *key;              /* owned */
    struct buffer question; /* encoded (row_encode) */
    struct buffer answer;
};

#endif
