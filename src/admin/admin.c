/* admin.c - the operator's side starts with the process and ends after all traffic has. */
#include <stdio.h>

#include "internal.h"

static struct admin admin; /* one process, one proxy */

/* A default address may be another respgate's: that is worth a line, but the gate works without it.
 * One that the file names was meant. */
static bool was_asked_for(const struct proxy *proxy, const struct listen_address *address)
{
    return proxy->config_path && address->where.line > 0;
}

static bool door_open(struct proxy *proxy, const char *what, const struct listen_address *address,
                      listener_accept *accept, struct listener **door)
{
    char error[256];
    if (!address)
        return true;
    struct listen_address own = *address;
    own.private = true;
    *door = listener_new(&proxy->loop, &own, accept, &admin, error);
    if (*door) {
        log_notice(NULL, "%s on %s", what, address->text);
        return true;
    }
    if (was_asked_for(proxy, address)) {
        fprintf(stderr, "respgate: [admin] %s: %s\n", what, error);
        return false;
    }
    log_warn(NULL, "no %s: %s ([admin] %s names another address, or none)", what, error, what);
    return true;
}

static bool admin_start(struct proxy *proxy)
{
    const struct config *config = proxy->snapshot->config;
    admin.proxy = proxy;
    list_init(&admin.consoles);
    if (!door_open(proxy, "console", config->admin.console, console_accept, &admin.console) ||
        !door_open(proxy, "http", config->admin.http, http_accept, &admin.http_door))
        return false;
    if (admin.http_door)
        admin.http = http_new(&admin);
    return true;
}

static void admin_tick(struct proxy *proxy)
{
    (void)proxy;
    if (admin.console)
        listener_pause(admin.console, false); /* it closes when descriptors run out */
    if (admin.http_door)
        listener_pause(admin.http_door, false);
    consoles_tick(&admin);
    if (admin.http)
        http_tick(admin.http);
}

static void admin_stop(struct proxy *proxy)
{
    (void)proxy;
    if (!admin.proxy)
        return;
    if (admin.console)
        listener_close(admin.console);
    if (admin.http_door)
        listener_close(admin.http_door);
    consoles_close(&admin);
    if (admin.http)
        http_close(admin.http);
}

const struct proxy_side admin_side = {admin_start, admin_tick, admin_stop};
