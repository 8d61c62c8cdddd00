/* The gradient of the lynx-hare likelihood, called from C: see README.md. */
#include <stdio.h>
#include <stdlib.h>

#include "lynx.h"

static const double hares[] = {
    30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1,
    40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6,  14.6, 16.2, 24.7};
static const double lynxes[] = {
    4.0, 6.1,  9.8,  35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4,
    8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7,  10.1, 8.6};
/* The logarithms of 0.5, 0.03, 0.8, 0.03, 30, 4, 0.3, 0.3. */
static const double start[] = {
    -0.6931471805599453, -3.506557897319982, -0.2231435513142097,
    -3.506557897319982,  3.4011973816621555, 1.3862943611198906,
    -1.2039728043259361, -1.2039728043259361};

int main(void)
{
    const int64_t steps = 50, n = 8, years = 21;
    double value, gradient[8];
    /* The caller brings the workspace: once for any number of calls. */
    void *workspace = malloc(lynx_value_and_grad_work_size(steps, n, years, years));
    if (workspace == NULL)
        return 1;
    int status = lynx_value_and_grad(
        start, hares, lynxes, steps, n, years, years, &value, gradient, workspace);
    free(workspace);
    if (status != 0) {
        fprintf(stderr, "%s\n", lynx_message(status));
        return 1;
    }
    /* Hexadecimal floats, which are exact. */
    printf("%a\n", value);
    for (int i = 0; i < 8; ++i)
        printf("%a\n", gradient[i]);
    return 0;
}
