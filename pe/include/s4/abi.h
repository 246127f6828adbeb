/* The binary contract between a node and a plugin (the shared object in a bundle).
 *
 * What the host reads before it loads anything is the ELF note below; what it reads afterwards is
 * one exported const table, `s4_plugin`. What a plugin calls is one append-only table of functions
 * in its context; every `s4_` call of context.h is a static inline over it, so a plugin links only
 * libprotobuf-c. Every struct that may grow carries its size. Users write define.h's macros and
 * never these structs by hand.
 *
 * Everything here is const data at file scope, owned by the plugin, alive while it is loaded.
 */
#ifndef S4_ABI_H
#define S4_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <s4/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S4_ABI_MAJOR 1 /* a plugin of another major is refused */
#define S4_ABI_MINOR 0 /* a plugin with a higher minor is refused */

/* What a callback gets. Valid during the call, on the calling thread. The host keeps more behind
 * it. */
typedef struct s4_ctx {
    const struct s4_host *host;
} s4_ctx;

/* What a request function gets on a thread of the pool. */
typedef struct s4_job {
    const struct s4_host *host;
} s4_job;

typedef void s4_fn(void); /* any callback; the real type follows from its place */

/* A named sequence of events of one type. */
typedef struct s4_stream {
    const char *name;
    const ProtobufCMessageDescriptor *type;
    uint16_t *number; /* written by the host when the plugin is loaded: index in the app's graph */
    bool internal;    /* true: refuses injection from outside */
} s4_stream;

enum s4_output_kind { S4_TABLE_KIND = 1, S4_LOG_KIND = 2 };

/* What a PE publishes to: a table (the last row per key) or a log (rows appended). */
typedef struct s4_output {
    const char *name;
    const ProtobufCMessageDescriptor *type;
    uint16_t *number;
    uint8_t kind;
    const char *key; /* table: its key attributes, "a,b.c"; NULL for a log */
} s4_output;

enum s4_key_kind { S4_KEYED = 1, S4_KEYLESS = 2, S4_BROADCAST = 3 };

/* How a prototype hears a stream. A singleton prototype hears every stream keyless. */
typedef struct s4_subscription {
    const s4_stream *stream;
    uint8_t kind;
    const char *key; /* KEYED: attributes in order, "user,page.id"; a repeated one gives one record
                        per distinct element */
    const char *handler;                    /* the C name, for messages */
    s4_fn *on_event;                        /* s4_status (s4_ctx *, State *, const Message *) */
    const ProtobufCMessageDescriptor *type; /* what the handler takes: the stream's type */
} s4_subscription;

/* A function of the bundle that runs on the node's thread pool, outside any partition. */
typedef struct s4_request {
    const char *name;
    const ProtobufCMessageDescriptor *question;
    const ProtobufCMessageDescriptor *answer;
    uint16_t *number;
    s4_fn *run; /* s4_status (s4_job *, const Question *): calls s4_answer once, or fails */
} s4_request;

/* Where the answers to a request go. */
typedef struct s4_answer_handler {
    const s4_request *request;
    const char *handler;
    s4_fn *on_answer; /* s4_status (s4_ctx *, State *, s4_status result, const Answer *); the answer
                         is NULL unless the result is S4_OK */
} s4_answer_handler;

enum s4_param_kind { S4_INTEGER = 1, S4_REAL = 2, S4_FLAG = 3, S4_TEXT = 4 };

/* One parameter of a class: a member of its parameter struct that app.yaml may set. */
typedef struct s4_param {
    const char *name;
    uint8_t kind;
    uint32_t offset; /* in the parameter struct */
    int64_t integer; /* defaults, by kind */
    double real;
    const char *text;
    const char *help;
} s4_param;

enum s4_state_kind { S4_FLAT = 1, S4_MESSAGE = 2, S4_CUSTOM = 3 };

typedef struct s4_saver s4_saver;   /* s4_save writes to it */
typedef struct s4_loader s4_loader; /* s4_load reads from it */

/* The fields of a class with the type of its state; s4_class is the same with void. All callbacks
 * are optional. A callback that fails (anything but S4_OK) sends its event to the dead letters, and
 * what it emitted and published is taken back; S4_REMOVE removes the instance and is no failure. */
#define S4_CLASS_FIELDS(State)                                                                     \
    uint32_t size; /* of this struct */                                                            \
    uint8_t state_kind;                                                                            \
    uint32_t state_size;                                                                           \
    const char *name;                                                                              \
    const ProtobufCMessageDescriptor *state_type; /* S4_MESSAGE */                                 \
    const s4_param *params;                                                                        \
    uint32_t n_params;                                                                             \
    uint32_t params_size;                                                                          \
    const ProtobufCMessageDescriptor *reply; /* what `query` answers with */                       \
    const s4_answer_handler *answers;                                                              \
    uint32_t n_answers;                                                                            \
    s4_status (*create)(s4_ctx * ctx, State * self); /* state is zeroed (or inited, S4_MESSAGE) */ \
    s4_status (*trigger)(s4_ctx * ctx, State * self);                                              \
    s4_status (*timer)(s4_ctx * ctx, State * self, uint64_t id);                                   \
    s4_status (*output)(s4_ctx * ctx, State * self);                                               \
    s4_status (*query)(s4_ctx * ctx, const State *self); /* calls s4_reply once */                 \
    s4_status (*remove)(s4_ctx * ctx, State * self);     /* before the instance is gone */         \
    s4_status (*save)(s4_ctx * ctx, const State *self, s4_saver *saver);                           \
    s4_status (*load)(s4_ctx * ctx, State * self, s4_loader * loader);                             \
    s4_status (*merge)(s4_ctx * ctx, State * self, const State *other);                            \
    s4_status (*migrate)(s4_ctx * ctx, State * self, uint32_t from, s4_loader * loader)

typedef struct s4_class {
    S4_CLASS_FIELDS(void);
} s4_class;

/* What may also be set in app.yaml, which wins. 0 means off or the default. */
typedef struct s4_policy {
    uint64_t ttl_us;         /* an instance without an event for so long is removed */
    uint64_t trigger_events; /* trigger after so many events since it last fired */
    uint64_t
        trigger_gap_us; /* trigger at an event that comes later than this after the one before */
    uint64_t output_events;   /* output every so many events */
    uint64_t output_every_us; /* output so often, if there were events */
    bool output_aligned;      /* at multiples of output_every_us of the clock */
} s4_policy;

typedef struct s4_prototype {
    uint32_t size;
    const char *name;
    const s4_class *of;
    bool singleton;
    const s4_subscription *subscriptions;
    uint32_t n_subscriptions;
    s4_policy policy;
} s4_prototype;

/* The app: all that its graph is made of. Streams are found through subscriptions and `streams`. */
typedef struct s4_app {
    uint32_t size;
    const char *name;
    const s4_prototype *const *prototypes;
    uint32_t n_prototypes;
    const s4_output *const *outputs;
    uint32_t n_outputs;
    const s4_stream *const *streams; /* all of them */
    uint32_t n_streams;
    const s4_request *const *requests;
    uint32_t n_requests;
    const s4_param *params; /* of the app: s4_app_params */
    uint32_t n_params;
    uint32_t params_size;
    s4_status (*start)(s4_ctx *ctx); /* once per node, before any event; cannot emit */
    s4_status (*stop)(s4_ctx *ctx);  /* once per node, after the last event; cannot emit */
    /* Emits about `budget` events and answers S4_OK (more now), S4_AGAIN (nothing now) or S4_END.
     */
    s4_status (*source)(s4_ctx *ctx, uint32_t budget);
} s4_app;

enum s4_log_level { S4_LOG_ERROR, S4_LOG_WARN, S4_LOG_INFO, S4_LOG_DEBUG };

/* The host's services. Append-only: a plugin checks `size` before it uses what came after 1.0. */
struct s4_host {
    uint32_t size;
    s4_status (*emit)(s4_ctx *ctx, const s4_stream *stream, const ProtobufCMessage *event);
    s4_status (*publish)(s4_ctx *ctx, const s4_output *output, const ProtobufCMessage *row);
    s4_status (*unpublish)(s4_ctx *ctx, const s4_output *output, const ProtobufCMessage *row);
    s4_status (*ask)(s4_ctx *ctx, const s4_request *request, const ProtobufCMessage *question);
    s4_status (*wait)(s4_ctx *ctx);
    s4_status (*timer_set)(s4_ctx *ctx, uint64_t id, uint64_t at_us);
    s4_status (*timer_cancel)(s4_ctx *ctx, uint64_t id);
    s4_status (*reply)(s4_ctx *ctx, const ProtobufCMessage *message);
    s4_status (*answer)(s4_job *job, const ProtobufCMessage *message);
    s4_status (*fail)(s4_ctx *ctx, s4_status status, const char *cause);
    uint64_t (*time_us)(const s4_ctx *ctx);
    uint64_t (*id)(s4_ctx *ctx);
    uint64_t (*random)(s4_ctx *ctx);
    const char *(*key_text)(const s4_ctx *ctx, uint32_t part, size_t *len);
    int64_t (*key_integer)(const s4_ctx *ctx, uint32_t part);
    const void *(*params)(const s4_ctx *ctx);
    const void *(*app_params)(const s4_ctx *ctx);
    void *(*alloc)(s4_ctx *ctx, size_t size);
    void *(*realloc)(s4_ctx *ctx, void *memory, size_t size);
    void (*free)(s4_ctx *ctx, void *memory);
    void (*set_app_data)(s4_ctx *ctx, void *data);
    void *(*app_data)(const s4_ctx *ctx);
    uint32_t (*partition)(const s4_ctx *ctx);
    uint32_t (*partitions)(const s4_ctx *ctx);
    void (*log)(s4_ctx *ctx, int level, const char *text);
    s4_status (*save)(s4_saver *saver, const void *data, size_t size);
    s4_status (*load)(s4_loader *loader, void *data, size_t size);
    const void *(*job_params)(const s4_job *job);
    void *(*job_app_data)(const s4_job *job);
    const void *(*file)(const s4_ctx *ctx, const char *path, size_t *size);
};

/* The note: section .note.s4, name "S4", type 1, this description. Read from the file before
 * anything of it is loaded. The build id is the linker's own note (--build-id). */
#define S4_NOTE_NAME  "S4"
#define S4_NOTE_TYPE  1u
#define S4_NOTE_MAGIC 0x34733453u

typedef struct s4_note {
    uint32_t name_size; /* 4: "S4" and padding, as ELF has it */
    uint32_t description_size;
    uint32_t type;
    char name[4];
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint64_t layout; /* S4_LAYOUT_SIGNATURE of the compiler that built the plugin */
} s4_note;

/* One number that differs when any struct that crosses the line is laid out in another way. */
#define S4_LAYOUT_SIGNATURE                                                                 \
    ((uint64_t)sizeof(s4_class) * 1000003u + sizeof(s4_prototype) * 10007u +                \
     sizeof(s4_app) * 100003u + sizeof(s4_subscription) * 31u + sizeof(s4_stream) * 37u +   \
     sizeof(s4_output) * 41u + sizeof(s4_request) * 43u + sizeof(s4_answer_handler) * 47u + \
     sizeof(s4_param) * 53u + sizeof(ProtobufCMessage) * 59u +                              \
     sizeof(ProtobufCMessageDescriptor) * 61u + sizeof(ProtobufCFieldDescriptor) * 67u +    \
     offsetof(s4_class, create) * 71u + offsetof(s4_app, source) * 73u +                    \
     sizeof(protobuf_c_boolean) * 79u + sizeof(void *) * 83u + sizeof(s4_policy) * 89u)

#define S4_PLUGIN_SYMBOL "s4_plugin"

#ifdef __cplusplus
}
#endif

#endif
