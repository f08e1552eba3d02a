CREATE INDEX {table}_ids ON {table} USING gin ((user_id::text) gin_trgm_ops) WITH (gin_pending_list_limit = 512)
