CREATE TABLE {table} (
    user_id   uuid    NOT NULL,
    version   bigint  NOT NULL,
    entry     bytea   NOT NULL,     -- one line of the timeline as JSON, rendered once
    PRIMARY KEY (user_id, version)
)
