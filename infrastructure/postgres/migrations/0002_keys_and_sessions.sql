-- The keyring that the root key wraps, the keys that sign tokens, and the sessions behind refresh tokens.

-- Tells a wrong root key before anything is read or written with it.
CREATE TABLE root_key (
    single       boolean PRIMARY KEY DEFAULT true CHECK (single),
    fingerprint  bytea   NOT NULL
);

-- Random keys wrapped by the root key. Purposes: lookup (one epoch), seal (numbered epochs, each wraps
-- the keys of users), refresh (one epoch). A NULL key was destroyed on purpose.
CREATE TABLE keyring (
    purpose       text        NOT NULL,
    epoch         int         NOT NULL,
    wrapped       bytea,
    created_at    timestamptz NOT NULL DEFAULT now(),
    destroyed_at  timestamptz,
    PRIMARY KEY (purpose, epoch)
);

CREATE TABLE signing_keys (
    kid         text        PRIMARY KEY,
    algorithm   text        NOT NULL,
    wrapped     bytea       NOT NULL,       -- the private key, PKCS #8, wrapped by the root key
    state       text        NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- A refresh token is worth nothing without the row that holds its hash.
CREATE TABLE sessions (
    id             uuid        PRIMARY KEY,
    user_id        uuid        NOT NULL,
    epoch          bigint      NOT NULL,    -- of the credentials under which it was opened
    token_hash     bytea       NOT NULL,    -- SHA-256 of the refresh token that is valid now
    previous_hash  bytea,                   -- of the one before, honoured for a short grace
    nonce          bytea       NOT NULL,    -- the successor of a token is computed from it, never stored
    description    text        NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL,
    rotated_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
