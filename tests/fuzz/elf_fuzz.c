/* Any bytes as a shared object: read within its bounds, or refused with a reason. */
#include "pe/bundle/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_info info;
    struct diag diag = { .code = S4_OK };
    s4_status status = elf_read(data, size, &info, &diag);
    CHECK(status == diag.code);
    if (status != S4_OK) {
        CHECK(diag.text[0] != '\0');
        return 0;
    }
    CHECK(strnlen(info.build_id, sizeof info.build_id) <= 2 * ELF_BUILD_ID_MAX);
    CHECK(info.n_needed <= ELF_NEEDED_MAX);
    for (uint32_t i = 0; i < info.n_needed; i++)
        CHECK(strnlen(info.needed[i], ELF_NAME_MAX) < ELF_NAME_MAX);
    (void)!elf_fits(&info, &diag);
    return 0;
}
