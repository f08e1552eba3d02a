-- Programs that know 0012 can go on beside this.

-- Under which hash each secret was taken from there: so that a secret that was changed there is told from one whose
-- hash was made anew at a login here. NULL: taken before this was noted.
ALTER TABLE followed_accounts ADD COLUMN secret bytea;   -- the first half of the SHA-256 over the hash

-- All times that the row there had: so that a time that lies ahead of the others hides no change. NULL with no time
-- taken: imported from there, and not compared since.
ALTER TABLE followed_accounts ADD COLUMN times bytea;    -- the first half of the SHA-256 over them

-- A table is known by the system identifier of its PostgreSQL, and by its address only where that is not told.
COMMENT ON COLUMN followed_accounts.source IS 'SHA-256 over what tells the table from others';
