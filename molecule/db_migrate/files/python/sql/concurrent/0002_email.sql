ALTER TABLE parts ADD COLUMN email text;
COMMENT ON COLUMN parts.email IS $$semicolons; 100% "safe"$$;
