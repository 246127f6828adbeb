/* A mailbox is a list of copied items: it exists only for an actor that waits, so what counts is
 * that an empty one costs nothing, not how fast a full one is. */
#include "runtime/actor/mailbox.h"

#include "runtime/base/mem.h"

#define MAIL_SLACK 16 /* readable zeros behind the data, for 16-byte loads of keys */

struct mailbox *mailbox_create(void)
{
    return mem_zalloc(sizeof(struct mailbox));
}

void mailbox_destroy(struct mailbox *mailbox)
{
    if (!mailbox)
        return;
    for (struct mail *mail = mailbox->oldest; mail;) {
        struct mail *next = mail->next;
        mem_free(mail);
        mail = next;
    }
    mem_free(mailbox);
}

s4_status mailbox_push(struct mailbox *mailbox, const struct mailbox_limits *limits, uint16_t kind,
                       uint16_t note, uint64_t number, const void *data, size_t size)
{
    if (!mailbox_fits(mailbox, limits, size))
        return S4_FULL;
    struct mail *mail = mem_alloc(sizeof *mail + size + MAIL_SLACK);
    if (!mail)
        return S4_NO_MEMORY;
    *mail = (struct mail){ .size = (uint32_t)size, .kind = kind, .note = note, .number = number };
    if (size)
        memcpy(mail->data, data, size);
    memset(mail->data + size, 0, MAIL_SLACK);
    if (mailbox->newest)
        mailbox->newest->next = mail;
    else
        mailbox->oldest = mail;
    mailbox->newest = mail;
    mailbox->count++;
    mailbox->bytes += size;
    return S4_OK;
}

struct mail *mailbox_pop(struct mailbox *mailbox)
{
    struct mail *mail = mailbox->oldest;
    if (!mail)
        return NULL;
    mailbox->oldest = mail->next;
    if (!mailbox->oldest)
        mailbox->newest = NULL;
    mailbox->count--;
    mailbox->bytes -= mail->size;
    mail->next = NULL;
    return mail;
}
