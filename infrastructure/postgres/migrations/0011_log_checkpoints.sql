-- Signed checkpoints over the whole log, one after the other. What each one says stands in its signed text and
-- nowhere else, so that nothing beside a signature is ever believed. They stand in a file outside of the
-- database too: docs/INTEGRITY.md.
CREATE TABLE log_checkpoints (
    number      bigint  PRIMARY KEY,    -- 1, 2, 3 …
    checkpoint  text    NOT NULL        -- a JWS; infrastructure/integrity/checkpoint.py has its fields
);
