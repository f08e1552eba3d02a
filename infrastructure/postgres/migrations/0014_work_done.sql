-- Programs that know 0012 can go on beside this.

-- When each piece of regular work last came to its end without a fault; NULL: never. An attempt that fails leaves it
-- as it is, however often there is one. Work that had begun before this was noted is taken to have been done then.
ALTER TABLE schedule ADD COLUMN done_at timestamptz;
UPDATE schedule SET done_at = begun_at WHERE isfinite(begun_at);
