/*
 * admin.h - the operator's side: a RESP console for redis-cli, and HTTP for Prometheus and a
 * browser.
 *
 * Runs on the main loop, which serves no clients: however slow or hostile an operator's connection
 * is, traffic does not notice. What it shows comes from the workers by letter (proxy_report), what
 * it changes goes to them as a new snapshot or by letter.
 */
#ifndef RESPGATE_ADMIN_H
#define RESPGATE_ADMIN_H

#include "respgate/proxy.h"

extern const struct proxy_side admin_side;

#endif
