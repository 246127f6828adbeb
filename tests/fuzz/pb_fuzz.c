/* Any bytes as protobuf: what is read is written as JSON and as protobuf bytes that read as the
 * same. The first byte chooses the type. */
#include "runtime/text/pb.h"
#include "tests/support/text_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static s4_status read_packed(struct writer *writer, const struct type *type, const char *bytes,
                             size_t size, struct value *value, struct diag *diag)
{
    return pb_read(writer, type, bytes, size, value, diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_fuzz(read_packed, data, size);
    return 0;
}
