-- Where the readers of the log stand that tell other services of the platform about users. They begin at the
-- start of the log: what they tell can be told twice, and a platform that is joined late has to hear of all.
CREATE TABLE reactors (
    name         text        PRIMARY KEY,
    position     bigint      NOT NULL DEFAULT 0,
    owner        text,
    fencing      bigint      NOT NULL DEFAULT 0,
    lease_until  timestamptz NOT NULL DEFAULT 'epoch',
    advanced_at  timestamptz NOT NULL DEFAULT now(),
    last_error   text                        -- the kind of fault; never a value
);
