/* visit.c - something the main thread wants done at every worker, one after the other.
 *
 *   main -> worker 0 -> worker 1 ... -> main: done(visit)
 */
#include <stdlib.h>

#include "respgate/proxy.h"

static void visit_home(struct loop *loop, struct mail *mail)
{
    struct visit *visit = CONTAINER(mail, struct visit, mail);
    (void)loop;
    list_remove(&visit->entry);
    visit->done(visit);
}

static void visit_arrive(struct loop *loop, struct mail *mail)
{
    struct visit *visit = CONTAINER(mail, struct visit, mail);
    struct proxy *proxy = visit->proxy;
    visit->at(CONTAINER(loop, struct worker, loop), visit);
    if (++visit->next < proxy->worker_count) {
        loop_post(&proxy->workers[visit->next].loop, mail);
        return;
    }
    mail->run = visit_home;
    loop_post(&proxy->loop, mail);
}

void proxy_visit(struct proxy *proxy, struct visit *visit,
                 void (*at)(struct worker *worker, struct visit *visit),
                 void (*done)(struct visit *visit))
{
    visit->mail.run = visit_arrive;
    visit->proxy = proxy;
    visit->next = 0;
    visit->at = at;
    visit->done = done;
    list_append(&proxy->visits, &visit->entry);
    loop_post(&proxy->workers[0].loop, &visit->mail);
}

void visits_free(struct proxy *proxy)
{
    list_each_safe (it, &proxy->visits) {
        list_remove(it);
        free(CONTAINER(it, struct visit, entry));
    }
}
