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
    cleared       text[]      NOT NULL DEFAULT '{}',    -- the relays whose streams hold none any more
    cleared_at    timestamptz,              -- when that was true of every relay that ever ran
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

-- Messages in streams whose subjects do not name the user: how those of a user are found. A row goes with
-- its message.
CREATE TABLE relay_messages (
    relay     text    NOT NULL,
    sequence  bigint  NOT NULL,             -- of the stream
    position  bigint  NOT NULL,             -- of the event that the message tells
    event_id  uuid    NOT NULL,             -- part of the message's id, which tells it from others
    user_id   uuid    NOT NULL,
    stays     boolean NOT NULL,             -- when the user is forgotten: it says that they are
    PRIMARY KEY (relay, sequence)
);
CREATE INDEX relay_messages_of ON relay_messages (user_id, relay);
