/* trend.c - a slope averaged over about a minute, and when it meets a limit. */
#include "respgate/pressure.h"

enum { WINDOW_S = 60, SAMPLES_MIN = 5, HORIZON_S = 24 * 3600 };

void trend_add(struct trend *trend, uint64_t now, double value)
{
    if (trend->samples && now > trend->at) {
        double seconds = (double)(now - trend->at) / 1000;
        double slope = (value - trend->value) / seconds;
        /* The first samples are all there is to go by, so they weigh as much as they cover. */
        double weight = seconds / (WINDOW_S + seconds), share = 1.0 / trend->samples;
        trend->slope += (slope - trend->slope) * (weight > share ? weight : share);
    }
    if (trend->samples && now <= trend->at)
        return;
    trend->at = now;
    trend->value = value;
    trend->samples++;
}

int64_t trend_until(const struct trend *trend, double limit)
{
    if (trend->samples < SAMPLES_MIN || trend->slope <= 0)
        return -1;
    double left = limit - trend->value;
    double seconds = left <= 0 ? 0 : left / trend->slope;
    return seconds > HORIZON_S ? -1 : (int64_t)seconds;
}
