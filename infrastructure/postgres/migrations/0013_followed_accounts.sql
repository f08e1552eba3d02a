-- Programs that know 0012 can go on beside this.

-- Whom `usersd import --follow` has taken from the table of another service, and as of when: so that it goes on where
-- it was, and so that only an account that came from there is closed when it is gone there.
CREATE TABLE followed_accounts (
    user_id  uuid       NOT NULL,
    source   bytea      NOT NULL,   -- SHA-256 over host, port, database and name of the table
    taken    timestamp,             -- the last change that was taken, by the clock there, in UTC; NULL: none told
    PRIMARY KEY (user_id, source)
);
