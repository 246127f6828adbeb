/* The mistakes that one check found. What cannot be kept for want of memory still counts, and its
 * code is S4_NO_MEMORY: a check never succeeds because it could not remember a mistake. */
#include "pe/graph/problems.h"

#include "runtime/base/mem.h"

void problems_init(struct problems *problems)
{
    *problems = (struct problems){ .first = S4_OK };
}

void problems_fini(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        mem_free(problems->list[i].text);
    mem_free(problems->list);
    problems_init(problems);
}

static void keep(struct problems *problems, s4_status code, const char *text,
                 struct diag_place place)
{
    if (problems->count == PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    void *list = problems->list;
    char *copy = mem_strdup(text);
    if (!copy ||
        !mem_grow(&list, &problems->capacity, problems->count + 1, sizeof *problems->list)) {
        mem_free(copy);
        problems->dropped++;
        if (problems->count == 0)
            problems->first = S4_NO_MEMORY;
        return;
    }
    problems->list = list;
    problems->list[problems->count++] = (struct problem){ code, copy, place };
    if (problems->first == S4_OK)
        problems->first = code;
}

s4_status problems_add(struct problems *problems, s4_status code, const char *format, ...)
{
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keep(problems, code, text, (struct diag_place){ 0 });
    return code;
}

s4_status problems_add_at(struct problems *problems, s4_status code, const char *file,
                          uint32_t line, uint32_t column, const char *format, ...)
{
    struct diag diag;
    va_list args;
    va_start(args, format);
    diag_write_at_args(&diag, code, file, line, column, format, args);
    va_end(args);
    return problems_add_diag(problems, &diag);
}

s4_status problems_add_diag(struct problems *problems, const struct diag *diag)
{
    keep(problems, diag->code, diag->text, diag->place);
    return diag->code;
}

s4_status problems_tell(const struct problems *problems, struct diag *diag)
{
    if (problems->first == S4_OK)
        return S4_OK;
    if (problems->count == 0)
        return diag_set(diag, problems->first, "out of memory");
    size_t more = problems->count - 1 + problems->dropped;
    if (more == 0)
        return diag_set(diag, problems->first, "%s", problems->list[0].text);
    return diag_set(diag, problems->first, "%s (and %zu more)", problems->list[0].text, more);
}
