-- A Mainflux of autumn 2023, whose groups and policies stand in the same database.
CREATE TABLE clients (
    id          varchar(36)   PRIMARY KEY,
    name        varchar(1024),
    owner_id    varchar(36),
    identity    varchar(254)  NOT NULL UNIQUE,
    secret      varchar(4096) NOT NULL,
    tags        text[],
    metadata    jsonb,
    created_at  timestamp,
    updated_at  timestamp,
    updated_by  varchar(254),
    status      smallint      NOT NULL DEFAULT 0,
    role        smallint      NOT NULL DEFAULT 0
);
CREATE TABLE groups (id varchar(36) PRIMARY KEY, owner_id varchar(36), name varchar(1024));
CREATE TABLE policies (subject varchar(36), object varchar(36), actions text[]);
