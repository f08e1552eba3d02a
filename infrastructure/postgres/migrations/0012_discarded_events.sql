-- What operators decide about read models, and what is found when their rows are held against the log.

-- Events that a read model goes on without, because somebody decided so. Every generation of it, every rebuild
-- and every verification leaves them out; a later shape of the read model, another version, asks anew.
CREATE TABLE discarded_events (
    projection     text        NOT NULL,
    version        int         NOT NULL,    -- of the read model's shape
    position       bigint      NOT NULL,
    user_id        uuid        NOT NULL,
    event_version  bigint      NOT NULL,    -- in the user's stream; the first one leaves out the whole user
    event_name     text        NOT NULL,
    reason         text        NOT NULL,    -- in the operator's words
    by             text        NOT NULL,    -- the account on the operator's machine
    at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version, position)
);

-- Users whose rows are not what the log says. A row goes when they are found to agree.
CREATE TABLE projection_differences (
    projection  text        NOT NULL,
    version     int         NOT NULL,
    generation  int         NOT NULL,
    user_id     uuid        NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version, generation, user_id)
);

ALTER TABLE projections
    ADD COLUMN pause_reason        text,
    ADD COLUMN last_error_position bigint,                      -- where the page began that failed
    ADD COLUMN checked             bigint NOT NULL DEFAULT 0,   -- users that the background check has looked at
    ADD COLUMN checked_after       uuid,                        -- the last of them; NULL: it begins anew
    ADD COLUMN checked_at          timestamptz;
