-- A Magistrala of its first year: still the identity and the name of Mainflux, and a domain that nobody reads.
CREATE TABLE clients (
    id          varchar(36)  PRIMARY KEY,
    name        varchar(254),
    domain_id   varchar(36),
    identity    varchar(254) NOT NULL UNIQUE,
    secret      text,
    tags        text[],
    metadata    jsonb,
    created_at  timestamp,
    updated_at  timestamp,
    updated_by  varchar(254),
    status      smallint     NOT NULL DEFAULT 0,
    role        smallint     DEFAULT 0
);
