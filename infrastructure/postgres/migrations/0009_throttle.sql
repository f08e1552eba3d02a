-- Who has failed, or asked, how often lately. Not logged, since a crash may forget it.
CREATE UNLOGGED TABLE throttle (
    digest        bytea       PRIMARY KEY,  -- keyed hash of act, scope and subject
    act           text        NOT NULL,
    scope         text        NOT NULL,
    user_id       uuid,                     -- where an account is known
    network       text        NOT NULL,     -- prefix of the caller's address, '' where it is not known
    attempts      int         NOT NULL,
    waits_until   timestamptz,
    forgotten_at  timestamptz NOT NULL,     -- from then on all attempts are free again
    welcome_until timestamptz               -- the account has logged in from this network not long ago
);
CREATE INDEX throttle_by_user ON throttle (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX throttle_by_time ON throttle (greatest(forgotten_at, welcome_until));
