-- The users that were erased or are being erased: how far each erasure is, and the proof of those that are done.
-- Nothing personal stands here, and a row is never deleted.

CREATE TABLE erasures (
    user_id       uuid        PRIMARY KEY,
    position      bigint      NOT NULL,     -- of the event that asks for it; the append writes this row with it
    requested_at  timestamptz NOT NULL,     -- when the user's key was destroyed
    key_epoch     int         NOT NULL,     -- the sealing epoch that had wrapped the key
    noted_at      timestamptz,              -- when the ledger outside the database had it on disk
    removed       jsonb       NOT NULL DEFAULT '{}',    -- rows and files removed, by what held them
    messages      bigint      NOT NULL DEFAULT 0,       -- overwritten in the stream
    cleared_at    timestamptz,              -- when the stream held none any more
    certificate   text,                     -- a JWS; NULL until everything is done
    certified_at  timestamptz
);
CREATE INDEX erasures_open ON erasures (position) WHERE certificate IS NULL;

-- Which kinds of closed accounts the sweep takes, and since when it has been told to.
CREATE TABLE sweeps (
    kind         text        PRIMARY KEY,
    begun_at     timestamptz NOT NULL,      -- the first start with this kind: nobody's grace begins before
    reported_at  timestamptz                -- the first sweep of a kind only reports
);
