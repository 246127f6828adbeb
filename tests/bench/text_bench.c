/* How fast text becomes values: MB/s of json_read and pb_read on a flat message and on a nested
 * one, with jansson's parse and protobuf-c's unpack of the same bytes beside them. Median, least
 * and most of 5 rounds, in turn. */
#include <jansson.h>

#include "runtime/base/clock.h"
#include "runtime/text/json.h"
#include "runtime/text/pb.h"
#include "tests/support/protos/nested.pb-c.h"
#include "tests/support/protos/texts.pb-c.h"
#include "tests/support/text_types.h"

#define ROUNDS      5
#define ROUND_BYTES (32 * MIB) /* read per round and reader */

struct sample {
    const struct type *type;
    struct buffer json;
    struct buffer packed;
};

static struct writer writer;

static void read_by_json(const struct sample *sample)
{
    struct value value;
    struct diag diag = { 0 };
    CHECK(json_read(&writer, sample->type, sample->json.data, sample->json.size, &value, &diag) ==
          S4_OK);
}

static void read_by_jansson(const struct sample *sample)
{
    json_t *tree = json_loadb(sample->json.data, sample->json.size, 0, NULL);
    CHECK(tree);
    json_decref(tree);
}

static void read_by_pb(const struct sample *sample)
{
    struct value value;
    struct diag diag = { 0 };
    CHECK(pb_read(&writer, sample->type, sample->packed.data, sample->packed.size, &value, &diag) ==
          S4_OK);
}

static void read_by_protobuf_c(const struct sample *sample)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(
        sample->type->descriptor, NULL, sample->packed.size, (const uint8_t *)sample->packed.data);
    CHECK(message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void write_by_json(const struct sample *sample)
{
    static struct buffer out;
    struct value value;
    struct diag diag = { 0 };
    CHECK(pb_read(&writer, sample->type, sample->packed.data, sample->packed.size, &value, &diag) ==
          S4_OK);
    buffer_clear(&out);
    CHECK(json_write(&value, &out) == S4_OK);
}

static const struct reader {
    const char *name;
    void (*read)(const struct sample *sample);
    bool json;
} readers[] = {
    { "json_read", read_by_json, true },
    { "jansson", read_by_jansson, true },
    { "pb_read", read_by_pb, false },
    { "protobuf-c", read_by_protobuf_c, false },
    { "pb_read+json_write", write_by_json, true },
};

/* MB/s of one round. */
static double measure(const struct reader *reader, const struct sample *sample)
{
    size_t size = reader->json ? sample->json.size : sample->packed.size;
    size_t n = ROUND_BYTES / size;
    uint64_t start = clock_real.mono_us(&clock_real);
    for (size_t i = 0; i < n; i++)
        reader->read(sample);
    uint64_t took = clock_real.mono_us(&clock_real) - start;
    return (double)(n * size) / (double)(took ? took : 1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run(const char *name, const struct sample *sample)
{
    double rates[ARRAY_LEN(readers)][ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < ARRAY_LEN(readers); i++)
            rates[i][round] = measure(&readers[i], sample);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        qsort(rates[i], ROUNDS, sizeof rates[i][0], by_value);
        size_t size = readers[i].json ? sample->json.size : sample->packed.size;
        double median = rates[i][ROUNDS / 2];
        printf("%-8s %-18s %5zu bytes %8.0f MB/s [%.0f..%.0f] %7.0f ns\n", name, readers[i].name,
               size, median, rates[i][0], rates[i][ROUNDS - 1], (double)size * 1e3 / median);
    }
}

/* The sample that a text stands for, as json_write and pb_write have it. */
static void prepare(struct sample *sample, const struct type *type, const char *text)
{
    struct value value;
    struct diag diag = { 0 };
    *sample = (struct sample){ .type = type };
    s4_status status = json_read(&writer, type, text, strlen(text), &value, &diag);
    if (status != S4_OK)
        fprintf(stderr, "%s\n", diag.text);
    CHECK(status == S4_OK);
    CHECK(json_write(&value, &sample->json) == S4_OK);
    CHECK(pb_write(&value, &sample->packed) == S4_OK);
}

int main(void)
{
    static const char flat[] = "{\"a\":\"GET /index.html\",\"c\":\"192.168.17.4\",\"n\":1048,"
                               "\"d\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"flag\":true}";
    static const char small[] = "{\"c\":\"hello\",\"n\":12}";
    static const char nested[] =
        "{\"name\":\"root\",\"children\":[{\"name\":\"first\",\"weight\":12},{\"name\":\"second\","
        "\"left\":{\"name\":\"below\",\"weight\":3},\"weight\":-4}],\"weight\":100000000000}";
    struct schema *schema = text_schema();
    writer_init(&writer);
    const struct {
        const char *name, *type, *text;
    } samples[] = {
        { "flat", "test.Names", flat },
        { "small", "test.Names", small },
        { "nested", "test.nested.Tree", nested },
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct sample sample;
        prepare(&sample, text_type(schema, samples[i].type), samples[i].text);
        run(samples[i].name, &sample);
        buffer_fini(&sample.json);
        buffer_fini(&sample.packed);
    }
    writer_fini(&writer);
    schema_destroy(schema);
    return 0;
}
