-- An earlier Magistrala: names and a username, but no verification, no provider and no private metadata yet.
CREATE TABLE users (
    id               varchar(36)  PRIMARY KEY,
    domain_id        varchar(36),
    email            varchar(254) NOT NULL UNIQUE,
    secret           text,
    tags             text[],
    metadata         jsonb,
    created_at       timestamp,
    updated_at       timestamp,
    updated_by       varchar(254),
    status           smallint     NOT NULL DEFAULT 0,
    role             smallint     DEFAULT 0,
    username         varchar(254) UNIQUE,
    first_name       varchar(254) NOT NULL DEFAULT '',
    last_name        varchar(254) NOT NULL DEFAULT '',
    profile_picture  text
);
