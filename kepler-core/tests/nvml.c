/* A machine's NVML as the tests want it to be: what it answers stands in a text file beside it, `<library>.txt`.
 *
 * gpu UUID NAME ENERGY_MJ POWER_MW MIG        a processor; -1 is "not supported"
 * holds GPU PID                               a process with a context on it
 * ran GPU PID TIMESTAMP SM_PERCENT            a sample of the driver
 * slice GPU MULTIPROCESSORS PID...            an instance of a processor in MIG mode
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
#define MANY 32

typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } Holder;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, memory, encoder, decoder; } Ran;
typedef struct { unsigned multiprocessors, rest[7]; unsigned long long memory; } Attributes;
typedef struct {
    char uuid[64], name[64];
    long long energy, power, mig;
    unsigned holders[MANY], holds;
    Ran ran[MANY];
    unsigned runs;
    struct { unsigned multiprocessors, pids[MANY], count; } slices[MANY];
    unsigned slice_count;
} Gpu;

static Gpu gpus[MANY];
static unsigned count;

static void load(void) {
    Dl_info self;
    char path[4096] = "", line[512];
    if (dladdr((void *)gpus, &self)) snprintf(path, sizeof path, "%s.txt", self.dli_fname);
    FILE *file = fopen(path, "r");
    memset(gpus, 0, sizeof gpus);
    count = 0;
    while (file && fgets(line, sizeof line, file)) {
        Gpu *g = &gpus[count];
        unsigned at, a, b, c;
        unsigned long long time;
        if (sscanf(line, "gpu %63s %63s %lld %lld %lld", g->uuid, g->name, &g->energy, &g->power, &g->mig) == 5) count++;
        else if (sscanf(line, "holds %u %u", &at, &a) == 2) gpus[at].holders[gpus[at].holds++] = a;
        else if (sscanf(line, "ran %u %u %llu %u", &at, &a, &time, &b) == 4) gpus[at].ran[gpus[at].runs++] = (Ran){a, time, b, 0, 0, 0};
        else if (sscanf(line, "slice %u %u %u", &at, &b, &c) >= 2) {
            unsigned s = gpus[at].slice_count++;
            gpus[at].slices[s].multiprocessors = b;
            strtok(line, " "), strtok(0, " "), strtok(0, " ");
            for (char *word; (word = strtok(0, " \n"));) gpus[at].slices[s].pids[gpus[at].slices[s].count++] = (unsigned)atoi(word);
        }
    }
    if (file) fclose(file);
}

/* A handle is a processor's number + 1, with an instance's number + 1 above. */
static Gpu *gpu(size_t handle) { load(); size_t g = (handle & 0xff) - 1; return g < count ? &gpus[g] : 0; }

int nvmlInit_v2(void) { load(); return OK; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; load(); return OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "as the test says"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "550.1"); return OK; }
int nvmlDeviceGetCount_v2(unsigned *n) { load(); *n = count; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, size_t *handle) { load(); *handle = index + 1; return index < count ? OK : INVALID; }
int nvmlDeviceGetUUID(size_t h, char *text, unsigned size) { Gpu *g = gpu(h); if (!g) return INVALID; snprintf(text, size, "%s", g->uuid); return OK; }
int nvmlDeviceGetName(size_t h, char *text, unsigned size) { Gpu *g = gpu(h); if (!g) return INVALID; snprintf(text, size, "%s", g->name); return OK; }
int nvmlDeviceGetTotalEnergyConsumption(size_t h, unsigned long long *mj) { Gpu *g = gpu(h); if (!g || g->energy < 0) return UNSUPPORTED; *mj = (unsigned long long)g->energy; return OK; }
int nvmlDeviceGetPowerUsage(size_t h, unsigned *mw) { Gpu *g = gpu(h); if (!g || g->power < 0) return UNSUPPORTED; *mw = (unsigned)g->power; return OK; }
int nvmlDeviceGetMigMode(size_t h, unsigned *now, unsigned *next) { Gpu *g = gpu(h); if (!g || g->mig < 0) return UNSUPPORTED; *now = *next = (unsigned)g->mig; return OK; }
int nvmlDeviceGetMaxMigDeviceCount(size_t h, unsigned *n) { Gpu *g = gpu(h); if (!g) return INVALID; *n = MANY; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(size_t h, unsigned index, size_t *slice) { Gpu *g = gpu(h); if (!g || index >= g->slice_count) return NOT_FOUND; *slice = h | (size_t)(index + 1) << 8; return OK; }
int nvmlDeviceGetAttributes_v2(size_t h, Attributes *a) { Gpu *g = gpu(h); size_t s = h >> 8; if (!g || !s) return UNSUPPORTED; memset(a, 0, sizeof *a); a->multiprocessors = g->slices[s - 1].multiprocessors; return OK; }

static int list(const unsigned *pids, unsigned have, unsigned *n, Holder *out) {
    unsigned room = *n;
    *n = have;
    if (room < have || (have && !out)) return have ? TOO_SMALL : OK;
    for (unsigned i = 0; i < have; i++) out[i] = (Holder){pids[i], 0, ~0u, ~0u};
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(size_t h, unsigned *n, Holder *out) {
    Gpu *g = gpu(h);
    size_t s = h >> 8;
    if (!g) return INVALID;
    return s ? list(g->slices[s - 1].pids, g->slices[s - 1].count, n, out) : list(g->holders, g->holds, n, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(size_t h, unsigned *n, Holder *out) { (void)h; return list(0, 0, n, out); }

int nvmlDeviceGetProcessUtilization(size_t h, Ran *out, unsigned *n, unsigned long long since) {
    Gpu *g = gpu(h);
    unsigned found = 0;
    if (!g || g->mig == 1) return UNSUPPORTED;
    for (unsigned i = 0; i < g->runs; i++) if (g->ran[i].time > since) {
        if (out && found < *n) out[found] = g->ran[i];
        found++;
    }
    if (!found) return NOT_FOUND;
    if (!out || *n < found) { *n = found; return TOO_SMALL; }
    *n = found;
    return OK;
}
