/* What a shared object says about itself, read from its bytes before anything of it is loaded. The
 * bytes are untrusted; nothing outside of them is read. No state; any thread. */
#ifndef PE_BUNDLE_ELF_H
#define PE_BUNDLE_ELF_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"

#define ELF_BUILD_ID_MAX 20 /* bytes; longer ones are cut */
#define ELF_NEEDED_MAX   32 /* more are not told */
#define ELF_NAME_MAX     128

struct elf_info {
    uint16_t major; /* of the ABI that it was built for */
    uint16_t minor;
    uint64_t layout;
    char build_id[2 * ELF_BUILD_ID_MAX + 1]; /* hexadecimal, "" if there is none */
    uint32_t n_needed;
    char needed[ELF_NEEDED_MAX][ELF_NAME_MAX]; /* libraries that it links */
};

/* S4_MALFORMED: not an ELF64 little-endian shared object, or damaged; S4_UNSUPPORTED: for another
 * machine; S4_INVALID: no s4 note. */
s4_status elf_read(const void *bytes, size_t size, struct elf_info *info,
                   struct diag *diag) MUST_USE;

/* Does the note fit this node? S4_VERSION if not. */
s4_status elf_fits(const struct elf_info *info, struct diag *diag) MUST_USE;

#endif
