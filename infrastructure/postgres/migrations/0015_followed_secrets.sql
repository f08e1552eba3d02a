-- Programs that know 0012 can go on beside this.

-- Under which hash each secret was taken from there: so that a secret that was changed there is told from one whose
-- hash was made anew at a login here. NULL: taken before this was noted.
ALTER TABLE followed_accounts ADD COLUMN secret bytea;   -- the first half of the SHA-256 over the hash
