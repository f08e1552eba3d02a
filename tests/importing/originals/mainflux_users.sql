-- A Mainflux from before June 2023.
CREATE TYPE user_status AS ENUM ('enabled', 'disabled');
CREATE TABLE users (
    id        uuid         PRIMARY KEY,
    email     varchar(254) NOT NULL UNIQUE,
    password  char(60)     NOT NULL,
    metadata  jsonb,
    status    user_status  NOT NULL DEFAULT 'enabled'
);
