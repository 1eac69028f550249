-- skills/insert: Stores a new skill; its first version follows in the same transaction.
INSERT INTO skills (tenant_id, id, slug, name, description, category, tags, author, license, conformant, notes, source_name,
                    source, revision, created_by, owner_id, origin_skill_id, origin_version, origin_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
