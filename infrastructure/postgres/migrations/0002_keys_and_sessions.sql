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
    kid           text        PRIMARY KEY,
    algorithm     text        NOT NULL,
    wrapped       bytea       NOT NULL,     -- the private key, PKCS #8, wrapped by the root key
    state         text        NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    created_at    timestamptz NOT NULL DEFAULT now(),   -- published from then on
    signs_since   timestamptz,
    signed_until  timestamptz               -- tokens from before are checked with it as long as it stands here
);
-- There is one key that signs, and one that will.
-- What is signed for good, such as a certificate, is held against these too. A key id is the thumbprint of
-- the public key, so that nothing more is needed to know one again.
CREATE TABLE retired_signing_keys (
    kid         text        PRIMARY KEY,
    retired_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX signing_keys_one_of_each ON signing_keys (state) WHERE state <> 'retired';

-- A refresh token is worth nothing without the row that holds its hash. The tokens that were used up of
-- late are honoured for a short grace: three arrays of one length, the last used up last.
CREATE TABLE sessions (
    id             uuid          PRIMARY KEY,   -- the family: every token of a session carries it
    user_id        uuid          NOT NULL,
    epoch          bigint        NOT NULL,      -- of the credentials under which it was opened
    token_hash     bytea         NOT NULL,      -- SHA-256 of the refresh token that is valid now
    used_hashes    bytea[]       NOT NULL DEFAULT '{}',  -- of the tokens before it
    used_at        timestamptz[] NOT NULL DEFAULT '{}',  -- when each was used up
    until          timestamptz[] NOT NULL DEFAULT '{}',  -- when the successor that it was given expires
    nonce          bytea         NOT NULL,      -- the successor of a token is computed from it, never stored
    description    text          NOT NULL DEFAULT '',
    user_agent     text          NOT NULL DEFAULT '',    -- of the login, cut to a bounded length
    opened_from    text          NOT NULL DEFAULT '',    -- network prefix of the login, empty if unknown
    used_from      text          NOT NULL DEFAULT '',    -- network prefix of the last use
    created_at     timestamptz   NOT NULL,
    rotated_at     timestamptz   NOT NULL,      -- the last use
    expires_at     timestamptz   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
