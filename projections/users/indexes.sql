CREATE INDEX {table}_texts ON {table} USING gin (
    email gin_trgm_ops, username gin_trgm_ops, first_name gin_trgm_ops, last_name gin_trgm_ops
) WITH (gin_pending_list_limit = 512);
CREATE INDEX {table}_details ON {table} USING gin (tags, metadata jsonb_path_ops)
    WITH (gin_pending_list_limit = 512);
CREATE INDEX {table}_changed ON {table} (status, changed_at, id) INCLUDE (role);
CREATE INDEX {table}_created ON {table} (status, created_at, id) INCLUDE (role);
CREATE INDEX {table}_email ON {table} (status, email, id) INCLUDE (role);
CREATE INDEX {table}_username ON {table} (status, username, id) INCLUDE (role);
CREATE INDEX {table}_first_name ON {table} (status, first_name, id) INCLUDE (role);
CREATE INDEX {table}_last_name ON {table} (status, last_name, id) INCLUDE (role);
CREATE INDEX {table}_standing ON {table} (status, role);
CREATE INDEX {table}_name ON {table} (name, status, role) WHERE name <> '';
CREATE INDEX {table}_brief ON {table} (status) INCLUDE (role, tags, metadata) WHERE brief;
CREATE INDEX {table}_long ON {table} (status) WHERE NOT brief
