CREATE TABLE {table} (
    id           uuid        PRIMARY KEY,
    version      bigint      NOT NULL,
    -- What lists are filtered and sorted by: NFKC, case-folded, '' where there is none.
    email        text        NOT NULL COLLATE "C",
    username     text        NOT NULL COLLATE "C",
    first_name   text        NOT NULL COLLATE "C",
    last_name    text        NOT NULL COLLATE "C",
    name         text        NOT NULL COLLATE "C",
    status       text        NOT NULL COLLATE "C",
    role         text        NOT NULL COLLATE "C",
    created_at   timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL,      -- updated_at, or created_at of a user never updated
    tags         text[]      NOT NULL COLLATE "C",
    metadata     jsonb       NOT NULL,
    -- What is answered: JSON, rendered once, when it changed.
    document     bytea       NOT NULL,
    card         bytea       NOT NULL,
    brief        boolean     NOT NULL       -- tags and metadata fit into the row of an index
) WITH (
    -- Totals are counted in the indexes alone, which takes pages that a vacuum has found all visible.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
)
