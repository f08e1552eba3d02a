-- Substrings of names and emails are found by their trigrams. The extension is a trusted one: whoever may
-- create objects in the database may add it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
