/* The inbox of a worker; see the header, and rules 2 and 3 of the README. The orderings:
 *
 *   (1) push: release on the stack's head pairs with acquire in take: the pushed content is
 * visible. (2) push then load of `sleeping`, and store of `sleeping` then load of the heads, are
 * sequentially consistent: either the sender sees the announcement or the owner sees what was
 * pushed.
 */
#include "runtime/actor/inbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

s4_status inbox_init(struct inbox *inbox)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return S4_IO;
    atomic_init(&inbox->blocks, NULL);
    atomic_init(&inbox->messages, NULL);
    atomic_init(&inbox->sleeping, 0);
    inbox->wake_fd = fd;
    return S4_OK;
}

void inbox_fini(struct inbox *inbox)
{
    for (struct block *block = inbox_take_blocks(inbox); block;) {
        struct block *next = block->next;
        block_release(block);
        block = next;
    }
    close(inbox->wake_fd);
}

void inbox_wake(struct inbox *inbox)
{
    if (atomic_load(&inbox->sleeping) == 0) /* (2) */
        return;
    if (atomic_exchange(&inbox->sleeping, 0) == 0)
        return;
    uint64_t one = 1;
    while (write(inbox->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void inbox_push_block(struct inbox *inbox, struct block *block)
{
    struct block *head = atomic_load_explicit(&inbox->blocks, memory_order_relaxed);
    block->far = true;
    do
        block->next = head;
    while (!atomic_compare_exchange_weak(&inbox->blocks, &head, block)); /* (1), (2) */
    inbox_wake(inbox);
}

void inbox_push_message(struct inbox *inbox, struct message *message)
{
    struct message *head = atomic_load_explicit(&inbox->messages, memory_order_relaxed);
    do
        message->next = head;
    while (!atomic_compare_exchange_weak(&inbox->messages, &head, message)); /* (1), (2) */
    inbox_wake(inbox);
}

struct block *inbox_take_blocks(struct inbox *inbox)
{
    if (!atomic_load_explicit(&inbox->blocks, memory_order_relaxed))
        return NULL;
    struct block *stack = atomic_exchange_explicit(&inbox->blocks, NULL, memory_order_acquire);
    struct block *oldest = NULL;
    while (stack) {
        struct block *next = stack->next;
        stack->next = oldest;
        oldest = stack;
        stack = next;
    }
    return oldest;
}

struct message *inbox_take_messages(struct inbox *inbox)
{
    if (!atomic_load_explicit(&inbox->messages, memory_order_relaxed))
        return NULL;
    struct message *stack = atomic_exchange_explicit(&inbox->messages, NULL, memory_order_acquire);
    struct message *oldest = NULL;
    while (stack) {
        struct message *next = stack->next;
        stack->next = oldest;
        oldest = stack;
        stack = next;
    }
    return oldest;
}

bool inbox_spin(const struct inbox *inbox, uint32_t turns)
{
    for (; turns > 0; turns--) {
        if (atomic_load_explicit(&inbox->blocks, memory_order_relaxed) ||
            atomic_load_explicit(&inbox->messages, memory_order_relaxed))
            return true;
        CPU_RELAX();
    }
    return false;
}

bool inbox_sleep(struct inbox *inbox)
{
    atomic_store(&inbox->sleeping, 1); /* (2) */
    if (atomic_load(&inbox->blocks) || atomic_load(&inbox->messages)) {
        atomic_store(&inbox->sleeping, 0);
        return false;
    }
    return true;
}

void inbox_woken(struct inbox *inbox)
{
    atomic_store(&inbox->sleeping, 0);
    uint64_t count;
    while (read(inbox->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}
