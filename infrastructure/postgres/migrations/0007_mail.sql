-- The mails that follow from events, and what makes their links known. Neither holds an address, a name or
-- a link: all of it is read from the log, or computed, at the moment of sending.

-- Where each reactor stands in the log: who mails, and whoever else does something for it outside the database.
CREATE TABLE reactors (
    name         text        PRIMARY KEY,
    position     bigint      NOT NULL,
    owner        text,
    fencing      bigint      NOT NULL DEFAULT 0,
    lease_until  timestamptz NOT NULL DEFAULT 'epoch',
    advanced_at  timestamptz NOT NULL DEFAULT now(),
    last_error   text                           -- the kind of fault; never a value
);
-- What happened before this migration is history, and is never mailed.
INSERT INTO reactors (name, position) SELECT 'mails', coalesce(max(position), 0) FROM events;

CREATE TABLE mails (
    id              uuid        PRIMARY KEY,    -- of event and kind, so that nothing is ever put here twice
    user_id         uuid        NOT NULL,
    kind            text        NOT NULL,
    event_id        uuid        NOT NULL,
    position        bigint      NOT NULL,       -- of the event it follows from
    state           text        NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'dropped')),
    attempts        int         NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL,       -- of a mail that is being sent: when others may take it over
    created_at      timestamptz NOT NULL,       -- when the event happened
    handed_over_at  timestamptz,
    last_error      text                        -- the kind of fault; never a value
) WITH (fillfactor = 80);
CREATE INDEX mails_due ON mails (due_at) WHERE state = 'due';
CREATE INDEX mails_by_user ON mails (user_id);
CREATE INDEX mails_done ON mails (created_at) WHERE state <> 'due';

-- The one link of each kind that a user may have. Whether it was used or replaced, the log tells.
CREATE TABLE link_tokens (
    user_id     uuid        NOT NULL,
    kind        text        NOT NULL,
    event_id    uuid        NOT NULL,           -- of the request that it answers
    token_hash  bytea       NOT NULL UNIQUE,    -- SHA-256
    expires_at  timestamptz,                    -- NULL: its mail was not handed over yet
    PRIMARY KEY (user_id, kind)
);
