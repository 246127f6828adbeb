/* What a coord has to make known, in order: answers, changes, states. For implementations.
 *
 * What is to be told is allocated when it is asked for: an answer with its call, a change with its
 * watch, states with the queue. So nothing that was promised fails for want of memory, but what an
 * answer carries. One thread at a time.
 */
#ifndef ROUTER_COORD_COORD_QUEUE_H
#define ROUTER_COORD_COORD_QUEUE_H

#include "router/coord/coord.h"

#define COORD_WATCHES_MAX 4096 /* of one session; a call that would add one more: S4_FULL */

enum coord_item_kind { COORD_ITEM_ANSWER, COORD_ITEM_CHANGED, COORD_ITEM_STATE };

struct coord_item {
    struct coord_item *next;
    enum coord_item_kind kind;
    enum coord_state state;     /* STATE */
    bool queued;                /* STATE */
    enum coord_change change;   /* CHANGED */
    struct coord_call call;     /* ANSWER */
    s4_status lost;             /* ANSWER: the status, should the answer be lost */
    struct coord_answer answer; /* its pointers: own memory below */
    void *data;                 /* owned */
    char **names;               /* owned, one piece with its texts */
    char path[COORD_PATH_MAX + 1];
};

struct coord_queue {
    struct coord_item *head;
    struct coord_item **tail;
    struct coord_item states[COORD_REFUSED + 1]; /* each once */
};

void coord_queue_init(struct coord_queue *queue);
void coord_queue_fini(struct coord_queue *queue);
void coord_queue_push(struct coord_queue *queue, struct coord_item *item);
/* A return of the connection that is lost again before it was told, is not told. */
void coord_queue_push_state(struct coord_queue *queue, enum coord_state state);
struct coord_item *coord_queue_pop(struct coord_queue *queue); /* NULL: empty */

/* S4_OK and nothing else in it, an answer that is lost being none; NULL: out of memory. */
struct coord_item *coord_item_create(enum coord_item_kind kind, const char *path);
void coord_item_destroy(struct coord_item *item); /* NULL and a queue's own are fine */
/* What an answer carries, copied; out of memory makes S4_NO_MEMORY of it. */
void coord_item_set_data(struct coord_item *item, const void *data, size_t size);
/* Sorts them. Over COORD_CHILDREN_MAX: makes S4_TOO_LARGE of it. */
void coord_item_set_names(struct coord_item *item, const char *const *names, size_t n);
void coord_item_set_path(struct coord_item *item, const char *path);
/* The answer did not come, whatever is in it by now. */
void coord_item_lose(struct coord_item *item);

/* Tells it and destroys it. Owner thread, from step. */
void coord_tell(struct coord *coord, struct coord_item *item);

#endif
