/* Who carries frames to the other nodes of a cluster and back: a seam. Real: sessions over a net
 * (ferry_net.h). In tests: queues that deliver late and tell what they hold.
 *
 * Nodes are named by their index in the map. What is sent is held until the other node has applied
 * it, and carried again when a connection is lost; frames of one lane arrive once and in order. All
 * on the thread that steps the node.
 */
#ifndef PE_NODE_FERRY_H
#define PE_NODE_FERRY_H

#include "router/map/map.h"
#include "runtime/record/block.h"

/* A block on its way. Strings are borrowed. */
struct ferry_frame {
    const char *app;
    uint64_t schema;  /* hash of its graph and types */
    uint64_t version; /* of the map, when the block was closed */
    uint32_t lane;
    uint64_t number; /* in its lane */
    struct block *block;
};

typedef void ferry_frame_fn(void *user, const struct ferry_frame *frame);

struct ferry;

struct ferry_ops {
    /* Takes the block (*frame->block's hold goes along) on success. Frames to a node that is not
     * open wait until it is. */
    s4_status (*send)(struct ferry *ferry, uint32_t node, const struct ferry_frame *frame);
    /* Calls fn for every frame that the node has not applied yet, as far as is known here: lane by
     * lane, oldest first. fn must not send. */
    void (*walk)(struct ferry *ferry, uint32_t node, ferry_frame_fn *fn, void *user);
    /* Of a frame that came, by its token: it is taken in; applied; its records for this slot are
     * not for this node (said before applied). */
    void (*credit)(struct ferry *ferry, const uint64_t token[2]);
    void (*applied)(struct ferry *ferry, const uint64_t token[2]);
    void (*not_mine)(struct ferry *ferry, const uint64_t token[2], uint32_t slot);
    /* A member has come to the map, or gone from it: what is held for one that is gone is dropped.
     */
    void (*open)(struct ferry *ferry, uint32_t node, const struct map_member *member);
    void (*end)(struct ferry *ferry, uint32_t node);
    /* The node sent what cannot be: it is not listened to any more. */
    void (*refuse)(struct ferry *ferry, uint32_t node, const struct diag *diag);
    /* Blocks that wait here for credit or for the network. */
    uint32_t (*unsent)(struct ferry *ferry);
    /* Any thread: has the node stepped. */
    void (*wake)(struct ferry *ferry);
};

struct ferry {
    const struct ferry_ops *ops;
};

#endif
