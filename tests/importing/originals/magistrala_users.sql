-- What a Magistrala of 2026 left behind. Facts, in words of our own: names, types and constraints of the columns.
CREATE TABLE users (
    id               varchar(36)  NOT NULL,
    domain_id        varchar(36),
    email            varchar(254) NOT NULL,
    secret           text,
    tags             text[],
    metadata         jsonb,
    created_at       timestamptz,
    updated_at       timestamptz,
    updated_by       varchar(254),
    status           smallint     NOT NULL DEFAULT 0 CHECK (status >= 0),
    role             smallint              DEFAULT 0 CHECK (status >= 0),
    username         varchar(254),
    first_name       varchar(254) NOT NULL DEFAULT '',
    last_name        varchar(254) NOT NULL DEFAULT '',
    profile_picture  text,
    verified_at      timestamptz,
    auth_provider    varchar(254),
    private_metadata jsonb,
    CONSTRAINT clients_pkey PRIMARY KEY (id),
    CONSTRAINT clients_email_key UNIQUE (email),
    CONSTRAINT clients_username_key UNIQUE (username)
);
CREATE TABLE users_verifications (
    user_id     varchar(36) REFERENCES users ON DELETE CASCADE,
    email       varchar(254),
    otp         varchar(255),
    created_at  timestamptz,
    expires_at  timestamptz,
    used_at     timestamptz
);
