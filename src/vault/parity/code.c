#include <errno.h>
#include <isa-l/erasure_code.h>
#include "vault/parity/parity_internal.h"

#define TABLE 32u                           /* bytes libisal wants for one coefficient */

struct parity_code {
    struct parity_shape s;
    uint32_t columns;
    uint8_t *blocks;                        /* row 0: stripes 0.., row 1: .. */
    uint8_t *table;                         /* of all coefficients, rows x columns */
};

static uint8_t coefficient(uint32_t row, uint32_t column)
{
    return gf_inv((unsigned char)((255u - row) ^ column));
}

int parity_code_new(const struct parity_shape *s, struct parity_code **ret)
{
    uint8_t matrix[PARITY_ROWS_MAX * PARITY_COLUMNS_MAX];
    int r = parity_shape_check(s);
    struct parity_code *c = r < 0 ? NULL : calloc(1, sizeof *c);
    if (!c)
        return r < 0 ? r : -ENOMEM;
    c->s = *s;
    c->columns = (s->blocks - 1) / s->stripes + 1;
    c->blocks = calloc((size_t)s->stripes * s->rows, s->block);
    c->table = calloc((size_t)s->rows * c->columns, TABLE);
    if (!c->blocks || !c->table) {
        parity_code_free(c);
        return -ENOMEM;
    }
    for (uint32_t row = 0; row < s->rows; row++)
        for (uint32_t i = 0; i < c->columns; i++)
            matrix[row * c->columns + i] = coefficient(row, i);
    ec_init_tables((int)c->columns, (int)s->rows, matrix, c->table);
    *ret = c;
    return 0;
}

void parity_code_free(struct parity_code *c)
{
    if (!c)
        return;
    free(c->blocks);
    free(c->table);
    free(c);
}

uint8_t *parity_code_block(const struct parity_code *c, uint32_t row, uint32_t stripe)
{
    return c->blocks + ((size_t)row * c->s.stripes + stripe) * c->s.block;
}

void parity_code_add(struct parity_code *c, uint32_t i, const uint8_t *block)
{
    uint8_t *to[PARITY_ROWS_MAX];
    for (uint32_t row = 0; row < c->s.rows; row++)
        to[row] = parity_code_block(c, row, i % c->s.stripes);
    /* The library does not write to its sources, it only does not say so. */
    ec_encode_data_update((int)c->s.block, (int)c->columns, (int)c->s.rows, (int)(i / c->s.stripes), c->table,
        (uint8_t *)(uintptr_t)block, to);
}

int parity_code_solve(struct parity_code *c, uint32_t stripe, const uint32_t *columns, const uint32_t *rows,
    uint32_t n)
{
    uint8_t matrix[PARITY_ROWS_MAX * PARITY_ROWS_MAX], inverse[PARITY_ROWS_MAX * PARITY_ROWS_MAX];
    uint8_t table[PARITY_ROWS_MAX * PARITY_ROWS_MAX * TABLE];
    uint8_t part[PARITY_ROWS_MAX][PARITY_BLOCK], *from[PARITY_ROWS_MAX], *to[PARITY_ROWS_MAX];
    if (n < 1 || n > c->s.rows || stripe >= c->s.stripes)
        return -SM_EINVAL;
    for (uint32_t i = 0; i < n; i++) {
        if (rows[i] >= c->s.rows || columns[i] >= c->columns)
            return -SM_EINVAL;
        for (uint32_t k = 0; k < n; k++)
            matrix[i * n + k] = coefficient(rows[i], columns[k]);
        to[i] = part[i];
    }
    if (gf_invert_matrix(matrix, inverse, (int)n) != 0)
        return -SM_EINVAL;                  /* a row or column given twice: no Cauchy matrix then */
    ec_init_tables((int)n, (int)n, inverse, table);
    for (uint32_t at = 0; at < c->s.block; at += PARITY_BLOCK) {
        for (uint32_t i = 0; i < n; i++)
            from[i] = parity_code_block(c, rows[i], stripe) + at;
        ec_encode_data((int)PARITY_BLOCK, (int)n, (int)n, table, from, to);
        for (uint32_t i = 0; i < n; i++)
            memcpy(from[i], part[i], PARITY_BLOCK);
    }
    return 0;
}
