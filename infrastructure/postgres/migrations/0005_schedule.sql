-- When each piece of regular work was last begun, so that over all replicas one does it per interval.
CREATE TABLE schedule (
    name      text        PRIMARY KEY,
    begun_at  timestamptz NOT NULL
);
