/* Where the coordination service is; see the header. */
#include "apps/s4/cluster_flags.h"

#include <stdio.h>
#include <unistd.h>

error_t cluster_flags_parse(int key, const char *arg, const struct argp_state *state,
                            struct member_service *service)
{
    switch (key) {
    case CLUSTER_FLAG_ZK:
        service->zk = arg;
        break;
    case CLUSTER_FLAG_SHARED:
        service->shared = arg;
        break;
    case CLUSTER_FLAG_SESSION:
        service->session_ms = (uint32_t)(command_duration_us(state, "session", arg) / 1000);
        if (service->session_ms < COORD_SESSION_MS_MIN ||
            service->session_ms > COORD_SESSION_MS_MAX)
            command_usage(state, "--session %s: wanted %dms to %ds", arg, COORD_SESSION_MS_MIN,
                          COORD_SESSION_MS_MAX / 1000);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (service->zk && service->shared)
        command_usage(state, "--zk and --shared exclude each other");
    return 0;
}

void cluster_flags_default(struct member_service *service)
{
    static char path[512];
    const char *run = getenv("XDG_RUNTIME_DIR");
    if (service->zk || service->shared)
        return;
    if (run && *run)
        snprintf(path, sizeof path, "%s/s4-clusters", run);
    else
        snprintf(path, sizeof path, "/tmp/s4-clusters-%ld", (long)geteuid());
    service->shared = path;
}
