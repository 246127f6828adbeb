/* Any bytes as JSON: what is read is written as JSON and as protobuf bytes that read as the same.
 * The first byte chooses the type. */
#include "runtime/text/json.h"
#include "tests/support/text_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_fuzz(json_read, data, size);
    return 0;
}
