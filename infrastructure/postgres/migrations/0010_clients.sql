-- Service accounts: programs of the platform. Their secrets are random, so that a plain hash keeps them.
CREATE TABLE clients (
    id               uuid        PRIMARY KEY,
    name             text        NOT NULL,
    scopes           text[]      NOT NULL,
    secret_hash      bytea       NOT NULL,      -- SHA-256
    previous_hash    bytea,                     -- of the secret before, while it is still honoured
    previous_until   timestamptz,
    created_at       timestamptz NOT NULL,
    rotated_at       timestamptz,
    revoked_at       timestamptz
);
