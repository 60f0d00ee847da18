/* A small transistor behind the simulator interface of compiled Verilog-A models (OSDI 0.3), for tests.
 *
 *     I = type nfin k (L(vs)^2 - L(vd)^2),  L(v) = ln(1 + exp((vg - vth - v) / 2 phi)),  v to bulk, times type
 *
 * and a linear capacitance cg nfin from gate to source and from gate to drain. Source and drain are alike; smooth
 * from cut-off to saturation (the interpolation of Enz, Krummenacher and Vittoz, 1995, with slope factor 1). Only
 * the layout of the records is the interface's; it is stated in ngspice's src/osdi/osdi.h.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { D, G, S, B, NODES };
enum { NFIN, LENGTH, SHIFT, MULT, INSTANCE_PARAMS, TYPE = INSTANCE_PARAMS, K, VTH, PHI, CG, PARAMS };
enum { REAL = 0, INSTANCE = 1 << 30, NONE = UINT32_MAX, ENTRIES = NODES * NODES };

typedef struct { uint32_t a, b; } Pair;
typedef struct { Pair nodes; uint32_t react_pointer, flags; } Entry;
typedef struct { const char *name, *units, *flow; uint32_t resist, react, lim_resist, lim_react; bool is_flow; } Node;
typedef struct { const char **names; uint32_t aliases; const char *text, *units; uint32_t flags, length; } Param;
typedef struct { uint32_t flags, errors; void *list; } Init;
typedef struct { void *paras[4]; double time; double *solution; } Sim;

typedef struct { double value[PARAMS]; } Model;
typedef struct {
    double value[INSTANCE_PARAMS];
    uint32_t map[NODES];
    double *resist[ENTRIES], *react[ENTRIES];
    double current[NODES], charge[NODES], conductance[NODES][NODES], capacitance[NODES][NODES];
    bool collapsed;
} Fin;

static void *access_value(void *fin, void *model, uint32_t id, uint32_t flags) {
    if (id < INSTANCE_PARAMS)
        return fin ? (void *)&((Fin *)fin)->value[id] : NULL;
    return model && id < PARAMS ? (void *)&((Model *)model)->value[id] : NULL;
}

static void set_default(double *value, double standard) {
    if (*value == 0)
        *value = standard;
}

static void setup_model(void *handle, void *model, void *paras, Init *result) {
    double *value = ((Model *)model)->value;
    set_default(&value[TYPE], 1);
    set_default(&value[K], 1e-6);
    set_default(&value[PHI], 0.0259);
    *result = (Init){0, 0, NULL};
}

static void setup_fin(void *handle, void *fin, void *model, double kelvin, uint32_t terminals, void *paras, Init *result) {
    double *value = ((Fin *)fin)->value;
    set_default(&value[NFIN], 1);
    set_default(&value[MULT], 1);
    *result = (Init){0, 0, NULL};
}

static uint32_t eval(void *handle, void *instance, const void *model, const Sim *sim) {
    Fin *fin = instance;
    const double *value = ((const Model *)model)->value;
    double v[NODES], fins = fin->value[NFIN] * fin->value[MULT], type = value[TYPE];
    for (int i = 0; i < NODES; i++)
        v[i] = sim->solution[fin->map[i]];
    double drive = type * (v[G] - v[B]) - value[VTH] - fin->value[SHIFT];
    double log_term[2], slope[2];
    for (int end = 0; end < 2; end++) {
        double x = (drive - type * (v[end ? D : S] - v[B])) / (2 * value[PHI]);
        log_term[end] = x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
        slope[end] = 2 * log_term[end] / (1 + exp(-x)) / (2 * value[PHI]); /* of L^2, by the gate's voltage */
    }
    double current = type * fins * value[K] * (log_term[0] * log_term[0] - log_term[1] * log_term[1]);
    double source = fins * value[K] * slope[0], drain = fins * value[K] * slope[1], c = fins * value[CG];
    double by_node[NODES] = {drain, source - drain, -source, 0};
    double charges[NODES][NODES] = {{c, -c, 0, 0}, {-c, 2 * c, -c, 0}, {0, -c, c, 0}, {0, 0, 0, 0}};
    for (int i = 0; i < NODES; i++) {
        double sign = i == D ? 1 : i == S ? -1 : 0;
        fin->current[i] = sign * current;
        fin->charge[i] = 0;
        for (int j = 0; j < NODES; j++) {
            fin->conductance[i][j] = sign * by_node[j];
            fin->capacitance[i][j] = charges[i][j];
            fin->charge[i] += charges[i][j] * v[j];
        }
    }
    return 0;
}

static void load_residual_resist(void *fin, void *model, double *to) {
    for (int i = 0; i < NODES; i++)
        to[((Fin *)fin)->map[i]] += ((Fin *)fin)->current[i];
}

static void load_residual_react(void *fin, void *model, double *to) {
    for (int i = 0; i < NODES; i++)
        to[((Fin *)fin)->map[i]] += ((Fin *)fin)->charge[i];
}

static void load_nothing(void *fin, void *model, double *to) {}
static void load_noise(void *fin, void *model, double frequency, double *density, double *log_density) {}

static void load_rhs(Fin *fin, double *to, const double *solution, double alpha) {
    for (int i = 0; i < NODES; i++) {
        to[fin->map[i]] -= fin->current[i];
        for (int j = 0; j < NODES; j++)
            to[fin->map[i]] +=
                (fin->conductance[i][j] + alpha * fin->capacitance[i][j]) * solution[fin->map[j]];
    }
}

static void load_rhs_dc(void *fin, void *model, double *to, double *solution) { load_rhs(fin, to, solution, 0); }

static void load_rhs_tran(void *fin, void *model, double *to, double *solution, double alpha) {
    load_rhs(fin, to, solution, alpha);
}

static void load_jacobian_tran(void *instance, void *model, double alpha) {
    Fin *fin = instance;
    for (int k = 0; k < ENTRIES; k++)
        *fin->resist[k] += fin->conductance[k / NODES][k % NODES] + alpha * fin->capacitance[k / NODES][k % NODES];
}

static void load_jacobian_resist(void *fin, void *model) { load_jacobian_tran(fin, model, 0); }

static void load_jacobian_react(void *instance, void *model, double alpha) {
    Fin *fin = instance;
    for (int k = 0; k < ENTRIES; k++)
        *fin->react[k] += alpha * fin->capacitance[k / NODES][k % NODES];
}

#define NODE(text, index)                                                                                             \
    {text, "V", "A", offsetof(Fin, current) + 8 * (index), offsetof(Fin, charge) + 8 * (index), NONE, NONE, false}
static Node nodes[NODES] = {NODE("d", D), NODE("g", G), NODE("s", S), NODE("b", B)};

#define ENTRY(k) {{(k) / NODES, (k) % NODES}, offsetof(Fin, react) + 8 * (k), 4 | 8}
#define ROW(i) ENTRY(4 * i), ENTRY(4 * i + 1), ENTRY(4 * i + 2), ENTRY(4 * i + 3)
static Entry entries[ENTRIES] = {ROW(0), ROW(1), ROW(2), ROW(3)};

#define PARAM(name, kind) {(const char *[]){name}, 0, "", "", REAL | kind, 0}
static Param params[PARAMS] = {
    PARAM("nfin", INSTANCE), PARAM("l", INSTANCE), PARAM("delvtrand", INSTANCE),
    {(const char *[]){"$mfactor", "m"}, 1, "", "", REAL | INSTANCE, 0},
    PARAM("type", 0), PARAM("k", 0), PARAM("vth", 0), PARAM("phi", 0), PARAM("cg", 0)};

const uint32_t OSDI_VERSION_MAJOR = 0, OSDI_VERSION_MINOR = 3, OSDI_NUM_DESCRIPTORS = 1;

const struct {
    const char *name;
    uint32_t nodes, terminals;
    Node *node;
    uint32_t entries;
    Entry *entry;
    uint32_t collapsible;
    Pair *pairs;
    uint32_t collapsed;
    void *noise;
    uint32_t noises, params, instance_params, opvars;
    Param *param;
    uint32_t map, resist, states, state_index, bound_step, instance_size, model_size;
    void *(*access)(void *, void *, uint32_t, uint32_t);
    void (*setup_model)(void *, void *, void *, Init *);
    void (*setup_instance)(void *, void *, void *, double, uint32_t, void *, Init *);
    uint32_t (*eval)(void *, void *, const void *, const Sim *);
    void (*load_noise)(void *, void *, double, double *, double *);
    void (*residual_resist)(void *, void *, double *);
    void (*residual_react)(void *, void *, double *);
    void (*limit_resist)(void *, void *, double *);
    void (*limit_react)(void *, void *, double *);
    void (*rhs_dc)(void *, void *, double *, double *);
    void (*rhs_tran)(void *, void *, double *, double *, double);
    void (*jacobian_resist)(void *, void *);
    void (*jacobian_react)(void *, void *, double);
    void (*jacobian_tran)(void *, void *, double);
} OSDI_DESCRIPTORS[1] = {{
    "testfin", NODES, NODES, nodes, ENTRIES, entries,
    0, NULL, offsetof(Fin, collapsed),
    NULL, 0, PARAMS, INSTANCE_PARAMS, 0, params,
    offsetof(Fin, map), offsetof(Fin, resist), 0, offsetof(Fin, collapsed), NONE, sizeof(Fin), sizeof(Model),
    access_value, setup_model, setup_fin, eval, load_noise,
    load_residual_resist, load_residual_react, load_nothing, load_nothing,
    load_rhs_dc, load_rhs_tran, load_jacobian_resist, load_jacobian_react, load_jacobian_tran,
}};
